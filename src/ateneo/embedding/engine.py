"""The engine of the backfill, the worker and a change of model: one generation's queue, drained to an end or for as
long as the process runs, what is done counted, and seen in `ateneo status`. See docs/adr/0012-queue.md.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, TypeAlias

from ateneo.db import generations, queue
from ateneo.embedding.heartbeat import seen_working
from ateneo.embedding.queue import EmbeddingQueue
from ateneo.errors import AteneoError, DatabaseError, NotUpgraded
from ateneo.unexpected import as_ours, log_unexpected

_WHERE = "worker"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 300.0
_LONGEST_ASKED_S = 3600.0
"""A provider that asks for a longer pause is asked again after this one."""


OnState: TypeAlias = Callable[[], Awaitable[None]]


class Engine(EmbeddingQueue):
    """One a process and generation."""

    state: Literal["working", "idle", "paused"] = "working"
    failure: AteneoError | None = None
    """What it pauses for, or what ended it early."""
    _failures = 0

    async def fill(self, empresa_id: str | None = None, *, revive: bool = False) -> None:
        """Queues what the triggers have not seen. `revive`: refused texts are tried again."""
        await queue.fill(self._db, self.generation.number, empresa_id, revive=revive)

    async def run_to_the_end(self, empresa_id: str | None = None, limit: int | None = None) -> None:
        """Embeds all there is, of one company or of all, at most `limit` chunks, beside whatever workers there are and
        seen as one of them. What ended it early is in `failure`. Raises DatabaseError."""
        async with seen_working(self._db, self.worker, self.totals.rate, lambda: self._embedding.concurrency):
            await self.drain(empresa_id=empresa_id, limit=limit, to_the_end=True)
        self.failure = self.outage

    async def run_once(self) -> None:
        """Embeds what can be done now. What ended it early is in `failure`."""
        while not self._stopping.is_set() and await self._drain():
            pass

    async def run(self, on_state: OnState, on_pause: Callable[[AteneoError, float], None]) -> None:
        """Until `stop`, or its generation has gone. Whatever fails pauses it, and is tried again. `on_state` is told
        that it idles or pauses, `on_pause` the reason and the seconds of a pause."""
        while not self._stopping.is_set():
            if await self._drain(on_state):
                self._failures = 0
            elif self.failure is not None:
                self._failures += 1
                pause = pause_s(self._failures, self.failure.fields.get("retry_after"))
                on_pause(self.failure, pause)
                async with self._shown("paused", on_state):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), pause)

    async def _drain(self, on_state: OnState | None = None) -> bool:
        """Whether there was something to do, and it went well. With `on_state` it waits where there was nothing."""
        did = False
        try:
            did = await self.drain()
            self.failure = self.outage
            if on_state is not None and not did and self.failure is None:
                async with self._shown("idle", on_state):
                    await self.wait()
        except Exception as error:  # noqa: BLE001
            log_unexpected(error, _WHERE)
            self.failure = as_ours(error, _WHERE)
        if isinstance(self.failure, NotUpgraded) and await self._dropped():
            self.failure = None
            self.stop()
        return did and self.failure is None

    @contextlib.asynccontextmanager
    async def _shown(self, state: Literal["idle", "paused"], on_state: OnState) -> AsyncIterator[None]:
        self.state = state
        try:
            await on_state()
            yield
        finally:
            self.state = "working"

    async def _dropped(self) -> bool:
        """Whether the generation was dropped meanwhile, with its tables."""
        with contextlib.suppress(DatabaseError):
            known = await generations.all_generations(self._db)
            return self.generation.number not in {one.number for one in known}
        return False


def pause_s(failures: int, asked: object) -> float:
    """Seconds after so many failures in a row: what the provider asks for, else doubled with every one."""
    if isinstance(asked, float):
        return min(max(asked, _FIRST_PAUSE_S), _LONGEST_ASKED_S)
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
