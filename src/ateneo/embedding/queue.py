"""The engine of the backfill and of the worker: leases chunks of the queue, embeds them, and stores the vectors.
See docs/adr/0012-queue.md.

No transaction is open while a provider is called. A heartbeat extends the leases of a batch in progress. A batch that
ends early, by an error or a signal, releases them; those of a process that is killed expire.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ateneo.db import queue
from ateneo.db.pool import Database
from ateneo.db.usage import Share
from ateneo.embedding.batch import Batch, FailedChunk, Totals
from ateneo.embedding.generation import refuse_other_model
from ateneo.embedding.locks import ReadWriteLock
from ateneo.embedding.service import HARMLESS, EmbeddedPart, EmbeddingService
from ateneo.embedding.vector_store import VectorStore, split_bill
from ateneo.errors import (
    AteneoError,
    DatabaseError,
    ProviderRefusedInput,
    ProviderUnavailable,
    Unexpected,
)
from ateneo.i18n import count, tr
from ateneo.text.clean import clean
from ateneo.types import Generation, Matrix, Pending
from ateneo.unexpected import as_ours, log_unexpected

_BATCH = 500
_LOCAL_BATCH, _LOCAL_CONCURRENCY = 64, 2
"""The local model uses every core for one batch, so a second one is enough to keep it busy while the first is written;
small batches let the progress move and Ctrl-C end soon."""
LEASE_S = 30.0
POLL_S = 1.0
MOST_ATTEMPTS = 6
"""Claims after which a text that fails alone, while the provider takes others, is a dead letter."""
_ALONE_AFTER = 3
"""Claims after which a server error may be the text's fault: its request is divided then."""
MOST_DEATHS = 6
"""Processes that may die of a text before it is a dead letter. By the groups of suspects.sql: one with its batch, then
with 64, with 16, with 4, and two with the text alone."""
_WHERE = "embedding_queue"
_LONGEST_DELAY_S = 300.0
_AFTER_UNEXPECTED_S = 60.0
"""A delay after which other texts have been tried, in case one text causes it."""
_BUSY_ROW_WAITS_S = (0.05, 0.3, 1.5)


