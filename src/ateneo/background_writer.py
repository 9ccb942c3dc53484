"""What is stored a moment later, many at a time, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ateneo.unexpected import log_unexpected

FLUSH_S = 1.0


class BackgroundWriter:
    """Runs `flush` FLUSH_S after it was asked for, and again while that leaves something `waiting`. What `flush` raises
    is logged, and ends nothing."""

    def __init__(self, flush: Callable[[], Awaitable[None]], waiting: Callable[[], int]) -> None:
        """`waiting`: how many still wait."""
        self._flush = flush
        self._waiting = waiting
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """What waits is stored now, after what is being stored: a flush that was cut off would not know what it did."""
        self._closing.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._flushed()

    async def _run(self) -> None:
        while self._waiting() and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_S)
            await self._flushed()

    async def _flushed(self) -> None:
        try:
            await self._flush()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a task: what waits is tried again
            log_unexpected(error, "flush")
