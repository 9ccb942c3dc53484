"""What people search for, kept for a time where the settings ask for it (ATENEO_KEEP_QUERIES)."""

from collections import defaultdict

import structlog

from ateneo.background_writer import BackgroundWriter
from ateneo.db import query_log
from ateneo.db.pool import Database
from ateneo.errors import AteneoError

MOST_WAITING = 1000
_log = structlog.get_logger(__name__)


class QueryLog:
    """One a process. A sample, not a full log: what comes too fast, or while the database is away, is not kept.

    No search waits for it. Close it: what waits is stored then.
    """

    def __init__(self, db: Database, days: int) -> None:
        """`days`: 0 keeps nothing."""
        self._db = db
        self._days = days
        self._waiting: set[tuple[str, str]] = set()
        self._writer = BackgroundWriter(self._flush, lambda: len(self._waiting))

    def note(self, empresa_id: str, query: str) -> None:
        """Has it stored within a second."""
        if not self._days or len(self._waiting) >= MOST_WAITING:
            return
        self._waiting.add((empresa_id, query))
        self._writer.soon()

    async def close(self) -> None:
        await self._writer.close()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, set()
        asked: dict[str, list[str]] = defaultdict(list)
        for empresa_id, query in sorted(waiting):
            asked[empresa_id].append(query)
        for empresa_id, queries in asked.items():
            try:
                await query_log.keep(self._db, empresa_id, queries, self._days)
            except AteneoError as error:
                _log.warning("queries not kept", queries=len(queries), reason=error.code)