class EmbeddingQueue:
    """One a process and generation. `db` must be a pool: batches use several connections at once."""

    def __init__(
        self,
        db: Database,
        embedding: EmbeddingService,
        generation: Generation,
        *,
        batch_size: int | None = None,
        concurrency: int | None = None,
        on_batch: Callable[[Batch], None] = lambda _: None,
        totals: Totals | None = None,
        worker: str | None = None,
        lease_s: float = LEASE_S,
        lock: ReadWriteLock | None = None,
    ) -> None:
        """`batch_size`: chunks a claim, and `concurrency`: batches at a time, None for what suits the provider;
        `totals`: of several queues together; `worker`: a unique name; `lease_s`: seconds after which others take over
        its batches, should it die; `lock`: that of the whole process."""
        self._db = db
        self._embedding = embedding
        self.generation = generation
        self._batch_size = batch_size or usual_batch_size(embedding)
        self._concurrency = concurrency or usual_concurrency(embedding, embedding.concurrency)
        self._on_batch = on_batch
        self.totals = totals or Totals()
        self.worker = worker or new_name()
        self.outage: AteneoError | None = None
        self.outage_at: str | None = None
        """What ended the last `drain` early, and the first chunk (its id) of the batch that met it."""
        self._lease_s = lease_s
        self._in_progress: dict[int, Sequence[Pending]] = {}
        self._unreleased = False
        """Whether leases of this worker could not be released; once they expire others take it for dead."""
        self._lock = lock or ReadWriteLock()
        self._model_works = False
        self._after: str | None = None
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()

    def stop(self) -> None:
        """Claims no more; batches in progress go on to their end."""
        self._stopping.set()
        self._woken.set()

    def wake(self) -> None:
        """There may be new rows."""
        self._woken.set()

    def _tell(self, batch: Batch) -> None:
        self.totals.add(batch)
        self._on_batch(batch)

    async def drain(self, *, empresa_id: str | None = None, limit: int | None = None, to_the_end: bool = False) -> bool:
        """Embeds what may be claimed, of one company or of all, at most `limit` chunks; returns whether that was
        anything. `to_the_end`: also waits for what other workers have leased, those that died included.

        An error that concerns more than a text ends it after the batches in progress: see `outage`.
        """
        self.outage = self.outage_at = None
        await self._release_all()
        under_way: set[asyncio.Task[None]] = set()
        did, cut_off = False, True
        beat = asyncio.create_task(self._extend_leases())
        try:
            while not self._stopping.is_set() and self.outage is None and limit != 0:
                if len(under_way) >= self._concurrency:
                    _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    continue
                self._woken.clear()
                size = self._batch_size if limit is None else min(limit, self._batch_size)
                try:
                    claimed = await self._claim_batch(size, empresa_id)
                except Exception as error:  # noqa: BLE001  batches in progress may be paid for: they go on
                    self._failed(error)
                    break
                if claimed.chunks:
                    under_way.add(self._begin(claimed.chunks))
                    limit = None if limit is None else limit - len(claimed.chunks)
                if claimed.retry_alone and limit != 0:
                    most = size if limit is None else min(limit, size)
                    tried = await self._retry_alone(under_way, most, empresa_id)
                    limit, under_way = None if limit is None else limit - tried, set()
                elif not (claimed.chunks or claimed.copied):
                    if not under_way and not (to_the_end and await self._leased_elsewhere(empresa_id)):
                        break
                    under_way = await self._wait(under_way)
                    continue
                did = True
            if under_way:
                await asyncio.wait(under_way)
            cut_off = False
        finally:
            beat.cancel()
            for task in under_way:
                task.cancel()
            await asyncio.gather(beat, *under_way, return_exceptions=True)
            self._unreleased |= cut_off  # a claim under way or a batch that had not begun
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(self._release_all())
        return did

    def _failed(self, error: Exception) -> None:
        """A claim failed, and may have leased chunks that no batch works on."""
        log_unexpected(error, _WHERE)
        self.outage, self._unreleased = self.outage or as_ours(error, _WHERE), True

    async def _release_all(self) -> None:
        if self._unreleased:
            await queue.release_all(self._db, self.generation.number, self.worker)
            self._unreleased = False

    async def wait(self) -> None:
        """Waits for new rows, or a second."""
        await self._wait(set())

    async def _wait(self, under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        woken = asyncio.create_task(self._woken.wait())
        _, pending = await asyncio.wait({*under_way, woken}, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        return {task for task in under_way if task in pending}

    async def _claim(self, size: int, empresa_id: str | None, *, exclusive: bool = False) -> queue.Claimed:
        claimed = await queue.claim(
            self._db,
            self.generation.number,
            self.worker,
            size,
            self._lease_s,
            empresa_id=empresa_id,
            after=self._after,
            exclusive=exclusive,
        )
        if claimed.chunks and not exclusive:
            self._after = claimed.chunks[-1].empresa_id
        if claimed.copied:
            self._tell(Batch(processed=claimed.copied, copied=claimed.copied))
        return claimed

    async def _claim_batch(self, size: int, empresa_id: str | None) -> queue.Claimed:
        await self._lock.acquire_shared()
        full = False
        try:
            claimed = await self._claim(size, empresa_id)
            full = bool(claimed.chunks)
        finally:
            if not full:
                self._lock.release_shared()
        return claimed

    def _begin(self, chunks: Sequence[Pending]) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._work(chunks))
        task.add_done_callback(lambda _: self._lock.release_shared())
        return task

    async def _retry_alone(self, under_way: set["asyncio.Task[None]"], size: int, empresa_id: str | None) -> int:
        """Embeds texts that a process died of, while this one works on nothing else; returns how many. A harmless text
        goes first, in case it is the model that ends the process."""
        if under_way:
            await asyncio.wait(under_way)
        async with self._lock.exclusive():
            try:
                if not self._model_works:
                    await self._embedding.embed_matrix([HARMLESS])
                    self._model_works = True
                claimed = await self._claim(size, empresa_id, exclusive=True)
                if claimed.deaths >= MOST_DEATHS:
                    await self._mark_fatal(claimed.chunks, claimed.deaths)
                elif claimed.chunks:
                    await self._work(claimed.chunks)
            except Exception as error:  # noqa: BLE001
                self._failed(error)
                return 0
        if not (claimed.chunks or claimed.copied):
            await self.wait()  # a writer holds them, or another worker was quicker
        return len(claimed.chunks)

    async def _mark_fatal(self, chunks: Sequence[Pending], deaths: int) -> None:
        reason = tr(
            count(deaths, "proceso murió", "procesos murieron") + " con este texto en curso, al final sin tener otro"
            " (¿memoria?, ¿una falla de una biblioteca?)",
            count(deaths, "process", "processes") + " died with this text in hand, at last with no other"
            " (out of memory? a fault in a library?)",
        )
        dead = await queue.mark_fatal(self._db, self.generation.number, chunks, reason)
        self._tell(
            Batch(failed=tuple(FailedChunk(chunk_id, empresa, reason, loggable=reason) for empresa, chunk_id in dead))
        )

    async def _leased_elsewhere(self, empresa_id: str | None) -> bool:
        return await queue.leased(self._db, self.generation.number, empresa_id) > 0

    async def _extend_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            for chunks in list(self._in_progress.values()):
                try:
                    await queue.extend(self._db, self.generation.number, self.worker, chunks, self._lease_s)
                except Exception as error:  # noqa: BLE001  of the database's the batch's own statements tell
                    log_unexpected(error, _WHERE)

    async def _work(self, chunks: Sequence[Pending]) -> None:
        """One batch, to whichever end; only cancellation leaves it by an exception."""
        self._in_progress[id(chunks)] = chunks
        try:
            await self._embed(chunks)
        except asyncio.CancelledError:
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(self._release(chunks, 0.0, counted=False, error=None))
            raise
        except Exception as error:  # noqa: BLE001
            log_unexpected(error, _WHERE)
            problem = as_ours(error, _WHERE)
            if self.outage is None:
                self.outage, self.outage_at = problem, chunks[0].chunk_id
            await self._give_back(chunks, problem)
        finally:
            del self._in_progress[id(chunks)]

    async def _give_back(self, chunks: Sequence[Pending], problem: AteneoError) -> None:
        """Releases chunks that failed for another reason than their text. If that fails, the next `drain` does it."""
        counted = isinstance(problem, ProviderUnavailable)
        delay = _delay(chunks[0].attempts) if counted else _AFTER_UNEXPECTED_S if isinstance(problem, Unexpected) else 0
        try:
            await self._release(chunks, delay, counted=counted, error=_reason(problem, chunks))
        except Exception as error:  # noqa: BLE001
            self._unreleased = True
            log_unexpected(error, _WHERE)

    async def _release(self, chunks: Sequence[Pending], delay_s: float, *, counted: bool, error: str | None) -> None:
        number = self.generation.number
        await queue.release(self._db, number, self.worker, chunks, delay_s=delay_s, counted=counted, error=error)

    async def _embed(self, chunks: Sequence[Pending]) -> None:
        blank = [chunk for chunk in chunks if not clean(chunk.contenido).strip()]
        if blank:
            await self._mark_dead(blank, tr("el texto está en blanco", "the text is blank"))
        await self._parts([chunk for chunk in chunks if chunk not in blank] if blank else chunks)

    async def _parts(self, chunks: Sequence[Pending]) -> None:
        divisible = {index for index, chunk in enumerate(chunks) if chunk.attempts >= _ALONE_AFTER}
        parts = await self._embedding.embed_parts([chunk.contenido for chunk in chunks], divisible)
        for part in sorted(parts, key=lambda part: (part.error is not None, not part.about_text)):
            members = chunks[part.members.start : part.members.stop]
            if part.error is None:
                await self._store(members, part)
            elif part.about_text:
                await self._refused(members, part.error)
            else:
                raise part.error

    async def _refused(self, chunks: Sequence[Pending], error: AteneoError) -> None:
        """One text that does not go through, to the provider or into the table, while others do."""
        if isinstance(error, Unexpected):  # a fault of ours or of a library: this text waits, others go on
            await self._release(chunks, _LONGEST_DELAY_S, counted=False, error=error.message)
        elif isinstance(error, ProviderRefusedInput) or chunks[0].attempts >= MOST_ATTEMPTS:
            await self._mark_dead(chunks, error.message, error.loggable)
            return
        else:
            await self._release(chunks, _delay(chunks[0].attempts), counted=True, error=error.message)
        failed = (FailedChunk(c.chunk_id, c.empresa_id, error.message, False, error.loggable) for c in chunks)
        self._tell(Batch(failed=tuple(failed)))

    async def _mark_dead(self, chunks: Sequence[Pending], reason: str, loggable: str | None = None) -> None:
        keys = await queue.mark_dead(self._db, self.generation.number, self.worker, chunks, reason)
        self._tell(Batch(failed=tuple(FailedChunk(i, e, reason, loggable=loggable or reason) for e, i in keys)))

    async def _store(self, chunks: Sequence[Pending], part: EmbeddedPart) -> None:
        assert part.vectors is not None
        refuse_other_model(self.generation, self._embedding)
        vectors = part.vectors
        shares = split_bill(chunks, part.tokens, part.billed, self._embedding.price)
        kept = await self._store_once(chunks, vectors, shares)
        waiting: Sequence[Pending] = chunks
        for wait_s in _BUSY_ROW_WAITS_S if kept < len(chunks) else ():
            leased = await queue.still_leased(self._db, self.generation.number, self.worker, waiting)
            waiting = [chunk for chunk, still in zip(waiting, leased, strict=True) if still]
            vectors = vectors[np.array(leased, dtype=bool)]
            if not waiting:
                break
            await asyncio.sleep(wait_s)  # another program holds these rows: its transaction may end soon
            kept += await self._store_once(waiting, vectors, {})
        if kept < len(chunks):
            reason = tr("otra transacción tenía la fila tomada", "another transaction held the row")
            await self._release(waiting, _delay(chunks[0].attempts), counted=True, error=reason)
        self._tell(Batch(processed=kept, changed=len(chunks) - kept, tokens=part.billed))

    async def _store_once(self, chunks: Sequence[Pending], vectors: Matrix, shares: Mapping[str, Share]) -> int:
        done = await VectorStore(self._db, self.generation, self._embedding).store(chunks, vectors, shares)
        for chunk, error in done.refused:
            await self._refused([chunk], error)
        return done.kept


def usual_batch_size(embedding: EmbeddingService) -> int:
    return _LOCAL_BATCH if embedding.provider == "local" else _BATCH


def usual_concurrency(embedding: EmbeddingService, remote: int) -> int:
    """Batches at a time: `remote`, but of the local model."""
    return _LOCAL_CONCURRENCY if embedding.provider == "local" else remote


def new_name() -> str:
    """A worker's name: host, process, and chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _reason(error: AteneoError, chunks: Sequence[Pending]) -> str:
    """What is kept with the chunks: a provider's words, which may quote its request, where that was one company's."""
    return error.message if len({chunk.empresa_id for chunk in chunks}) == 1 else error.loggable


def _delay(attempts: int) -> float:
    """Seconds to the next try: doubled with every attempt, up to five minutes, the later half by chance."""
    ceiling = min(_LONGEST_DELAY_S, 2.0 ** min(attempts, 30))
    return ceiling * random.uniform(0.5, 1.0)
