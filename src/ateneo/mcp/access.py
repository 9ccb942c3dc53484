"""Whose knowledge is served: the API key decides the company, on both transports, and nothing a client says can."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier

from ateneo.access.service import AccessService
from ateneo.errors import AccessDenied, RateLimited
from ateneo.types import Caller

WhoAsks = Callable[[], Awaitable[Caller]]
"""Gives the caller whose call is being answered. Raises AccessDenied."""


def of_key(access: AccessService, secret: str) -> WhoAsks:
    """Who has one key, asked anew at every call, so that a revocation holds at once."""

    async def who() -> Caller:
        return await access.caller(secret)

    return who


async def of_bearer() -> Caller:
    """Who has the HTTP request's key, which KeyVerifier has looked up."""
    token = get_access_token()
    if token is None or not token.subject:
        raise AccessDenied()
    return Caller(token.subject, token.client_id, frozenset(token.scopes))


ADDRESS: ContextVar[str] = ContextVar("ADDRESS", default="")
"""Where the HTTP request that is being answered came from."""


class KeyVerifier(TokenVerifier):
    """Takes Ateneo's API keys, and the tokens of the user's own login, as the bearer tokens of HTTP requests."""

    def __init__(self, access: AccessService) -> None:
        self._access = access

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            caller = await self._access.caller(token, ADDRESS.get())
        except RateLimited:  # an AccessDenied that says when to come back
            raise
        except AccessDenied:
            return None
        return AccessToken(token=token, client_id=caller.actor, subject=caller.empresa_id, scopes=sorted(caller.scopes))
