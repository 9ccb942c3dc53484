"""A process that works on the queue is seen to: a row of `ateneo.worker` as long as it does, for `ateneo status`."""

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ateneo.db import workers
from ateneo.db.pool import Database
from ateneo.errors import DatabaseError

BEAT_S = 5.0
_RATE_OVER_S = 60.0


class Rate:
    """Chunks a second over the last minute, or since the beginning."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        self._recent.append((time.monotonic(), count))

    @property
    def now(self) -> float:
        since = time.monotonic() - _RATE_OVER_S
        while self._recent and self._recent[0][0] < since:
            self._recent.popleft()
        over = max(1.0, min(_RATE_OVER_S, time.monotonic() - self._begun))
        return sum(count for _, count in self._recent) / over


async def report(
    db: Database, name: str, *, state: str, note: str | None = None, concurrency: int = 1, rate: float = 0.0
) -> None:
    """Says what this process does. Where the database is away, nobody is told: those who work will tell of it."""
    with contextlib.suppress(DatabaseError):
        await workers.report(db, name, socket.gethostname(), os.getpid(), state, note, concurrency, rate)


@asynccontextmanager
async def seen_working(db: Database, name: str, rate: Rate, concurrency: Callable[[], int]) -> AsyncIterator[None]:
    """For what works once, as a backfill."""

    async def beat() -> None:
        while True:
            await report(db, name, state="working", concurrency=concurrency(), rate=rate.now)
            await asyncio.sleep(BEAT_S)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(DatabaseError):
            await asyncio.shield(workers.leave(db, name))
