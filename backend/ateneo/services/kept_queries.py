"""What people search for, kept for a time where the settings ask for it (ATENEO_KEEP_QUERIES)."""

from collections import defaultdict

import structlog

from ateneo.errors import AteneoError
from ateneo.services.flushing import Flushing
from ateneo.store import questions
from ateneo.store.pool import Database

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
        self._flushing = Flushing(self._flush, lambda: self._count)

    def note(self, empresa_id: str, query: str) -> None:
        """Has it stored within a second."""
        if not self._days or self._count >= MOST_WAITING:
            return
        self._waiting[empresa_id].add(query)
        self._count += 1
        self._flushing.soon()

    async def close(self) -> None:
        await self._flushing.close()

    async def _flush(self) -> None:
        waiting, self._waiting, self._count = self._waiting, defaultdict(set), 0
        for empresa_id, queries in waiting.items():
            try:
                await questions.keep(self._db, empresa_id, sorted(queries), self._days)
            except AteneoError as error:
                _log.warning("queries not kept", queries=len(queries), reason=error.code)
