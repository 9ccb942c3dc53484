"""Who is signed in: a signed cookie that tells which key was given, never the key itself."""

import secrets
from dataclasses import asdict, dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer

from ateneo.db import keys

COOKIE = "ateneo_session"
LONGEST_S = 12 * 3600
"""Seconds after which one has to sign in again."""


@dataclass(frozen=True, slots=True)
class Session:
    """`prefix` and `digest` (sha256, hexadecimal) are the key's: they find it in the database and nowhere else open
    anything. `csrf` is what each change has to bring."""

    prefix: str
    digest: str
    csrf: str


class Sessions:
    """Makes and reads the cookie's value. Without a `secret` of the settings' each process signs with one of its own,
    and its end ends the sessions."""

    def __init__(self, secret: str | None) -> None:
        self._signer = URLSafeTimedSerializer(secret or secrets.token_hex(32), salt="ateneo.console.session")

    def made(self, key: str) -> str:
        session = Session(keys.prefix_of(key), keys.digest_of(key).hex(), secrets.token_urlsafe(18))
        return str(self._signer.dumps(asdict(session)))

    def read(self, cookie: str | None) -> Session | None:
        """None for one that is missing, changed, or too old."""
        try:
            found = self._signer.loads(cookie or "", max_age=LONGEST_S)
        except BadSignature:
            return None
        return Session(**found)
