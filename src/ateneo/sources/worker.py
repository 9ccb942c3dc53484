"""Keeps what is stored of the sources up to date, beside the worker that embeds."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from ateneo.errors import AteneoError
from ateneo.sources.service import SourceService
from ateneo.types.sources import Source
from ateneo.unexpected import as_ours, log_unexpected

LOOK_S = 1.0
"""Between two looks for changes."""
POLL_S = 30.0
"""Between two polls by a cursor."""
COMPARE_S = 600.0
"""Between two comparisons of all rows, where there is no cursor."""
LONGEST_PAUSE_S = 30.0
"""After errors, of this source alone: a second after the first, twice as long after each more."""
_WHERE = "sources"

log = structlog.get_logger(__name__)


class SourceWorker:
    def __init__(self, sources: SourceService) -> None:
        self._sources = sources
        self._stopping = asyncio.Event()
        self._paused: dict[int, float] = {}
        self._failures: Counter[int] = Counter()

    def stop(self) -> None:
        """Ends after the page in progress."""
        self._stopping.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Works as long as the block lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def run_once(self) -> None:
        """Brings every source up to date; one that fails is left for the next time."""
        for source in await self._sources.listed(counted=False):
            await self._attend(source)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.run_once()
            except Exception as error:  # noqa: BLE001 - the outermost edge of the task
                self._report(error, None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    async def _attend(self, source: Source) -> None:
        if self._paused.get(source.source_id, 0.0) > time.monotonic() or self._stopping.is_set():
            return
        try:
            if is_due(source):
                await self._sources.poll(source)
            elif not source.pending:
                return
            await self._sources.sync(source.name, stopping=self._stopping.is_set)
            self._failures[source.source_id] = 0
        except Exception as error:  # noqa: BLE001 - one source must not hold up the others
            self._failures[source.source_id] += 1
            pause_s = min(2.0 ** min(self._failures[source.source_id] - 1, 10), LONGEST_PAUSE_S)
            self._paused[source.source_id] = time.monotonic() + pause_s
            problem = self._report(error, source)
            await self._sources.note_error(source, problem.loggable)

    def _report(self, error: Exception, source: Source | None) -> AteneoError:
        log_unexpected(error, _WHERE)
        problem = as_ours(error, _WHERE)
        log.warning("sources.paused", source=source and source.name, reason=problem.code, detail=problem.loggable)
        return problem


def is_due(source: Source) -> bool:
    """Whether a source that is polled is to be looked at."""
    if source.follow != "poll":
        return False
    every = POLL_S if source.mapping.cursor else COMPARE_S
    return source.polled_at is None or _age(source.polled_at) >= every


def _age(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
