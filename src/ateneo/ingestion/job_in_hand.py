"""A job that is being done: how far it is, told to the database with every renewal of its lease."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from ateneo.db import jobs
from ateneo.db.jobs import Lease
from ateneo.db.pool import Database
from ateneo.errors import BadArgument
from ateneo.ingestion.progress import Progress
from ateneo.types import StoredDocument
from ateneo.types.jobs import Job, JobState
from ateneo.unexpected import log_unexpected

BEAT_S = 1.0
_WHERE = "jobs"


class InHand(Progress):
    """`on_change` is told (state, embedded, chunks). `alone`: its process does nothing else."""

    def __init__(
        self, on_change: Callable[[JobState, int, int | None], None] = lambda *_: None, *, alone: bool = False
    ) -> None:
        self.alone = alone
        self.stopped: Literal["cancelled", "lost"] | None = None
        """Why `beat` ended the work."""
        self._on_change = on_change
        self._state: JobState | None = None
        self._embedded = 0
        self._chunks: int | None = None
        self._storing = False
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def reading(self) -> None:
        self._at("reading")

    def chunking(self) -> None:
        self._loop.call_soon_threadsafe(self._cut)

    def embedding(self, done: int, chunks: int) -> None:
        self._embedded, self._chunks = done, chunks
        self._at("embedding")

    def storing(self) -> None:
        self._storing = True

    def _cut(self) -> None:
        if self._state == "reading":
            self._at("chunking")

    def _at(self, state: JobState) -> None:
        self._state = state
        self._changed.set()
        self._on_change(state, self._embedded, self._chunks)

    async def beat(self, db: Database, job: Job, lease: Lease, doing: "asyncio.Task[StoredDocument]") -> None:
        """Renews the lease, at once where something changed; cancels `doing` where that is asked for."""
        while True:
            with suppress(TimeoutError):  # not wait_for, which in Python 3.11 loses a cancellation that comes at once
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()
            self._changed.clear()
            await self._renew(db, job, lease, doing)

    async def _renew(self, db: Database, job: Job, lease: Lease, doing: "asyncio.Task[StoredDocument]") -> None:
        try:
            go_on = await jobs.renew(db, job, lease, self._state, self._chunks, self._embedded)
        except BadArgument:  # the company was erased
            go_on = None
        except Exception as error:  # noqa: BLE001  the work's own statements tell
            log_unexpected(error, _WHERE)
            return
        if go_on is not True and not self._storing and not doing.done():
            self.stopped = "lost" if go_on is None else "cancelled"
            doing.cancel()
