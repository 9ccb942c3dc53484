"""Which batches of a process run together: many at a time, or one alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ReadWriteLock:
    """One a process, for all of its lanes, on one event loop. Whoever wants to be alone waits for all others to end;
    nobody begins meanwhile."""

    def __init__(self) -> None:
        self._others = 0
        self._no_writer = asyncio.Event()
        self._no_writer.set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def acquire_shared(self) -> None:
        """Before a claim."""
        while not self._no_writer.is_set():
            await self._no_writer.wait()
        self._others += 1
        self._empty.clear()

    def release_shared(self) -> None:
        """When what was claimed has ended, or nothing was."""
        self._others -= 1
        if self._others == 0:
            self._empty.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        while not self._no_writer.is_set():
            await self._no_writer.wait()
        self._no_writer.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._no_writer.set()
