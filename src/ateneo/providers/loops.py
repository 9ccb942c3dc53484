"""One value for each running event loop: clients and locks of asyncio must not travel between loops."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes a value the first time that a loop asks for it. Whoever calls `asyncio.run` twice gets two values.

    Values of loops that have ended are dropped without further ado: nothing can be awaited on those any more.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[asyncio.AbstractEventLoop, T] = {}
        self._lock = threading.Lock()

    def get(self) -> T:
        """The running loop's value. Raises RuntimeError outside a loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            for ended in [known for known in self._values if known.is_closed()]:
                del self._values[ended]
            if loop not in self._values:
                self._values[loop] = self._make()
            return self._values[loop]

    async def close(self, end: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        """Forgets every value and ends it with `end`, each on the loop that it belongs to; those of loops that have
        stopped are left to the garbage collector."""
        here = asyncio.get_running_loop()
        with self._lock:
            values = list(self._values.items())
            self._values.clear()
        for loop, value in values:
            if loop is here:
                await end(value)
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(end(value), loop))
