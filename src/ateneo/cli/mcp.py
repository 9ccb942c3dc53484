"""`ateneo mcp`: a company's knowledge as tools for Claude Desktop, IDEs and other agents."""

import pkgutil
from typing import Annotated, Any

import typer

from ateneo.cli.runtime import err
from ateneo.i18n import tr
from ateneo.settings import load

# By name, since interfaces do not know each other.
_TRANSPORTS = "ateneo.mcp.transports"


async def mcp(
    http: Annotated[
        bool, typer.Option("--http", help=tr("Por HTTP, en /mcp, en lugar de stdio.", "By HTTP, at /mcp, not stdio."))
    ] = False,
    host: Annotated[
        str, typer.Option(help=tr("0.0.0.0 para toda la red.", "0.0.0.0 for all the network."))
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8001,
    allow_host: Annotated[
        list[str] | None, typer.Option(help=tr("Nombre público, detrás de un proxy.", "Public name, behind a proxy."))
    ] = None,
) -> None:
    if http:
        err.print(f"MCP: http://{host}:{port}/mcp")
        await _transport("serve_http")(load(), host, port, allow_host or [])
    else:
        await _transport("serve_stdio")(load())


def _transport(name: str) -> Any:
    return pkgutil.resolve_name(f"{_TRANSPORTS}:{name}")
