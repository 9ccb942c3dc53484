"""What a process has in hand: many batches at a time, or one alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Hands:
    """One a process, for all of its lanes, on one event loop. Whoever wants to be alone waits for all others to end;
    nobody begins meanwhile."""

    def __init__(self) -> None:
        self._others = 0
        self._nobody_alone = asyncio.Event()
        self._nobody_alone.set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def enter(self) -> None:
        """Before a claim."""
        while not self._nobody_alone.is_set():
            await self._nobody_alone.wait()
        self._others += 1
        self._empty.clear()

    def leave(self) -> None:
        """When what was claimed has ended, or nothing was."""
        self._others -= 1
        if self._others == 0:
            self._empty.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        while not self._nobody_alone.is_set():
            await self._nobody_alone.wait()
        self._nobody_alone.clear()
        try:
            await self._empty.wait()
            yield
        finally:
            self._nobody_alone.set()
