"""How fast a provider is asked: requests at a time by AIMD, requests and tokens a minute by ceilings.

    async with limiter.request(tokens) as begun:
        ...
    limiter.succeeded()              # or: limiter.slowed(begun, retry_after)

Additive increase, multiplicative decrease (Chiu & Jain 1989): every answer adds a little, up to one request more a
round; a 429 or 5xx halves, once for all requests that were under way when it came. Ceilings space the requests out:
over any minute no more than the ceiling is begun, whatever the size of the requests. They hold for one process.
Urgent requests (somebody waits for a search) have places of their own, so that they never wait for bulk work.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class AdaptiveLimiter:
    """For one event loop. `most`: requests at a time at best; `rpm`, `tpm`: requests and tokens a minute, None: any."""

    def __init__(
        self,
        most: int,
        *,
        rpm: int | None = None,
        tpm: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._most = most
        self._rpm, self._tpm = rpm, tpm
        self._clock, self._sleep = clock, sleep
        self._limit = float(most)
        self._under_way = {False: 0, True: 0}  # by whether they are urgent
        self._free = asyncio.Condition()
        self._next = self._not_before = self._last_cut = float("-inf")

    @property
    def limit(self) -> int:
        """Requests at a time that the provider bears at present."""
        return int(self._limit)

    @asynccontextmanager
    async def request(self, tokens: int, *, urgent: bool = False, again: bool = False) -> AsyncIterator[float]:
        """Waits until a request of so many tokens may begin; gives the moment it did. `urgent` ones count in the
        ceilings, but wait only for a place, of `most` of their own; `again`: this one has waited out its own
        Retry-After."""
        async with self._free:
            await self._free.wait_for(lambda: self._under_way[urgent] < (self._most if urgent else self.limit))
            self._under_way[urgent] += 1
        try:
            begin = self._booked(tokens)
            wait = (begin if again else max(begin, self._not_before)) - self._clock()
            if wait > 0 and not urgent:
                await self._sleep(wait)
            yield self._clock()
        finally:
            self._under_way[urgent] -= 1
            await asyncio.shield(self._tell())

    def succeeded(self) -> None:
        """The provider answered."""
        self._limit = min(float(self._most), self._limit + 1 / self._limit)

    def slowed(self, begun: float, retry_after: float | None = None) -> None:
        """The provider asked for less, or failed. `retry_after`: seconds in which nobody asks it."""
        if retry_after:
            self._not_before = max(self._not_before, self._clock() + retry_after)
        if begun >= self._last_cut:
            self._limit = max(1.0, self._limit / 2)
            self._last_cut = self._clock()

    def _booked(self, tokens: int) -> float:
        """The moment from which the ceilings allow this request."""
        begin = max(self._clock(), self._next)
        spacing = max(60 / self._rpm if self._rpm else 0.0, 60 * tokens / self._tpm if self._tpm else 0.0)
        self._next = begin + spacing
        return begin

    async def _tell(self) -> None:
        async with self._free:
            self._free.notify_all()
