"""A change of embedding model while everybody goes on searching. See docs/adr/0015-switch-of-model.md.

Each step finds what it has to do in the database, so that whatever was interrupted goes on with the next call:
`begin` (a generation beside the live one), `fill`, `index`, then `activate` in one transaction, and the guide's column
(embedding/legacy_column.py). `rollback` goes back, `prune` ends what is kept for that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ateneo.db import advisory_lock, dead_letters, generations, health
from ateneo.db import switch as store
from ateneo.db.dead_letters import Depth
from ateneo.db.pool import Database
from ateneo.db.switch import Disk, Filled
from ateneo.embedding import legacy_column as column
from ateneo.embedding.batch import Totals
from ateneo.embedding.current_model import Models
from ateneo.embedding.engine import Engine
from ateneo.embedding.generation import is_of
from ateneo.embedding.legacy_column import Tell
from ateneo.embedding.queue import LEASE_S, usual_concurrency
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import GenerationMismatch, ProviderRefusedInput, SwitchRefused
from ateneo.i18n import number, tr
from ateneo.indexing import maintenance
from ateneo.indexing.maintenance import Progress, Task, Tuned
from ateneo.text.clean import clean
from ateneo.types import Generation

_SWITCH = "ateneo.switch"
_TRIAL = 32
_PAGE = 500
_TOLERATED = 0.01
"""Share of the chunks that may lack a vector at the switch without further ado: refused texts, the latest edits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a switch would take. `chunks` of `total` still lack a vector of the new model. `tokens` None where not
    counted, `usd` where the price is not known; `seconds` by what the provider took for the first texts. `column`: the
    type of the guide's column where it cannot hold these vectors."""

    active: Generation
    provider: str
    model: str
    dims: int
    begun: Generation | None
    chunks: int
    total: int
    tokens: int | None
    usd: float | None
    seconds: float
    disk: Disk
    column: str | None

    @property
    def done(self) -> bool:
        """The model is active already; the guide's column may still have to follow."""
        return self.begun is not None and self.begun.active


@dataclass(frozen=True, slots=True)
class Status:
    """A generation. `at_hand`: the settings of this process have what its model takes; `over_budget`: chunks that wait
    for their company's next month; `at_work`: right now a process changes to it, or brings the column to it."""

    filled: Filled
    at_hand: bool
    over_budget: int
    at_work: bool


