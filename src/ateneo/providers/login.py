"""Tokens of the user's own login (JWT, RFC 7519), checked with the public keys that it publishes."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog

from ateneo.errors import AccessDenied, SettingsError
from ateneo.extras import extra
from ateneo.i18n import tr
from ateneo.providers.http_environment import check_environment
from ateneo.text.names import is_name
from ateneo.types import Caller

with extra("login"):
    import jwt

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures alone: with a shared secret (HS256) whoever checks tokens could make them, and `none` is no signature."""
_REQUIRED = ("exp", "iss", "aud", "sub")
_LEEWAY_S = 30.0
_TIMEOUT_S = 5.0
_log = structlog.get_logger("ateneo.login")


class LoginTokens:
    """Checks signature, `iss`, `aud`, `exp` and `nbf`, and reads the company from `tenant_claim`.

    `jwks` is a URL, whose keys are kept for five minutes and asked again for an unknown `kid` twice a minute at most,
    or a file. `scopes` are those of a token that has no `scope` (or `scp`) claim.
    """

    def __init__(self, *, jwks: str, issuer: str, audience: str, tenant_claim: str, scopes: Iterable[str]) -> None:
        self._issuer = issuer
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._scopes = tuple(scopes)
        self._client: jwt.PyJWKClient | None = None
        self._keys: jwt.PyJWKSet | None = None
        if jwks.startswith(("http://", "https://")):
            check_environment()
            self._client = jwt.PyJWKClient(jwks, timeout=_TIMEOUT_S)
        else:
            self._keys = _from_file(Path(jwks))

    async def verify(self, token: str) -> Caller:
        """Raises AccessDenied for a token that does not hold, whatever the reason; the log has it."""
        try:
            # the keys may have to be fetched, which blocks
            claims = await asyncio.to_thread(self._claims, token)
        except jwt.PyJWTError as error:
            _log.info("token refused", reason=type(error).__name__)
            raise AccessDenied() from error
        scopes = _scopes(claims, self._scopes)
        broken = self._broken_claim(claims, scopes)
        if broken or scopes is None:
            _log.info("token refused", reason=f"claim {broken}")
            raise AccessDenied()
        return Caller(claims[self._tenant_claim], f"jwt:{claims['sub']}", frozenset(scopes))

    def _broken_claim(self, claims: dict[str, Any], scopes: object) -> str | None:
        """The claim that is there and is not what it must be. Those of time and of the issuer PyJWT has checked."""
        broken = (name for name in (self._tenant_claim, "sub") if not is_name(claims.get(name)))
        return next(broken, "scope" if scopes is None else None)

    def _claims(self, token: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self._key(token),
            algorithms=ALGORITHMS,
            issuer=self._issuer,
            audience=self._audience,
            leeway=_LEEWAY_S,
            options={"require": list(_REQUIRED)},
        )

    def _key(self, token: str) -> jwt.PyJWK:
        if self._client is not None:
            return self._client.get_signing_key_from_jwt(token)
        assert self._keys is not None
        kid = jwt.get_unverified_header(token).get("kid")
        for key in self._keys.keys:
            if (kid is None and len(self._keys.keys) == 1) or key.key_id == kid:
                return key
        raise jwt.InvalidKeyError("no such kid")


def _scopes(claims: dict[str, Any], otherwise: Iterable[str]) -> Iterable[str] | None:
    """OAuth's `scope` is words in one string (RFC 6749, section 3.3); some logins say `scp`, or send a list of strings.
    None for anything else: what cannot be read allows nothing."""
    claim = next((name for name in ("scope", "scp") if name in claims), None)
    if claim is None:
        return otherwise
    said = claims[claim]
    if isinstance(said, str):
        return said.split(" ")
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        return said
    return None


def _from_file(path: Path) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, jwt.PyJWTError) as error:
        detail = tr(f"no se puede leer: {error}", f"it cannot be read: {error}")
        raise SettingsError(name="ATENEO_JWT_JWKS", detail=detail) from error
