"""Who may ask, and how often: API keys, the tokens of the user's own login, a limit a key, and one for wrong keys."""

import hashlib
import ipaddress
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ateneo.db import keys
from ateneo.db.pool import Database
from ateneo.errors import AccessDenied, RateLimited, ScopeMissing, TooManyFailures
from ateneo.ports import TokenVerifier
from ateneo.types import ApiKey, Caller, Scope

MOST_BUCKETS = 10_000
"""Keys whose rate is remembered; the one that was quiet for longest is forgotten first, with a full bucket."""


class AccessService:
    """Turns what a request carries into a Caller. Keys are looked up every time: a revocation holds at once.

    `per_minute` and `failures_per_minute` are this process's: with n processes a key may ask n times as much.
    """

    def __init__(
        self,
        db: Database,
        tokens: TokenVerifier | None = None,
        *,
        per_minute: int = 0,
        failures_per_minute: int = 0,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._bucket = TokenBucket(per_minute)
        self._failures = Failures(failures_per_minute)

    async def caller(self, secret: str, address: str = "") -> Caller:
        """Who has this key or token; `address` is where the request came from.

        Raises AccessDenied, the same for whatever is wrong, and RateLimited.
        """
        self._failures.check(secret, address)
        try:
            found = await self._look_up(secret, address)
        except AccessDenied:
            self._failures.failed(secret, address)
            raise
        self._failures.held(secret)
        self._bucket.spend(f"{found.empresa_id}\0{found.actor}")
        return found

    async def by_digest(self, prefix: str, digest: bytes, address: str = "") -> Caller:
        """Who has the key with this prefix and sha256, given before. Raises AccessDenied, RateLimited."""
        found = _caller(await keys.by_digest(self._db, prefix, digest, address))
        self._bucket.spend(f"{found.empresa_id}\0{found.actor}")
        return found

    async def _look_up(self, secret: str, address: str) -> Caller:
        if self._tokens is not None and not keys.looks_like_one(secret):
            return await self._tokens.verify(secret)
        return _caller(await keys.authenticate(self._db, secret, address))


def _caller(key: ApiKey) -> Caller:
    return Caller(key.empresa_id, f"key:{key.key_id}", frozenset(key.scopes))


def require(caller: Caller, scope: Scope) -> None:
    """Raises ScopeMissing where the caller may not do what takes `scope`."""
    if scope not in caller.scopes:
        raise ScopeMissing(scope=scope)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class TokenBucket:
    """A token bucket for each name: `per_minute` requests a minute in the long run, as many at once. 0: no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def spend(self, name: str) -> None:
        """Raises RateLimited where nothing is left; `retry_after` in whole seconds."""
        if not self._per_minute:
            return
        wait_s = self.wait_s(name)
        if wait_s:
            raise RateLimited(limit=self._per_minute, retry_after=wait_s)
        bucket = self._buckets.setdefault(name, _Bucket(float(self._per_minute), self._clock()))
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens -= 1

    def wait_s(self, name: str) -> int:
        """Whole seconds until `spend` would not raise; 0 where it would not now."""
        bucket = self._buckets.get(name)
        if bucket is None:
            return 0
        now, rate = self._clock(), self._per_minute / 60
        bucket.tokens = min(self._per_minute, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        return 0 if bucket.tokens >= 1 else math.ceil((1 - bucket.tokens) / rate)


class Failures:
    """Counts wrong keys, `per_minute` for each address and for each key's prefix; 0: no limit.

    Where there were too many, keys are refused without a look at the database, but for those that held not long ago:
    who guesses from behind the same proxy, or at a company's own prefix, locks nobody out.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        # apart, so that made-up prefixes do not push addresses out
        self._addresses, self._prefixes = TokenBucket(per_minute, clock), TokenBucket(per_minute, clock)
        self._held: OrderedDict[bytes, None] = OrderedDict()
        self._salt = secrets.token_bytes(16)

    def check(self, secret: str, address: str) -> None:
        """Raises TooManyFailures."""
        wait_s = max(self._addresses.wait_s(network(address)), self._prefixes.wait_s(keys.prefix_of(secret)))
        if wait_s and self._digest(secret) not in self._held:
            raise TooManyFailures(retry_after=wait_s)

    def failed(self, secret: str, address: str) -> None:
        self._held.pop(self._digest(secret), None)
        for bucket, name in ((self._addresses, network(address)), (self._prefixes, keys.prefix_of(secret))):
            if name:
                with suppress(RateLimited):
                    bucket.spend(name)

    def held(self, secret: str) -> None:
        digest = self._digest(secret)
        self._held[digest] = None
        self._held.move_to_end(digest)
        if len(self._held) > MOST_BUCKETS:
            self._held.popitem(last=False)

    def _digest(self, secret: str) -> bytes:
        return hashlib.sha256(self._salt + secret.encode("utf-8", "replace")).digest()


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: its last 32 bits are the IPv4 address."""


def network(address: str) -> str:
    """What counts as one address: an IPv6 customer has a whole /64, and one that stands for an IPv4 address is that."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    embedded = _embedded(found)
    return str(embedded or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in an IPv4-mapped (RFC 4291), a 6to4 (RFC 3056) or a NAT64 one."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