class Switch:
    """From the active generation to `embedding`'s model. `db` must be a pool."""

    def __init__(
        self,
        db: Database,
        embedding: EmbeddingService,
        *,
        asked_dims: int | None = None,
        concurrency: int = 4,
        lease_s: float = LEASE_S,
    ) -> None:
        """`asked_dims`: asked of the provider, None for the model's own; `concurrency`: batches under way; `lease_s`:
        as of EmbeddingQueue."""
        self.db = db
        self.embedding = embedding
        self._asked_dims = asked_dims
        self._concurrency = concurrency
        self._lease_s = lease_s

    async def plan(self, *, threshold: int, count_tokens: bool, on_count: Tell | None = None) -> Plan:
        """Changes nothing; the new model embeds a few texts, to know its dimensions, its speed and that it answers.

        `threshold`: vectors from which a company gets an HNSW index. Raises SwitchRefused, ProviderError.
        """
        active = await self._active()
        limiter = await self._trial()
        dims = self.embedding.dims or 0
        begun = await self._own(dims)
        status = {one.generation.number: one for one in await store.filled(self.db)}
        total = status[active.number].chunks
        missing = status[begun.number].missing if begun else total
        tokens = await self._tokens(begun, missing, on_count) if count_tokens else None
        price = self.embedding.price
        fixed = await health.guide_column(self.db)
        return Plan(
            active=active,
            provider=self.embedding.provider,
            model=self.embedding.model,
            dims=dims,
            begun=begun,
            chunks=missing,
            total=total,
            tokens=tokens,
            usd=0.0 if price == 0 else None if price is None or tokens is None else tokens * price / 1_000_000,
            seconds=missing * limiter / (1 if self.embedding.provider == "local" else self._concurrency),
            disk=await store.disk(self.db, dims, threshold),
            column=None if fixed in (None, "vector", f"vector({dims})") else fixed,
        )

    async def begin(self) -> Generation:
        """The generation that is filled: made, or the one that was begun before."""
        if self.embedding.dims is None:
            await self.embedding.generate_embedding("dimensiones")
        dims = self.embedding.dims
        assert dims is not None
        return await self._own(dims) or await generations.create(
            self.db, self.embedding.provider, self.embedding.model, dims, self._asked_dims
        )

    async def fill(
        self,
        generation: Generation,
        on_progress: Callable[[Totals], None] = lambda _: None,
        *,
        revive: bool = True,
    ) -> Totals:
        """Embeds what the generation lacks, also what is edited meanwhile. Raises ProviderError, DatabaseError; what
        was stored until then stays."""
        engine = Engine(
            self.db,
            self.embedding,
            generation,
            concurrency=usual_concurrency(self.embedding, self._concurrency),
            lease_s=self._lease_s,
            on_batch=lambda _: on_progress(engine.totals),
        )
        await engine.fill(revive=revive)
        await engine.run_to_the_end()
        if engine.failure is not None:
            raise engine.failure
        return engine.totals

    async def index(
        self, generation: Generation, *, threshold: int, on_progress: Callable[[Task, Progress], None] | None = None
    ) -> AsyncIterator[Tuned]:
        """Large companies' HNSW indexes, CONCURRENTLY. Raises MaintenanceRunning."""
        async for tuned in maintenance.index_generation(
            self.db, generation.number, threshold=threshold, on_progress=on_progress
        ):
            yield tuned

    async def activate(self, generation: Generation, *, force: bool = False) -> None:
        """From here on everybody searches it. Raises SwitchRefused where chunks lack a vector, unless `force`."""
        await self.fill(generation, revive=False)
        found = next(one for one in await store.filled(self.db) if one.generation.number == generation.number)
        if found.missing > _TOLERATED * found.chunks and not force:
            raise _incomplete(found, await over_budget(self.db, generation.number))
        await generations.activate(self.db, generation.number)

    async def _active(self) -> Generation:
        active = await generations.active(self.db)
        if active is None:
            raise SwitchRefused(
                detail=tr("Todavía no hay vectores que cambiar.", "There are no vectors to change yet."),
                remedy=tr(
                    "Elegí el modelo con ATENEO_EMBEDDING_PROVIDER y ATENEO_EMBEDDING_MODEL, y hacé `ateneo backfill`.",
                    "Choose the model with ATENEO_EMBEDDING_PROVIDER and ATENEO_EMBEDDING_MODEL: `ateneo backfill`.",
                ),
            )
        return active

    async def _own(self, dims: int) -> Generation | None:
        kept = await generations.all_generations(self.db)
        filling_one = next((one for one in kept if one.state == "filling"), None)
        own = next((one for one in kept if is_of(one, self.embedding) and one.dims == dims), None)
        if own is None and filling_one is not None:
            raise generations.another_fills(filling_one)
        return own

    async def _trial(self) -> float:
        """Seconds a text, of one request."""
        found = await store.missing_texts(self.db, None, None, _TRIAL)
        texts = [one.contenido for one in found if clean(one.contenido).strip()]
        await self.embedding.generate_embedding("dimensiones")
        begun = time.perf_counter()
        try:
            await self.embedding.embed_matrix(texts)
        except ProviderRefusedInput:  # one of the texts is refused: the fill finds out which
            texts = ["prueba"] * len(texts)
            begun = time.perf_counter()
            await self.embedding.embed_matrix(texts)
        return (time.perf_counter() - begun) / max(len(texts), 1)

    async def _tokens(self, begun: Generation | None, total: int, on_count: Tell | None) -> int:
        tokens, seen, after = 0, 0, None
        while page := await store.missing_texts(self.db, begun.number if begun else None, after, _PAGE):
            tokens += sum(await asyncio.to_thread(self.embedding.billable_tokens, [one.contenido for one in page]))
            seen, after = seen + len(page), (page[-1].chunk_id, page[-1].empresa_id)
            if on_count is not None:
                on_count(seen, max(total, seen))
        return tokens


# --- what needs no new model --------------------------------------------------------------------------------------


async def status(db: Database, models: Models) -> list[Status]:
    """Every generation that is kept, oldest first."""
    changing, refilling = await store.under_way(db, _SWITCH), await store.under_way(db, column.LOCK)
    depths = await dead_letters.depths(db)
    found = []
    for filled in await store.filled(db):
        one = filled.generation
        at_work = (changing and one.state == "filling") or (refilling and one.active and not one.legacy)
        found.append(Status(filled, models.of(one) is not None, _unpaid(depths, one.number), at_work))
    return found


async def over_budget(db: Database, number: int) -> int:
    """Chunks that wait for a vector of the generation, of companies that have spent what they may this month."""
    return _unpaid(await dead_letters.depths(db), number)


def _unpaid(depths: Sequence[Depth], number: int) -> int:
    return sum(one.pending for one in depths if one.generation == number and one.over_budget)


