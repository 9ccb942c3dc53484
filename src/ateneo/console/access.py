"""What a page asks of whoever opens it: a session, the right of its key, and for a change the session's token."""

import secrets
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from ateneo.access.service import require
from ateneo.console.session import COOKIE, Sessions
from ateneo.container import Container
from ateneo.errors import AccessDenied, BadArgument
from ateneo.i18n import tr
from ateneo.types import Scope

CSRF = "csrf"


class SignInNeeded(Exception):
    """The page is for whoever has signed in: answered with the way to the sign-in."""


def container(request: Request) -> Container:
    opened: Container = request.app.state.container
    return opened


def sessions(request: Request) -> Sessions:
    made: Sessions = request.app.state.sessions
    return made


def same_origin(request: Request) -> None:
    """Raises BadArgument for a change that another site's page sends. Told by headers that no script can set."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if foreign or (origin is not None and origin.partition("://")[2] != host):
        rule = tr("el pedido tiene que venir de esta misma página", "the request must come from this very page")
        raise BadArgument(name="Origin", value=ascii(origin or "?")[:80], rule=rule)


async def identify(request: Request) -> None:
    """Notes session and caller of the request, from its headers alone: nothing of the body is read before.

    Raises SignInNeeded, BadArgument for a change without the session's token, RateLimited, ScopeMissing.
    """
    session = sessions(request).read(request.cookies.get(COOKIE))
    if session is None:
        raise SignInNeeded()
    if request.method not in ("GET", "HEAD"):
        same_origin(request)
        if not secrets.compare_digest(request.query_params.get(CSRF, "").encode(), session.csrf.encode()):
            rule = tr("la página quedó vieja: hay que recargarla", "the page is out of date: reload it")
            raise BadArgument(name=CSRF, value="", rule=rule)
    try:
        caller = await container(request).access.by_digest(session.prefix, bytes.fromhex(session.digest))
    except AccessDenied as error:
        raise SignInNeeded() from error
    request.state.caller, request.state.session = caller, session
    require(caller, _needed(request.scope["route"]))


def _needed(route: APIRoute) -> Scope:
    if "agents" in route.tags:
        return "agents"
    reads = "search" in route.tags or (route.methods or set()) <= {"GET", "HEAD"}
    return "read" if reads else "write"


def company(request: Request) -> str:
    """The company of the session's key."""
    return str(request.state.caller.empresa_id)


Company = Annotated[str, Depends(company)]
OpenContainer = Annotated[Container, Depends(container)]
