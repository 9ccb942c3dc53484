"""The backfill: embeddings for the chunks that have none. See docs/adr/0006-backfill.md.

Plans, queues whatever the triggers have not seen, and drains the queue with the worker's own engine.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ateneo.db import chunks, generations, usage
from ateneo.db.indexes import Outgrown
from ateneo.db.pool import Database
from ateneo.embedding.batch import Batch, FailedChunk, Totals
from ateneo.embedding.engine import Engine
from ateneo.embedding.generation import gives_way, own_generation, refuse_foreign_vectors, refuse_other_model
from ateneo.embedding.queue import LEASE_S, usual_batch_size
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import AteneoError, BadArgument, DatabaseError, MaintenanceRunning, UnknownEmpresa
from ateneo.i18n import tr
from ateneo.indexing import bulk_load, maintenance
from ateneo.indexing.maintenance import Tuned
from ateneo.tenant_id import tenant_id
from ateneo.types import Pending, Tenant

__all__ = ["Backfill", "BackfillPlan", "BackfillReport", "FailedChunk", "IndexNews", "Outgrown"]

IndexNews: TypeAlias = Outgrown | Tuned
"""An index that is dropped before the fill, or something done to build it anew behind it."""

LARGEST_BATCH = 5000
MOST_WORKERS = 64
_SAMPLE = 3


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
class BackfillReport:
    """What a run did. What is in `processed` is stored, whatever came after.

    `stopped` is the error that ended the run early and `stopped_at` the first chunk (its id) of the page that met it,
    None where it is not known; `interrupted` says that `stop` ended it. `remaining` chunks still wait, None where the
    database could not be asked. `tokens` were billed, in `seconds`; `copied` of the `processed` have a text that was
    embedded before, and cost nothing. `over_budget`: companies that have spent what they may this month, and wait.
    `indexed`: companies whose HNSW index was dropped for the fill and built anew behind it; `set_aside`: names of
    indexes that still are to be built, by the next run or by `ateneo index tune`.
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
    copied: int = 0
    over_budget: tuple[str, ...] = ()
    indexed: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Chunks a second."""
        return self.processed / self.seconds if self.seconds > 0 else 0.0


class Backfill:
    """Plans and runs. `db` must be a pool: the workers use several connections at once."""

    def __init__(
        self,
        db: Database,
        embedding: EmbeddingService,
        *,
        batch_size: int | None = None,
        concurrency: int | None = None,
        lease_s: float = LEASE_S,
        threshold: int = maintenance.THRESHOLD,
        rebuild_from: float | None = bulk_load.REBUILD_FROM,
    ) -> None:
        """`batch_size`: chunks a page, 1 to 5,000, and `concurrency`: pages under way, 1 to 64, None for what suits the
        provider; `lease_s`: as of EmbeddingQueue; `threshold`: vectors from which a company has an HNSW index;
        `rebuild_from`: as `bulk_load.REBUILD_FROM`, None for never. Raises BadArgument."""
        _check_range("batch_size", batch_size, LARGEST_BATCH)
        _check_range("concurrency", concurrency, MOST_WORKERS)
        self._db = db
        self._embedding = embedding
        self._batch_size = batch_size or usual_batch_size(embedding)
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._threshold, self._rebuild_from = threshold, rebuild_from
        self._stop = False
        self._engine: Engine | None = None

    async def plan(
        self, empresa_id: Tenant | None = None, limit: int | None = None, *, count_tokens: bool = True
    ) -> BackfillPlan:
        """Counts, and changes nothing. Tokens are counted of each text that would be sent: once a company, and not
        where the company has its vector already. That reads every waiting text, a page at a time.

        Raises BadArgument, UnknownEmpresa, GenerationMismatch (ForeignVectors), DatabaseError.
        """
        empresa_id = None if empresa_id is None else tenant_id(empresa_id)
        await self._check(empresa_id, limit)
        active = await generations.active(self._db)
        if active is None or await gives_way(self._db, active, self._embedding):
            await refuse_foreign_vectors(self._db, self._embedding)
        else:
            refuse_other_model(active, self._embedding)
        pending = await chunks.count_pending(self._db, empresa_id)
        tokens = await self._count_tokens(empresa_id, limit) if count_tokens else None
        return BackfillPlan(
            pending=pending,
            chunks=pending if limit is None else min(pending, limit),
            skipped=await chunks.count_skipped(self._db, empresa_id),
            tokens=tokens,
            cost_usd=self._cost(tokens),
            sample=tuple(await chunks.pending_page(self._db, empresa_id, None, min(limit or _SAMPLE, _SAMPLE))),
        )

    async def run(
        self,
        empresa_id: Tenant | None = None,
        limit: int | None = None,
        on_progress: Callable[[Totals], None] | None = None,
        on_index: Callable[[IndexNews], None] | None = None,
    ) -> BackfillReport:
        """Embeds and stores, of one company or of all, at most `limit` chunks. `on_progress` is told of every page,
        `on_index` of every index that is dropped before a large fill, or built anew behind it.

        A text that the provider refuses is reported in `failed`; an error that concerns all of them ends the run and
        is reported in `stopped`. Raises only before anything was begun: BadArgument, UnknownEmpresa,
        GenerationMismatch, DatabaseError, ProviderError.
        """
        empresa_id = None if empresa_id is None else tenant_id(empresa_id)
        await self._check(empresa_id, limit)
        begun = time.monotonic()
        generation = await own_generation(self._db, self._embedding)
        run = _Run(on_index)

        def on_batch(batch: Batch) -> None:
            run.failed.extend(batch.failed)
            if on_progress is not None:
                on_progress(engine.totals)

        self._engine = engine = Engine(
            self._db,
            self._embedding,
            generation,
            batch_size=self._batch_size,
            concurrency=self._concurrency,
            lease_s=self._lease_s,
            on_batch=on_batch,
        )
        await engine.fill(empresa_id, revive=True)
        if self._stop:
            engine.stop()
        try:
            await self._set_aside(run, generation.number, empresa_id, limit)
            await engine.run_to_the_end(empresa_id, limit)
            if engine.failure is None:
                await self._build_again(run, generation.number)
        except DatabaseError as error:
            engine.failure = error
        return await self._report(run, engine, empresa_id, time.monotonic() - begun)

    def stop(self) -> None:
        """Ends the run after the pages in progress, which are stored. A Backfill that was stopped stays so."""
        self._stop = True
        if self._engine is not None:
            self._engine.stop()

    async def _set_aside(self, run: "_Run", generation: int, empresa_id: str | None, limit: int | None) -> None:
        if self._rebuild_from is None or self._stop:
            return
        for one in await bulk_load.set_aside(
            self._db, generation, share=self._rebuild_from, empresa_id=empresa_id, limit=limit
        ):
            run.tell_index(one)

    async def _build_again(self, run: "_Run", generation: int) -> None:
        """Also what an earlier run left; whoever wants to leave now leaves it to the next."""
        if not self._stop:
            with contextlib.suppress(MaintenanceRunning):
                async for tuned in bulk_load.build_again(self._db, generation, threshold=self._threshold):
                    run.tell_index(tuned)

    async def _report(self, run: "_Run", engine: Engine, empresa_id: str | None, seconds: float) -> BackfillReport:
        stopped, done = engine.failure, engine.totals
        skipped, remaining = 0, None
        spent: tuple[str, ...] = ()
        to_build: set[str] = set()
        try:
            skipped = await chunks.count_skipped(self._db, empresa_id)
            remaining = await chunks.count_pending(self._db, empresa_id)
            spent = tuple(one.empresa_id for one in await usage.budgets(self._db, empresa_id) if one.spent)
            to_build = await bulk_load.left(self._db, engine.generation.number)
        except DatabaseError as error:
            stopped = stopped or error
        return BackfillReport(
            processed=done.processed,
            failed=tuple(run.failed),
            skipped=skipped,
            changed=done.changed,
            tokens=done.tokens,
            cost_usd=self._cost(done.tokens),
            seconds=seconds,
            remaining=remaining,
            interrupted=self._stop and stopped is None and remaining != 0,
            stopped=stopped,
            stopped_at=engine.outage_at,
            copied=done.copied,
            over_budget=spent,
            indexed=tuple(run.indexed),
            set_aside=tuple(sorted(to_build)),
        )

    async def _check(self, empresa_id: str | None, limit: int | None) -> None:
        _check_range("limit", limit, None)
        if empresa_id is not None and not await chunks.knows(self._db, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)

    async def _count_tokens(self, empresa_id: str | None, limit: int | None) -> int:
        active = await generations.active(self._db)
        number = None if active is None else active.number
        total = 0
        async for texts in chunks.texts_to_embed(self._db, number, empresa_id, limit, self._batch_size):
            total += sum(await asyncio.to_thread(self._embedding.billable_tokens, texts))
        return total

    def _cost(self, tokens: int | None) -> float | None:
        price = self._embedding.price
        if price == 0:
            return 0.0
        return None if price is None or tokens is None else tokens * price / 1_000_000


@dataclass(slots=True)
class _Run:
    """What one run tells of beside its totals."""

    on_index: Callable[[IndexNews], None] | None
    indexed: list[str] = field(default_factory=list)
    failed: list[FailedChunk] = field(default_factory=list)

    def tell_index(self, news: IndexNews) -> None:
        if isinstance(news, Tuned) and news.action == "create" and news.done and news.empresa_id is not None:
            self.indexed.append(news.empresa_id)
        if self.on_index is not None:
            self.on_index(news)


def _check_range(name: str, value: int | None, most: int | None) -> None:
    if value is not None and (value < 1 or (most is not None and value > most)):
        rule = (
            tr("tiene que ser 1 o más", "it must be 1 or more")
            if most is None
            else tr(f"va de 1 a {most}", f"it goes from 1 to {most}")
        )
        raise BadArgument(name=name, value=value, rule=rule)
