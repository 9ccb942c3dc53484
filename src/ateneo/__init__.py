"""Ateneo: semantic search and cited answers for multi-tenant products on PostgreSQL."""

__version__: str


def __getattr__(name: str) -> str:
    """`__version__` is read when it is asked for: the metadata of packages take a while to open."""
    if name == "__version__":
        from importlib.metadata import version

        return version("ateneo")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
