"""How fast a provider is asked: requests at a time by AIMD, requests and tokens a minute by ceilings.

    async with pace.request(tokens) as begun:
        ...
    pace.bore()                      # or: pace.slowed(begun, retry_after)

Additive increase, multiplicative decrease (Chiu & Jain 1989): every answer adds a little, up to one request more a
round; a 429 or 5xx halves, once for all requests that were under way when it came. Ceilings space the requests out:
over any minute no more than the ceiling is begun, whatever the size of the requests. They hold for one process.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Pace:
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
        self._under_way = 0
        self._free = asyncio.Condition()
        self._next = self._not_before = self._last_cut = float("-inf")

    @property
    def limit(self) -> int:
        """Requests at a time that the provider bears at present."""
        return int(self._limit)

    @asynccontextmanager
    async def request(self, tokens: int, *, urgent: bool = False, again: bool = False) -> AsyncIterator[float]:
        """Waits until a request of so many tokens may begin; gives the moment it did. `urgent` ones (somebody waits
        for a search) count, but wait only for a free place; `again`: this one has waited out its own Retry-After."""
        async with self._free:
            await self._free.wait_for(lambda: self._under_way < self.limit)
            self._under_way += 1
        try:
            begin = self._booked(tokens)
            wait = (begin if again else max(begin, self._not_before)) - self._clock()
            if wait > 0 and not urgent:
                await self._sleep(wait)
            yield self._clock()
        finally:
            self._under_way -= 1
            await asyncio.shield(self._tell())

    def bore(self) -> None:
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
