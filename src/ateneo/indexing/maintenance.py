"""Upkeep of the search index: tune, rebuild, and how true it is. Nothing here blocks readers or writers."""

import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from ateneo.db import generations, indexes, rebuild, statistics
from ateneo.db import recall as measured
from ateneo.db.indexes import CompanyIndex, Part, Progress, Task
from ateneo.db.pool import Database
from ateneo.errors import UnknownEmpresa
from ateneo.tenant_id import tenant_id
from ateneo.types import Matrix, Tenant

__all__ = ["CompanyIndex", "Part", "Progress", "Rebuilt", "Recall", "Status", "Task", "Tuned"]

THRESHOLD = 5000
"""Vectors of a company from which it gets an HNSW index of its own; below half of it the index goes."""
WAIT_S = 600.0
PAGE = 200
_NOISE = 0.5
_STRANGE = 0.8
_EF_SEARCH = (200, 400, 700, 1000)
_ENOUGH = 0.993
"""Recall@10 from which an hnsw.ef_search suffices: above the .99 that is promised, since 60 questions are a sample."""


@dataclass(frozen=True, slots=True)
class Status:
    """The search index: its tables, its companies (largest first), what there is to do, and rebuilds not finished."""

    generation: int | None
    parts: tuple[Part, ...]
    companies: tuple[CompanyIndex, ...]
    tasks: tuple[Task, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tuned:
    """One thing done. `action`: clean, drop, reindex, create, vacuum or statistics. Not `done`: a transaction that is
    open elsewhere kept it waiting too long, and the next run tries again."""

    action: str
    target: str
    empresa_id: str | None
    vectors: int
    seconds: float
    done: bool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`resumed`: chunks that an interrupted run had done. `busy`: chunks that a writer held all the time; the writer's
    own transaction brings their index up to date where it changes text or vector."""

    chunks: int
    resumed: int
    busy: int


@dataclass(frozen=True, slots=True)
class Recall:
    """`index_name` None: an exact scan."""

    empresa_id: str
    recall: float
    k: int
    queries: int
    index_name: str | None


async def status(db: Database, *, threshold: int = THRESHOLD) -> Status:
    active = await generations.active(db)
    number = active.number if active else None
    return Status(
        generation=number,
        parts=tuple(await indexes.parts(db)),
        companies=tuple(await indexes.companies(db, number or 0)) if number else (),
        tasks=tuple(await indexes.plan(db, number, threshold)) if number else (),
        unfinished=tuple(await rebuild.unfinished(db)),
    )


async def tune(
    db: Database,
    *,
    threshold: int = THRESHOLD,
    wait_s: float = WAIT_S,
    bm25: tuple[float | None, float | None] = (None, None),
    on_progress: Callable[[Task, Progress], None] | None = None,
) -> AsyncIterator[Tuned]:
    """Does what there is to do, yielding each thing done. A build waits up to `wait_s` seconds for transactions that
    are open elsewhere; nobody waits for it. `bm25`: the k1 and b that every company is to have; None leaves them.
    Raises MaintenanceRunning."""
    async with indexes.alone(db) as own:
        await rebuild.reweigh(own, *bm25)
        for generation in await generations.all_generations(own):
            async for tuned in _tune_generation(own, db, generation.number, threshold, wait_s, on_progress):
                yield tuned
        for scope in await rebuild.unfinished(own):
            yield await _finish(own, scope)
        for empresa_id in await statistics.stale(own):
            yield await _refresh(own, empresa_id)


async def index_generation(
    db: Database,
    generation: int,
    *,
    threshold: int = THRESHOLD,
    wait_s: float = WAIT_S,
    only: Collection[str] | None = None,
    on_progress: Callable[[Task, Progress], None] | None = None,
) -> AsyncIterator[Tuned]:
    """As `tune`, but the indexes of one generation alone; `only`: those of these names."""
    async with indexes.alone(db) as own:
        async for tuned in _tune_generation(own, db, generation, threshold, wait_s, on_progress, only):
            yield tuned


async def _tune_generation(
    db: Database,
    watcher: Database,
    generation: int,
    threshold: int,
    wait_s: float,
    on_progress: Callable[[Task, Progress], None] | None,
    only: Collection[str] | None = None,
) -> AsyncIterator[Tuned]:
    touched: set[str] = set()
    # planned twice: what an interrupted build left stands in the way of a new one
    for actions in (("clean", "drop"), ("reindex", "create")):
        for task in await indexes.plan(db, generation, threshold):
            if task.action not in actions or (only is not None and task.name not in only):
                continue
            tell = None if on_progress is None else partial(on_progress, task)
            begun = time.perf_counter()
            done = await indexes.carry_out(db, generation, task, wait_s=wait_s, watcher=watcher, on_progress=tell)
            if done and task.empresa_id and task.action in ("reindex", "create"):
                await _settle_ef_search(db, generation, task.empresa_id)
                touched.add(task.leaf)
            yield Tuned(task.action, task.name, task.empresa_id, task.vectors, time.perf_counter() - begun, done)
    # after the reindex, because a vacuum would first mend the worn graph, row by row
    for leaf in sorted(touched):
        begun = time.perf_counter()
        await indexes.vacuum(db, leaf)
        yield Tuned("vacuum", leaf, None, 0, time.perf_counter() - begun, True)


async def _settle_ef_search(db: Database, generation: int, empresa_id: str, sample: int = 60) -> None:
    """The least effort with which this graph finds what an exact scan finds, for easy questions and for hard ones."""
    vectors = await measured.sample_vectors(db, generation, empresa_id, sample)
    if not len(vectors):
        return
    half = len(vectors) // 2
    queries = np.concatenate([_near(vectors[half:]), _between(vectors[:half])])
    for ef_search in _EF_SEARCH:
        if await measured.measure(db, generation, empresa_id, queries, 10, ef_search=ef_search) >= _ENOUGH:
            break
    await measured.keep_ef_search(db, generation, empresa_id, ef_search)


def _near(vectors: Matrix) -> Matrix:
    """Noise of half their length added: cosine to the chunk about .9, as of a question to its passage."""
    noise = np.random.default_rng().standard_normal(vectors.shape, dtype=np.float32)
    near: Matrix = vectors + _NOISE * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    return near


def _between(vectors: Matrix) -> Matrix:
    """Each between its chunk and a stranger: far from every chunk, where a graph is searched with most trouble."""
    between: Matrix = vectors + _STRANGE * np.roll(vectors, 1, axis=0)
    return between


async def finish_rebuilds(db: Database, *, on_page: Callable[[int, int], None] | None = None) -> int:
    """Ends the rebuilds that were begun, or that an upgrade asks for; `on_page` as of `rebuild_index`. Returns how many
    chunks that were. Raises MaintenanceRunning."""
    if not await rebuild.unfinished(db):
        return 0
    async with indexes.alone(db, builds=False) as own:
        return sum([(await _rebuild(own, scope, on_page)).chunks for scope in await rebuild.unfinished(own)])


async def _finish(db: Database, scope: str) -> Tuned:
    begun = time.perf_counter()
    made = await _rebuild(db, scope, None)
    return Tuned("rebuild", scope, scope or None, made.chunks, time.perf_counter() - begun, made.busy == 0)


async def _refresh(db: Database, empresa_id: str) -> Tuned:
    begun = time.perf_counter()
    if await rebuild.resettle(db, empresa_id):
        await _rebuild(db, empresa_id, None)
    else:
        await statistics.refresh(db, empresa_id)
    return Tuned("statistics", empresa_id, empresa_id, 0, time.perf_counter() - begun, True)


async def rebuild_index(
    db: Database, empresa_id: Tenant | None = None, *, on_page: Callable[[int, int], None] | None = None
) -> Rebuilt:
    """The words, the vectors of the guide's column and the statistics anew from the chunks table, of one company or of
    all, then the indexes on them. Interrupted, it goes on where it was with the next call of the same scope.

    `on_page` is told (chunks done, chunks in all). Raises MaintenanceRunning, UnknownEmpresa.
    """
    empresa_id = None if empresa_id is None else tenant_id(empresa_id)
    async with indexes.alone(db) as own:
        if empresa_id is not None and not await rebuild.size(own, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)
        made = await _rebuild(own, empresa_id or "", on_page)
        if empresa_id is None:
            await indexes.reindex_words(own)
        await _reindex(own, db, empresa_id)
    return made


async def _reindex(db: Database, watcher: Database, empresa_id: str | None) -> None:
    """Builds anew the graphs of one company or of all."""
    for generation in await generations.all_generations(db):
        for task in await indexes.plan(db, generation.number, threshold=1, worn=-1):
            if task.action != "reindex" or task.empresa_id is None or empresa_id not in (None, task.empresa_id):
                continue
            if await indexes.carry_out(db, generation.number, task, wait_s=WAIT_S, watcher=watcher):
                await _settle_ef_search(db, generation.number, task.empresa_id)


async def _rebuild(db: Database, scope: str, on_page: Callable[[int, int], None] | None) -> Rebuilt:
    resumed = done = await rebuild.begin(db, scope)
    total = await rebuild.size(db, scope)
    busy: list[tuple[str, str]] = []
    while (page := await rebuild.page(db, scope, PAGE)) is not None:
        busy += page.busy
        done += page.chunks
        if on_page is not None:
            on_page(done, max(total, done))
    held = [row for row in busy if not await rebuild.row(db, *row)]
    for again in await rebuild.end(db, scope):
        await _rebuild(db, again, None)
    for company in await rebuild.companies(db, scope):
        await statistics.refresh(db, company)
    return Rebuilt(chunks=done, resumed=resumed, busy=len(held))


async def measure_recall(
    db: Database, empresa_id: str, generation: int, sample: int = 50, k: int = 10, *, queries: Matrix | None = None
) -> Recall | None:
    """Share of the exact k nearest chunks that search finds for this company; None where it has no vectors.

    Asked are `queries` (n, dims) where given, else `sample` vectors of its own chunks with noise of half their
    length added.
    """
    if queries is None:
        vectors = await measured.sample_vectors(db, generation, empresa_id, sample)
        if not len(vectors):
            return None
        queries = _near(vectors)
    recall = await measured.measure(db, generation, empresa_id, queries, k)
    index_name = await indexes.indexed(db, generation, empresa_id)
    return Recall(empresa_id=empresa_id, recall=recall, k=k, queries=len(queries), index_name=index_name)


async def measure_all(db: Database, sample: int = 50, k: int = 10) -> AsyncIterator[Recall]:
    """The recall of every company with vectors in the active generation, largest first."""
    active = await generations.active(db)
    if active is None:
        return
    for company in await indexes.companies(db, active.number):
        found = await measure_recall(db, company.empresa_id, active.number, sample, k)
        if found is not None:
            yield found