def _incomplete(found: Filled, unpaid: int) -> SwitchRefused:
    label, missing, chunks = found.generation.label, number(found.missing), number(found.chunks)
    return SwitchRefused(
        detail=tr(
            f"Chunks sin su vector de {label}: {missing} de {chunks}; sin presupuesto {number(unpaid)}, apartados con"
            f" error {number(found.dead)}.",
            f"Chunks without their vector of {label}: {missing} of {chunks}; without a budget {number(unpaid)}, dead"
            f" letters {number(found.dead)}.",
        ),
        remedy=tr(
            "Mirá cuáles con `ateneo budget show` y `ateneo queue list`; --force pasa igual.",
            "See which with `ateneo budget show` and `ateneo queue list`; --force goes on all the same.",
        ),
    )


@asynccontextmanager
async def alone(db: Database) -> AsyncIterator[None]:
    """For one change of model at a time. Raises SwitchRefused where another one is at work."""
    async with advisory_lock.locked(db, _SWITCH) as mine:
        if not mine:
            raise _changing()
        yield


async def refuse_second(db: Database) -> None:
    """As `alone`, before anybody has waited for a plan."""
    if await store.under_way(db, _SWITCH):
        raise _changing()


def _changing() -> SwitchRefused:
    return SwitchRefused(
        detail=tr("Otro proceso está cambiando el modelo ahora mismo.", "Another process is changing the model."),
        remedy=tr("Mirá cómo va con `ateneo embeddings status`.", "`ateneo embeddings status` shows how it goes."),
    )


def out_of_reach(generation: Generation) -> SwitchRefused:
    """Where the settings have not what a generation's model takes."""
    return SwitchRefused(
        detail=tr(
            f"La configuración no tiene con qué usar {generation.label}.",
            f"The settings have not what it takes to use {generation.label}.",
        ),
        remedy=tr(
            "Agregá su clave, dirección o carpeta: docs/how-to/switch-model.md.",
            "Add its key, address or folder: docs/how-to/switch-model.md.",
        ),
    )


async def rollback(db: Database) -> tuple[Generation, Generation]:
    """Goes back to the generation that was active before, in one transaction; returns (left, returned to).

    Raises SwitchRefused where none is kept.
    """
    kept = await generations.searchable(db)
    if len(kept) < 2:
        raise SwitchRefused(
            detail=tr("No hay un modelo anterior al que volver.", "There is no earlier model to go back to."),
            remedy=tr(
                "`ateneo embeddings status` muestra los que hay.", "`ateneo embeddings status` shows those there are."
            ),
        )
    await generations.activate(db, kept[1].number)
    return kept[0], kept[1]


async def prunable(db: Database, number: int | None = None) -> list[Filled]:
    """What `prune` would end: those before the active one, or the one that is named; it may be one that fills.

    Raises SwitchRefused for one that is not kept, is active, or whose vectors the guide's column holds.
    """
    found = [
        one
        for one in await store.filled(db)
        if (one.generation.state == "previous" if number is None else one.generation.number == number)
    ]
    if number is not None and not found:
        raise SwitchRefused(
            detail=tr(f"No hay una generación {number}.", f"There is no generation {number}."),
            remedy=tr(
                "`ateneo embeddings status` muestra las que hay.", "`ateneo embeddings status` shows those there are."
            ),
        )
    for one in found:
        if one.generation.active or one.generation.legacy:
            raise SwitchRefused(
                detail=tr(
                    f"La generación {one.generation.number} ({one.generation.label}) está en uso.",
                    f"The generation {one.generation.number} ({one.generation.label}) is in use.",
                ),
                remedy=tr(
                    "Es la que se busca, o knowledge_chunks.embedding tiene sus vectores: terminá el cambio con"
                    " `ateneo embeddings switch`.",
                    "It is searched, or knowledge_chunks.embedding holds its vectors: end the switch with"
                    " `ateneo embeddings switch`.",
                ),
            )
    return found


async def prune(db: Database, targets: list[Filled]) -> bool:
    """Ends them: nobody begins to use them, then their tables, indexes and queue rows go. Also what an interrupted one
    left. False where a transaction stayed open: their tables go with the next call."""
    for one in targets:
        try:
            await store.retire(db, one.generation.number)
        except GenerationMismatch as error:
            raise SwitchRefused(detail=error.fields["asked"], remedy="ateneo embeddings status") from error
    left = await store.undropped(db)
    if not left:
        return True
    settled = await store.settled(db, column.SETTLE_S)
    return settled and all([await store.drop(db, number) for number in left])
