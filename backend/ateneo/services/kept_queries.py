"""What people search for, kept for a time where the settings ask for it (ATENEO_KEEP_QUERIES)."""

import asyncio
from collections import defaultdict

import structlog

from ateneo.errors import AteneoError
from ateneo.store import questions
from ateneo.store.pool import Database

FLUSH_S = 1.0
MOST_WAITING = 1000
_log = structlog.get_logger(__name__)


class KeptQueries:
    """One a process. A sample, not a record: what comes too fast, or while the database is away, is not kept.

    No search waits for it. Close it: what waits is stored then.
    """

    def __init__(self, db: Database, days: int) -> None:
        """`days`: 0 keeps nothing."""
        self._db = db
        self._days = days
        self._waiting: dict[str, set[str]] = defaultdict(set)
        self._count = 0
        self._flusher: asyncio.Task[None] | None = None

    def note(self, empresa_id: str, query: str) -> None:
        """Has it stored within FLUSH_S."""
        if not self._days or self._count >= MOST_WAITING:
            return
        self._waiting[empresa_id].add(query)
        self._count += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon())

    async def close(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self._flush()

    async def _flush_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        waiting, self._waiting, self._count = self._waiting, defaultdict(set), 0
        for empresa_id, queries in waiting.items():
            try:
                await questions.keep(self._db, empresa_id, sorted(queries), self._days)
            except AteneoError as error:
                _log.warning("queries not kept", queries=len(queries), reason=error.code)
