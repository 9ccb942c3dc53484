"""The audit trail of a process: writes are in it before they are answered, reads within a second of it."""

from collections import deque

import structlog

from ateneo.errors import AteneoError
from ateneo.services.flushing import Flushing
from ateneo.store import audit
from ateneo.store.audit import AuditEntry
from ateneo.store.pool import Database

MOST_WAITING = 10_000
_log = structlog.get_logger("ateneo.audit")


class AuditTrail:
    """Close it: what waits is written then. A process that is killed loses up to a second of reads, and no write.

    Where the database does not take entries, MOST_WAITING of them wait; older ones are dropped, and the log says so.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[AuditEntry] = deque()
        self._flushing = Flushing(self._flush, lambda: len(self._waiting))

    async def write(self, entry: AuditEntry) -> None:
        """Returns once the entry is stored. Raises DatabaseError."""
        await audit.append(self._db, [entry])

    def later(self, entry: AuditEntry) -> None:
        """Has the entry stored within a second."""
        if len(self._waiting) >= MOST_WAITING:
            _log.error("audit entries dropped", waiting=len(self._waiting))
            self._waiting.popleft()
        self._waiting.append(entry)
        self._flushing.soon()

    async def close(self) -> None:
        """Stores what waits."""
        await self._flushing.close()

    async def _flush(self) -> None:
        entries = list(self._waiting)
        companies = {entry.empresa_id for entry in entries}
        for empresa_id in companies:
            own = [entry for entry in entries if entry.empresa_id == empresa_id]
            try:
                await audit.append(self._db, own)
            except AteneoError as error:
                # kept where the database is away; a company that was erased meanwhile has no trail to keep
                _log.error("audit entries not stored", entries=len(own), reason=error.code)
                if error.status >= 500:
                    continue
            for entry in own:
                self._waiting.remove(entry)
