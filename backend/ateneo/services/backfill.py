"""The backfill: embeddings for the chunks that have none. See docs/adr/0006-backfill.md.

Workers share one cursor over the waiting chunks. Each takes a page, embeds it and writes it in one statement, so that
reading, embedding and writing overlap, and no more than `concurrency` pages are in memory.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ateneo.errors import (
    AteneoError,
    BadArgument,
    DatabaseError,
    ProviderAnswerInvalid,
    ProviderRefusedInput,
    UnknownEmpresa,
)
from ateneo.lang import tr
from ateneo.services.embedding import EmbeddingService
from ateneo.services.generation import own_generation, refuse_other_model
from ateneo.store import chunks, generations
from ateneo.store.pool import Database
from ateneo.types import Generation, Pending

LARGEST_BATCH = 5000
MOST_WORKERS = 64
_SAMPLE = 3
_HARMLESS = "prueba"

_ABOUT_THE_TEXT = (ProviderRefusedInput, ProviderAnswerInvalid, BadArgument)


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a run would do. `chunks` is `pending` within the limit; `skipped` have 10 characters or fewer.

    `tokens` of those chunks as the model counts them, None where not counted; `cost_usd` None where unknown.
    """

    pending: int
    chunks: int
    skipped: int
    tokens: int | None
    cost_usd: float | None
    sample: tuple[Pending, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Chunks so far. `changed`: their text was edited while it was being embedded, so nothing was stored."""

    processed: int
    failed: int
    changed: int


@dataclass(frozen=True, slots=True)
class FailedChunk:
    chunk_id: str
    empresa_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """What a run did. What is in `processed` is stored, whatever came after.

    `stopped` is the error that ended the run early and `stopped_at` the first chunk (its id) of the page that met it,
    None where it is not known; `interrupted` says that `stop` ended it. `remaining` chunks still wait, None where the
    database could not be asked. `tokens` were embedded, in `seconds`.
    """

    processed: int
    failed: tuple[FailedChunk, ...]
    skipped: int
    changed: int
    tokens: int
    cost_usd: float | None
    seconds: float
    remaining: int | None
    interrupted: bool
    stopped: AteneoError | None
    stopped_at: str | None

    @property
    def rate(self) -> float:
        """Chunks a second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0


class Backfill:
    """Plans and runs. `db` must be a pool: the workers use several connections at once."""

    def __init__(
        self, db: Database, embedding: EmbeddingService, *, batch_size: int = 500, concurrency: int = 4
    ) -> None:
        """`batch_size`: chunks a page, 1 to 5,000; `concurrency`: pages under way, 1 to 64. Raises BadArgument."""
        _check_range("batch_size", batch_size, LARGEST_BATCH)
        _check_range("concurrency", concurrency, MOST_WORKERS)
        self._db = db
        self._embedding = embedding
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._stop = False

    async def plan(
        self, empresa_id: str | None = None, limit: int | None = None, *, count_tokens: bool = True
    ) -> BackfillPlan:
        """Counts, and changes nothing. Tokens are counted a page at a time, which reads every waiting text.

        Raises BadArgument, UnknownEmpresa, GenerationMismatch, DatabaseError.
        """
        await self._check(empresa_id, limit)
        active = await generations.active(self._db)
        if active is not None:
            refuse_other_model(active, self._embedding)
        pending = await chunks.count_pending(self._db, empresa_id)
        tokens = await self._count_tokens(empresa_id, limit) if count_tokens else None
        return BackfillPlan(
            pending=pending,
            chunks=pending if limit is None else min(pending, limit),
            skipped=await chunks.count_skipped(self._db, empresa_id),
            tokens=tokens,
            cost_usd=self._cost(tokens),
            sample=tuple(await _Cursor(self._db, empresa_id, limit, _SAMPLE).next()),
        )

    async def run(
        self,
        empresa_id: str | None = None,
        limit: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> BackfillReport:
        """Embeds and stores, of one company or of all, at most `limit` chunks. `on_progress` is told of every page.

        A text that the provider refuses is reported in `failed`; an error that concerns all of them ends the run and
        is reported in `stopped`. Raises only before anything was begun: BadArgument, UnknownEmpresa,
        GenerationMismatch, DatabaseError, ProviderError.
        """
        await self._check(empresa_id, limit)
        begun = time.monotonic()
        generation = await own_generation(self._db, self._embedding)
        cursor = _Cursor(self._db, empresa_id, limit, self._batch_size)
        run = _Run(self._db, self._embedding, generation, cursor, lambda: self._stop, on_progress)
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._concurrency):
                workers.create_task(run.work())
        skipped, remaining = await self._finish(run, empresa_id)
        return BackfillReport(
            processed=run.processed,
            failed=tuple(run.failed),
            skipped=skipped,
            changed=run.changed,
            tokens=run.tokens,
            cost_usd=self._cost(run.tokens),
            seconds=time.monotonic() - begun,
            remaining=remaining,
            interrupted=self._stop and not cursor.at_end,
            stopped=run.stopped,
            stopped_at=run.stopped_at,
        )

    def stop(self) -> None:
        """Ends the run after the pages in hand, which are stored. A Backfill that was stopped stays so."""
        self._stop = True

    async def _check(self, empresa_id: str | None, limit: int | None) -> None:
        if limit is not None:
            _check_range("limit", limit, None)
        if empresa_id is not None and not await chunks.knows(self._db, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)

    async def _count_tokens(self, empresa_id: str | None, limit: int | None) -> int:
        cursor = _Cursor(self._db, empresa_id, limit, self._batch_size)
        total = 0
        while page := await cursor.next():
            total += sum(await asyncio.to_thread(self._embedding.count_tokens, [chunk.contenido for chunk in page]))
        return total

    def _cost(self, tokens: int | None) -> float | None:
        price = self._embedding.price
        if price == 0:
            return 0.0
        return None if price is None or tokens is None else tokens * price / 1_000_000

    async def _finish(self, run: "_Run", empresa_id: str | None) -> tuple[int, int | None]:
        """Counts what was skipped and what remains."""
        try:
            skipped = await chunks.count_skipped(self._db, empresa_id)
            remaining = await chunks.count_pending(self._db, empresa_id)
        except DatabaseError as error:
            run.stopped = run.stopped or error
            return 0, None
        return skipped, remaining


class _Cursor:
    """Pages of waiting chunks in the order of their key, for several readers."""

    def __init__(self, db: Database, empresa_id: str | None, limit: int | None, size: int) -> None:
        self._db = db
        self._empresa_id = empresa_id
        self._left = limit
        self._size = size
        self._after: tuple[str, str] | None = None
        self._lock = asyncio.Lock()
        self.at_end = False

    async def next(self) -> list[Pending]:
        """The next page; empty at the end."""
        async with self._lock:
            size = self._size if self._left is None else min(self._size, self._left)
            if self.at_end or size == 0:
                return []
            page = await chunks.pending_page(self._db, self._empresa_id, self._after, size)
            if self._left is not None:
                self._left -= len(page)
            self.at_end = len(page) < size or self._left == 0
            if page:
                self._after = (page[-1].chunk_id, page[-1].empresa_id)
            return page


@dataclass(slots=True)
class _Run:
    """One run under way: what its workers share."""

    db: Database
    embedding: EmbeddingService
    generation: Generation
    cursor: _Cursor
    stop_asked: Callable[[], bool]
    on_progress: Callable[[Progress], None] | None
    processed: int = 0
    changed: int = 0
    tokens: int = 0
    failed: list[FailedChunk] = field(default_factory=list)
    stopped: AteneoError | None = None
    stopped_at: str | None = None

    async def work(self) -> None:
        """Takes page after page until there is none, somebody asks to stop, or an error ends the run."""
        page: list[Pending] = []
        try:
            while not self.stop_asked() and self.stopped is None and (page := await self.cursor.next()):
                await self._settle(page)
                page = []
        except AteneoError as error:
            if self.stopped is None:
                self.stopped, self.stopped_at = error, page[0].chunk_id if page else None

    async def _settle(self, page: list[Pending], *, provider_works: bool = False) -> None:
        """Embeds and stores; what the provider does not take is halved, down to the single text."""
        if self.stopped is not None:
            return
        try:
            embedded = await self.embedding.embed_matrix([chunk.contenido for chunk in page])
        except _ABOUT_THE_TEXT as error:
            if not provider_works:
                # One call tells a bad text from a bad provider, which would otherwise fail a thousand times.
                await self.embedding.embed_matrix([_HARMLESS])
            if len(page) == 1:
                self.failed.append(FailedChunk(page[0].chunk_id, page[0].empresa_id, error.message))
                self._tell()
                return
            half = len(page) // 2
            await self._settle(page[:half], provider_works=True)
            await self._settle(page[half:], provider_works=True)
            return
        refuse_other_model(self.generation, self.embedding)
        stored = await chunks.store_embeddings(self.db, self.generation.number, page, embedded.vectors)
        self.processed += stored
        self.changed += len(page) - stored
        self.tokens += sum(embedded.tokens)
        self._tell()

    def _tell(self) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(self.processed, len(self.failed), self.changed))


def _check_range(name: str, value: int, most: int | None) -> None:
    if value < 1 or (most is not None and value > most):
        rule = (
            tr("tiene que ser 1 o más", "it must be 1 or more")
            if most is None
            else tr(f"va de 1 a {most}", f"it goes from 1 to {most}")
        )
        raise BadArgument(name=name, value=value, rule=rule)
