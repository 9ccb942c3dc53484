"""One value for each running event loop: clients and locks of asyncio must not travel between loops."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

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

    def drain(self) -> list[tuple[asyncio.AbstractEventLoop, T]]:
        """Forgets every value; returns those of loops that are still open, for closing."""
        with self._lock:
            values = list(self._values.items())
            self._values.clear()
        return [(loop, value) for loop, value in values if not loop.is_closed()]
