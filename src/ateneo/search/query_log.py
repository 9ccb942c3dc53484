"""What people search for, kept for a time where the settings ask for it (ATENEO_KEEP_QUERIES)."""

from collections import defaultdict
from collections.abc import Sequence

import structlog

from ateneo.background_writer import BackgroundWriter
from ateneo.db import query_log
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery
from ateneo.errors import AteneoError
from ateneo.types import Hit

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
        self._waiting: dict[tuple[str, str], KeptQuery] = {}
        self._writer = BackgroundWriter(self._flush, lambda: len(self._waiting))

    @property
    def keeps(self) -> bool:
        """Whether anything is kept; then `hits` should have their relevance."""
        return self._days > 0

    def note(self, empresa_id: str, query: str, hits: Sequence[Hit] | None = None) -> None:
        """Has it stored within a second, with how well it was answered. `hits` None: what was found does not tell that,
        since the search was narrowed."""
        if not self.keeps or len(self._waiting) >= MOST_WAITING:
            return
        before = self._waiting.get((empresa_id, query))
        times = 1 if before is None else before.times + 1
        self._waiting[empresa_id, query] = _kept(query, times, hits)
        self._writer.soon()

    async def close(self) -> None:
        await self._writer.close()

    async def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        asked: dict[str, list[KeptQuery]] = defaultdict(list)
        for (empresa_id, _), kept in sorted(waiting.items(), key=lambda one: one[0]):
            asked[empresa_id].append(kept)
        for empresa_id, queries in asked.items():
            try:
                await query_log.keep(self._db, empresa_id, queries, self._days)
            except AteneoError as error:
                _log.warning("queries not kept", queries=len(queries), reason=error.code)


def _kept(query: str, times: int, hits: Sequence[Hit] | None) -> KeptQuery:
    if hits is None:
        return KeptQuery(query, times)
    best = max((hit.relevance for hit in hits if hit.relevance is not None), default=None)
    return KeptQuery(query, times, len(hits), best)
