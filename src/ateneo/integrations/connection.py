"""One open Container for callers of both kinds: these libraries are called with and without `await`."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any, TypeVar

from ateneo.container import Container
from ateneo.settings import Settings

Result = TypeVar("Result")
Work = Callable[[Container], Coroutine[Any, Any, Result]]


class Connection:
    """A Container on an event loop of its own, in a thread: a pool of connections belongs to one loop.

    It opens with the first call, from the settings given or the environment's. Safe for several threads and loops.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[Container] | None = None

    def call(self, work: Work[Result]) -> Result:
        """Does the work and waits for it. Raises what it raises, and what opening the Container does."""
        return asyncio.run_coroutine_threadsafe(self._with_container(work), self._running()).result()

    async def acall(self, work: Work[Result]) -> Result:
        """The same for a caller with a loop; cancelling it cancels the work."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._with_container(work), self._running()))

    def close(self) -> None:
        """Closes the Container and ends the thread; a later call opens them again."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # A daemon, so that a program that never closes can end.
                threading.Thread(target=_run, args=(self._loop,), name="ateneo", daemon=True).start()
            return self._loop

    async def _with_container(self, work: Work[Result]) -> Result:
        if self._opening is None or (self._opening.done() and self._opening.exception() is not None):
            self._opening = asyncio.create_task(Container.open(self._settings))
        # shielded: one caller who gives up must not take the Container from the others who wait for it
        return await work(await asyncio.shield(self._opening))

    async def _close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            for opened in await asyncio.gather(opening, return_exceptions=True):
                if isinstance(opened, Container):
                    await opened.close()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


@cache
def shared() -> Connection:
    """The process's own, by the environment's settings: one pool, one model in memory."""
    return Connection()
