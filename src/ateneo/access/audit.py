"""The audit log of a process: writes are in it before they are answered, reads within a second of it."""

from collections import deque

import structlog

from ateneo.background_writer import BackgroundWriter
from ateneo.db import audit
from ateneo.db.audit import AuditEntry, Batch
from ateneo.db.pool import Database
from ateneo.errors import AteneoError, DatabaseUnavailable

MOST_WAITING = 10_000
_log = structlog.get_logger("ateneo.audit")


class AuditLog:
    """Close it: what waits is written then. A process that is killed loses up to a second of reads, and no write.

    Every entry is stored once, whatever fails meanwhile. Where the database does not take entries, MOST_WAITING of them
    wait beside those that are being stored; older ones are dropped, and the log says how many.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._open: dict[str, Batch] = {}
        self._batches: deque[Batch] = deque()
        self._waiting = self._dropped = 0
        self._writer = BackgroundWriter(self._flush, lambda: self._waiting)

    @property
    def waiting(self) -> int:
        """How many entries are still to be stored."""
        return self._waiting

    async def write(self, entry: AuditEntry) -> None:
        """Returns once the entry is stored. Raises DatabaseError."""
        await audit.append(self._db, [entry])

    def later(self, entry: AuditEntry) -> None:
        """Has the entry stored within a second."""
        batch = self._open.setdefault(entry.empresa_id, Batch(entry.empresa_id))
        batch.entries.append(entry)
        self._waiting += 1
        self._drop_what_is_too_much()
        self._writer.soon()

    async def close(self) -> None:
        """Stores what waits."""
        await self._writer.close()
        if self._waiting:
            _log.error("audit entries lost", entries=self._waiting)

    async def _flush(self) -> None:
        """Stores batch by batch. One that may not have been stored waits for the next time, before all others."""
        self._batches.extend(self._open.values())
        self._open = {}
        if self._dropped:
            _log.error("audit entries dropped", entries=self._dropped)
            self._dropped = 0
        kept: list[Batch] = []
        try:
            while self._batches:
                kept.append(self._batches.popleft())
                self._waiting -= len(kept[-1].entries)
                try:
                    await audit.store(self._db, kept[-1])
                except AteneoError as error:
                    _log.error("audit entries not stored", entries=len(kept[-1].entries), reason=error.code)
                    if isinstance(error, DatabaseUnavailable):
                        break
                    if error.status >= 500:
                        continue
                    # a company that was erased meanwhile has no audit log to keep
                kept.pop()
        finally:
            self._batches.extendleft(reversed(kept))
            self._waiting += sum(len(batch.entries) for batch in kept)
            self._drop_what_is_too_much()

    def _drop_what_is_too_much(self) -> None:
        while self._waiting > MOST_WAITING:
            oldest = self._batches[0] if self._batches else next(iter(self._open.values()))
            oldest.entries.popleft()
            self._waiting -= 1
            self._dropped += 1
            if not oldest.entries:
                self._batches.popleft() if self._batches else self._open.pop(oldest.empresa_id)
