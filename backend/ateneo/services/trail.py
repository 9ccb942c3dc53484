"""The audit trail of a process: writes are in it before they are answered, reads within a second of it."""

import asyncio
from collections import deque

import structlog

from ateneo.errors import AteneoError
from ateneo.store import audit
from ateneo.store.audit import AuditEntry
from ateneo.store.pool import Database

FLUSH_S = 1.0
MOST_WAITING = 10_000
_log = structlog.get_logger("ateneo.audit")


class AuditTrail:
    """Close it: what waits is written then. A process that is killed loses up to FLUSH_S of reads, and no write.

    Where the database does not take entries, MOST_WAITING of them wait; older ones are dropped, and the log says so.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: deque[AuditEntry] = deque()
        self._flusher: asyncio.Task[None] | None = None

    async def write(self, entry: AuditEntry) -> None:
        """Returns once the entry is stored. Raises DatabaseError."""
        await audit.append(self._db, [entry])

    def later(self, entry: AuditEntry) -> None:
        """Has the entry stored within FLUSH_S."""
        if len(self._waiting) >= MOST_WAITING:
            _log.error("audit entries dropped", waiting=len(self._waiting))
            self._waiting.popleft()
        self._waiting.append(entry)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_soon())

    async def close(self) -> None:
        """Stores what waits."""
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self._flush()

    async def _flush_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

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
