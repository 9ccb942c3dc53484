"""A company's knowledge as tools for agents. Extra: `ateneo[mcp]`."""

from ateneo.extras import extra

with extra("mcp"):
    import mcp_types as mcp_types

    import mcp as mcp
