"""What is stored a moment later, many at a time, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

FLUSH_S = 1.0


class Flushing:
    """Runs `flush` FLUSH_S after it was asked for, and again while that leaves something `waiting`."""

    def __init__(self, flush: Callable[[], Awaitable[None]], waiting: Callable[[], int]) -> None:
        """`waiting`: how many still wait."""
        self._flush = flush
        self._waiting = waiting
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """What waits is stored now."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._flush()

    async def _run(self) -> None:
        while self._waiting():
            await asyncio.sleep(FLUSH_S)
            await self._flush()
