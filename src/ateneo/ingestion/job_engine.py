"""Does jobs: those that a request or a command has in hand, and, between `running` and its end, those that wait.

See docs/adr/0055-jobs.md. A job's lease is renewed once a second by whoever does it, with how far it is; the answer may
be to stop. No transaction is open meanwhile.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import structlog

from ateneo.db import jobs, originals
from ateneo.db.identity import arrive
from ateneo.db.jobs import Lease, Work
from ateneo.db.pool import Database
from ateneo.embedding.locks import ReadWriteLock
from ateneo.embedding.queue import LEASE_S, new_name
from ateneo.errors import (
    AteneoError,
    ConnectionBusy,
    DatabaseError,
    DatabaseUnavailable,
    InputError,
    JobCancelled,
    NotUpgraded,
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderUnavailable,
    ReaderUnavailable,
    RightsMissing,
    StatementTimeout,
    Unexpected,
)
from ateneo.ingestion.asked import Asked
from ateneo.ingestion.job_in_hand import InHand
from ateneo.ingestion.service import IngestionService
from ateneo.types import StoredDocument
from ateneo.types.jobs import JobState
from ateneo.unexpected import as_ours, log_unexpected

POLL_S = 1.0
MOST_DEATHS = 2
KEPT_DAYS = 30
_FORGET_S = 3600.0
_LONGEST_DELAY_S = 300.0
_WAITS_S = (0.1, 1.0, 3.0)
_WHERE = "jobs"
_TRANSIENT = (
    ProviderBusy,
    ProviderUnavailable,
    ProviderAnswerInvalid,
    ReaderUnavailable,
    DatabaseUnavailable,
    StatementTimeout,
    ConnectionBusy,
    Unexpected,
)

log = structlog.get_logger(__name__)


class JobEngine:
    """One a process. Safe under asyncio."""

    def __init__(
        self, ingestion: IngestionService, *, lease_s: float = LEASE_S, lock: ReadWriteLock | None = None
    ) -> None:
        """`lease_s`: seconds after which others take over its jobs, should it die; `lock`: that of the process."""
        self.lease = Lease(new_name(), lease_s)
        self._ingestion, self._db = ingestion, ingestion.db
        self._lock = lock or ReadWriteLock()
        self._woken = asyncio.Event()
        self._in_hand: set[asyncio.Task[StoredDocument]] = set()
        self._claimed: set[asyncio.Task[StoredDocument]] = set()
        self._after: str | None = None
        self._settled_at = self._forgot_at = float("-inf")

    async def do(self, work: Work, hand: InHand | None = None) -> StoredDocument:
        """Does a job that is leased to this engine, to its end even where the caller is cancelled.

        Raises what it failed with, JobCancelled."""
        return await asyncio.shield(self._begin(work, hand))

    async def do_here(self, work: Work, hand: InHand | None = None) -> StoredDocument:
        """As `do`, but given back where the caller is cancelled."""
        return await self._begin(work, hand)

    def wake(self) -> None:
        """There may be something to claim."""
        self._woken.set()

    @asynccontextmanager
    async def running(self, claims: Database, concurrency: int) -> AsyncIterator[None]:
        """Does what waits, of all companies, as long as the block lasts. `claims`: connections with the rights of the
        worker, two of them."""
        task = asyncio.create_task(self._run(claims, concurrency))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self.close()

    async def run_once(self, claims: Database, concurrency: int = 1) -> None:
        """Does what can be done now."""
        while (began := await self._claim(claims, concurrency)) or self._claimed:
            if not began:
                await asyncio.wait(self._claimed, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Gives back what is in hand."""
        tasks = list(self._in_hand)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- claims ---------------------------------------------------------------------------------------------------

    async def _run(self, claims: Database, concurrency: int) -> None:
        failures = 0
        while True:
            self._woken.clear()
            pause = POLL_S
            try:
                if await self._claim(claims, concurrency):
                    failures = 0
                    continue
            except (NotUpgraded, RightsMissing) as error:
                log.warning("jobs.not_here", reason=error.code, detail=error.loggable, remedy=error.remedy)
                return
            except Exception as error:  # noqa: BLE001  the outermost edge of the task
                log_unexpected(error, _WHERE)
                failures += 1
                pause = min(2.0**failures, 30.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _claim(self, claims: Database, concurrency: int) -> bool:
        """Begins one job; whether there was one, and room for it."""
        if await self._do_alone(claims):
            return True
        if len(self._claimed) >= concurrency:
            return False
        work = await jobs.claim(claims, self.lease, after=self._after, alone=False)
        if work is None:
            return False
        self._after = work.job.empresa_id
        task = self._begin(work)
        self._claimed.add(task)
        task.add_done_callback(self._claimed.discard)
        return True

    async def _do_alone(self, claims: Database) -> bool:
        """Once a second: puts back what dead processes had, and does one of those, with nothing else in hand."""
        now = time.monotonic()
        if now - self._settled_at < POLL_S:
            return False
        self._settled_at = now
        if now - self._forgot_at > _FORGET_S:
            self._forgot_at = now
            await jobs.forget(claims, KEPT_DAYS)
        if not await jobs.settle_dead(claims, MOST_DEATHS):
            return False
        async with self._lock.exclusive():
            work = await jobs.claim(claims, self.lease, after=self._after, alone=True)
            if work is not None:
                await asyncio.wait({self._begin(work, InHand(alone=True))})
        return work is not None

    # --- a job ----------------------------------------------------------------------------------------------------

    def _begin(self, work: Work, hand: InHand | None = None) -> "asyncio.Task[StoredDocument]":
        task = asyncio.create_task(self._work(work, hand or InHand()))
        self._in_hand.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[StoredDocument]") -> None:
        self._in_hand.discard(task)
        self._woken.set()
        if not task.cancelled():
            task.exception()  # it stands in the job's row

    async def _work(self, work: Work, hand: InHand) -> StoredDocument:
        """One job, to whichever end."""
        doing = asyncio.create_task(self._document(work, hand))
        beat = asyncio.create_task(hand.beat(self._db, work.job, self.lease, doing))
        try:
            stored = await doing
        except asyncio.CancelledError:
            if hand.stopped is None:  # the process ends
                await self._release(work, 0.0, None)
                raise
            if hand.stopped == "cancelled":
                await self._end(work, "cancelled")
            raise JobCancelled(name=work.job.source) from None
        except Exception as error:
            log_unexpected(error, _WHERE)
            await self._failed(work, as_ours(error, _WHERE))
            raise
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
        await self._stored(work, stored)
        return stored

    async def _document(self, work: Work, hand: InHand) -> StoredDocument:
        if hand.alone:
            return await self._read(work, hand)
        await self._lock.acquire_shared()
        try:
            return await self._read(work, hand)
        finally:
            self._lock.release_shared()

    async def _read(self, work: Work, hand: InHand) -> StoredDocument:
        asked, empresa_id = Asked.of(work.asked), work.job.empresa_id
        data = await originals.read(self._db, empresa_id, work.sha256)
        arrived = await arrive(self._db, empresa_id, asked.identity, work.arrival)
        upload = asked.upload(work.job.source)
        return await self._ingestion.process_upload(
            data, work.sha256, empresa_id, upload, arrived, force=asked.force, progress=hand
        )

    async def _stored(self, work: Work, stored: StoredDocument) -> None:
        states: dict[str, JobState] = {"unchanged": "unchanged", "superseded": "superseded"}
        state = states.get(stored.status, "ready")
        await self._end(work, state, document_id=stored.document_id, status=stored.status, chunks=stored.chunks)

    async def _failed(self, work: Work, error: AteneoError) -> None:
        if isinstance(error, _TRANSIENT) and work.job.attempts < work.most_attempts:
            log.warning("jobs.later", reason=error.code, detail=error.loggable)
            await self._release(work, _delay(error, work.job.attempts), error)
        else:
            await self._end(work, "failed", error=error)

    async def _end(
        self,
        work: Work,
        state: JobState,
        *,
        document_id: str | None = None,
        status: str | None = None,
        chunks: int | None = None,
        error: AteneoError | None = None,
    ) -> None:
        how = partial(jobs.end, document_id=document_id, status=status, chunks=chunks, error=error)
        await _surely(partial(how, self._db, work.job, self.lease, state))

    async def _release(self, work: Work, delay_s: float, error: AteneoError | None) -> None:
        counted = error is not None
        await _surely(partial(jobs.release, self._db, work.job, self.lease, delay_s, counted=counted, error=error))


async def _surely(statement: Callable[[], Awaitable[None]]) -> None:
    """A job's last statement: again where the database was away. What cannot be said the lease's end says."""
    for wait_s in (*_WAITS_S, None):
        try:
            return await statement()
        except InputError:  # the company was erased
            return None
        except DatabaseError as error:
            if wait_s is None:
                log.warning("jobs.unsaid", reason=error.code, detail=error.loggable)
                return None
            await asyncio.sleep(wait_s)


def _delay(error: AteneoError, attempts: int) -> float:
    asked = error.fields.get("retry_after")
    longest = min(2.0**attempts, _LONGEST_DELAY_S)
    return max(longest * random.uniform(0.5, 1.0), float(str(asked)) if asked is not None else 0.0)
