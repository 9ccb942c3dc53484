"""The two ways in: stdin and stdout for the program that starts it, HTTP for everybody else."""

from collections.abc import Sequence

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ateneo import i18n
from ateneo.access.service import require
from ateneo.container import Container
from ateneo.errors import AteneoError, SettingsError
from ateneo.i18n import Lang, tr
from ateneo.mcp.access import ADDRESS, KeyVerifier, of_bearer, of_key
from ateneo.mcp.server import build
from ateneo.operations.readiness import check_ready
from ateneo.settings import Settings

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


async def serve_stdio(settings: Settings) -> None:
    """Serves the company of ATENEO_API_KEY until stdin ends.

    Raises SettingsError where there is no key, AccessDenied for a wrong one, and what keeps a database from serving.
    """
    if settings.api_key is None:
        raise SettingsError(
            name="ATENEO_API_KEY",
            detail=tr(
                "falta: dice de qué empresa es lo que se sirve; se crea con `ateneo keys create --empresa-id X`.",
                "is missing: it says whose knowledge is served; `ateneo keys create --empresa-id X` makes one.",
            ),
        )
    async with await Container.open(settings) as container:
        who = of_key(container.access, settings.api_key.get_secret_value())
        require(await who(), "read")
        await check_ready(container.db, container.models)
        await build(container, who).run_stdio_async()


async def serve_http(settings: Settings, host: str, port: int, hosts: Sequence[str]) -> None:
    """Serves every company, each request that of its bearer key, on http://host:port/mcp until it is stopped.

    `hosts`: the names by which a proxy's requests may come, besides the local ones.
    """
    async with await Container.open(settings) as container:
        await check_ready(container.db, container.models)
        app = build(container, of_bearer, KeyVerifier(container.access)).streamable_http_app(
            # Nothing is kept between two requests, so that replicas need no sticky sessions.
            stateless_http=True,
            host=host,
            transport_security=_only_by([*_LOCAL, *hosts]) if hosts else None,
        )
        app.add_middleware(Refusals, lang_used=settings.lang)
        await uvicorn.Server(uvicorn.Config(app, host=host, port=port, ws="none", access_log=False)).serve()


class Refusals:
    """ASGI middleware: what keeps a request from being looked at (a rate limit, a database away) is an answer."""

    def __init__(self, app: ASGIApp, *, lang_used: Lang) -> None:
        self._app = app
        self._lang = lang_used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        i18n.use(self._lang)
        ADDRESS.set(scope["client"][0] if scope.get("client") else "")
        try:
            await self._app(scope, receive, send)
        except AteneoError as error:
            wait = error.fields.get("retry_after")
            headers = {} if wait is None else {"Retry-After": str(wait)}
            await PlainTextResponse(str(error), error.status, headers)(scope, receive, send)


def _only_by(hosts: Sequence[str]) -> TransportSecuritySettings:
    """Against DNS rebinding. Without names of the user's the SDK does the same for a local address."""
    names = [name for host in hosts for name in (host, f"{host}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=names,
        allowed_origins=[f"{scheme}://{name}" for name in names for scheme in ("http", "https")],
    )
