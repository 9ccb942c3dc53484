"""Who asks: the API key (or token) of the request decides the company, and nothing else in it can."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from ateneo.access.service import require
from ateneo.container import Container
from ateneo.errors import AccessDenied, DatabaseUnavailable, OtherEmpresa
from ateneo.i18n import tr
from ateneo.types import Caller, Scope

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="Authorization: Bearer ateneo_…")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="api-key", description="X-API-Key: ateneo_…")


def container(request: Request) -> Container:
    """The application's Container."""
    opened: Container | None = getattr(request.app.state, "container", None)
    if opened is None:
        detail = tr("la API está montada en otra aplicación y no se inició.",
                    "the API is mounted in another application and was not started.")  # fmt: skip
        remedy = tr("Iniciala en el lifespan de la otra (docs/how-to/drivers.md).",
                    "Start it in the other's lifespan (docs/how-to/drivers.md).")  # fmt: skip
        raise DatabaseUnavailable(where="create_app", detail=detail, remedy=remedy)
    return opened


class CompanyRoute(APIRoute):
    """A route of one company's: who asks, and whether they may, is known before one byte of the body is read."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def by_a_caller(request: Request) -> Response:
            await _identify(request)
            return await self.answered(request, handle)

        return by_a_caller

    async def answered(self, request: Request, handle: Handler) -> Response:
        """The answer to a caller who is known."""
        return await handle(request)


async def _identify(request: Request) -> None:
    """Raises AccessDenied, RateLimited, OtherEmpresa where the query names another company, and ScopeMissing where the
    route takes more than the key may."""
    bearer, header = await _BEARER(request), await _HEADER(request)
    secret = bearer.credentials if bearer else header
    if not secret:
        raise AccessDenied()
    caller = await container(request).access.caller(secret, request.client.host if request.client else "")
    request.state.caller = caller
    refuse_other(request.query_params.getlist("empresa_id"), caller.empresa_id)
    require(caller, needed_scope(request.scope["route"]))


async def tenant(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    header: Annotated[str | None, Security(_HEADER)],
) -> str:
    """The empresa_id of the caller whom CompanyRoute has identified; the key is a parameter for the API's description.

    Raises OtherEmpresa where a JSON body names another company.
    """
    caller: Caller = request.state.caller
    refuse_other(await _named_in_json(request), caller.empresa_id)
    return caller.empresa_id


def needed_scope(route: APIRoute) -> Scope:
    """What a key must be allowed: by the group that the route is in, else by whether it changes anything."""
    if "admin" in route.tags:
        return "admin"
    if "agents" in route.tags:
        return "agents"
    return "write" if changes(route) else "read"


def changes(route: APIRoute) -> bool:
    """Whether it may change something; searches also come by POST."""
    return "search" not in route.tags and not (route.methods or set()) <= {"GET", "HEAD"}


def refuse_other(named: Iterable[object], empresa_id: str) -> None:
    """Raises OtherEmpresa where one of the companies named is not the key's. None names nobody."""
    if any(name not in (None, empresa_id) for name in named):
        raise OtherEmpresa()


async def _named_in_json(request: Request) -> list[object]:
    if "json" not in request.headers.get("content-type", ""):
        return []
    try:
        body = await request.json()  # FastAPI has parsed it already: the same object
    except (ValueError, RecursionError):
        return []  # not JSON: the route has refused it, or takes no body
    return [body.get("empresa_id")] if isinstance(body, dict) else []


Tenant = Annotated[str, Depends(tenant)]
OpenContainer = Annotated[Container, Depends(container)]
