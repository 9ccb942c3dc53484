"""Who may ask, and how often: API keys, the tokens of the user's own login, and a limit a key."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ateneo.errors import AccessDenied, RateLimited, ScopeMissing
from ateneo.ports import TokenVerifier
from ateneo.store import keys
from ateneo.store.pool import Database
from ateneo.types import Caller, Scope

MOST_BUCKETS = 10_000
"""Keys whose pace is remembered; the one that was quiet for longest is forgotten first, with a full bucket."""


class AccessService:
    """Turns what a request carries into a Caller. Keys are looked up every time: a revocation holds at once.

    The limit is this process's: with n processes a key may ask n times as much.
    """

    def __init__(self, db: Database, tokens: TokenVerifier | None = None, *, per_minute: int = 0) -> None:
        self._db = db
        self._tokens = tokens
        self._pace = Pace(per_minute)

    async def caller(self, secret: str) -> Caller:
        """Raises AccessDenied, the same for whatever is wrong, and RateLimited."""
        if keys.looks_like_one(secret):
            key = await keys.authenticate(self._db, secret)
            found = Caller(key.empresa_id, f"key:{key.key_id}", frozenset(key.scopes))
        elif self._tokens is not None:
            found = await self._tokens.verify(secret)
        else:
            raise AccessDenied()
        self._pace.spend(f"{found.empresa_id}\0{found.actor}")
        return found


def require(caller: Caller, scope: Scope) -> None:
    """Raises ScopeMissing where the caller may not do what takes `scope`."""
    if scope not in caller.scopes:
        raise ScopeMissing(scope=scope)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Pace:
    """A token bucket for each name: `per_minute` requests a minute in the long run, as many at once. 0: no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, name: str) -> None:
        """Raises RateLimited where nothing is left; `retry_after` in whole seconds."""
        if not self._per_minute:
            return
        now, rate = self._clock(), self._per_minute / 60
        bucket = self._buckets.setdefault(name, _Bucket(float(self._per_minute), now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._per_minute, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1:
            raise RateLimited(limit=self._per_minute, retry_after=math.ceil((1 - bucket.tokens) / rate))
        bucket.tokens -= 1
