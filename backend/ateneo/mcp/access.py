"""Whose knowledge is served: the API key decides the company, on both transports, and nothing a client says can."""

from collections.abc import Awaitable, Callable

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier

from ateneo.errors import AccessDenied
from ateneo.store import keys
from ateneo.store.pool import Database

Tenant = Callable[[], Awaitable[str]]
"""Gives the empresa_id of the call that is being answered. Raises AccessDenied."""


def of_key(db: Database, secret: str) -> Tenant:
    """The company of one key, asked anew at every call, so that a revocation holds at once."""

    async def tenant() -> str:
        return (await keys.authenticate(db, secret)).empresa_id

    return tenant


async def of_bearer() -> str:
    """The company of the HTTP request's key, which KeyVerifier has looked up."""
    token = get_access_token()
    if token is None or not token.subject:
        raise AccessDenied()
    return token.subject


class KeyVerifier(TokenVerifier):
    """Takes Ateneo's API keys as the bearer tokens of HTTP requests."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = await keys.authenticate(self._db, token)
        except AccessDenied:
            return None
        return AccessToken(token=token, client_id=key.key_id, subject=key.empresa_id, scopes=[])
