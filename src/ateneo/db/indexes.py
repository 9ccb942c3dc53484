"""Upkeep of the search index: what there is, what there is to do, and the statements that do it.

Builds run CONCURRENTLY: they wait for transactions that are open elsewhere, and nobody waits for them.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from ateneo.db import advisory_lock, pgvector
from ateneo.db.pool import Connection, Database
from ateneo.errors import DatabaseError, MaintenanceRunning

WORN = 0.2
"""Share of a graph's vectors, deleted or changed since it was built, from which it is built anew."""
_LOCK = "ateneo.maintenance"
_DAY_S = 86_400.0
_POLL_S = 0.5
_SMALLEST_GRAPH, _LARGEST_GRAPH = 16 * 1024**2, 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do: clean (what an interrupted build left), drop, set_aside, reindex or create. Sizes in vectors and
    bytes."""

    action: str
    empresa_id: str | None
    name: str
    leaf: str
    vectors: int
    graph_bytes: int
    statement: str


@dataclass(frozen=True, slots=True)
class Outgrown:
    """An index for whose company `waiting` chunks wait, many beside the vectors that it holds; `task` drops it."""

    empresa_id: str
    waiting: int
    task: Task


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a build is, as PostgreSQL tells it: its phase, and units done of a total (0 where it has none)."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class CompanyIndex:
    """The index of one company. `avgdl`: words a chunk, the one baked into the weights and the present one.

    `index_name` is None where a search reads all of its vectors. `churn` is the share of the graph's rows that were
    deleted or updated since it was built; `recall` the last one measured, at `recall_k`.
    """

    empresa_id: str
    chunks: int
    vectors: int
    index_name: str | None
    index_bytes: int
    churn: float | None
    stats_chunks: int | None
    stats_avgdl: float | None
    avgdl: float
    stats_built_at: str | None
    stats_stale: bool
    recall: float | None
    recall_k: int | None
    recall_at: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A table of the search index with its indexes: rows by the planner's estimate, and bytes."""

    name: str
    rows: int
    table_bytes: int
    index_bytes: int


async def plan(db: Database, generation: int, threshold: int, *, worn: float = WORN) -> list[Task]:
    """What there is to do, in order: an index comes at `threshold` vectors, goes below half of it, and is built anew
    at a churn of `worn`."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM ateneo.index_plan($1::smallint, $2, $3)", generation, threshold, worn
        )
    return [Task(**row) for row in rows]


async def outgrown(
    db: Database, generation: int, share: float, *, empresa_id: str | None = None, limit: int | None = None
) -> list[Outgrown]:
    """The indexes of companies for which at least `share` of the vectors in the graph waits to be filled in, of one
    company or of all; `limit`: what the fill will do at most."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM ateneo.indexes_outgrown($1::smallint, $2, $3, $4)", generation, share, empresa_id, limit
        )
    return [
        Outgrown(
            row["empresa_id"],
            row["waiting"],
            Task("set_aside", row["empresa_id"], row["name"], row["leaf"], row["vectors"], 0, row["statement"]),
        )
        for row in rows
    ]


async def set_aside(db: Database, generation: int) -> set[str]:
    """Names of the indexes that are to come back: they were dropped for a fill, or their build did not end."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.indexes_set_aside($1::smallint)", generation)
    return {row[0] for row in rows}


async def companies(db: Database, generation: int) -> list[CompanyIndex]:
    """Every company with words or vectors, largest first. Reads all of the index once."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.index_status($1::smallint)", generation)
    return [CompanyIndex(**row) for row in rows]


async def parts(db: Database) -> list[Part]:
    """The tables of the search index; the partitions of a generation counted together."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.index_parts()")
    return [Part(**row) for row in rows]


@asynccontextmanager
async def alone(db: Database, *, builds: bool = True) -> AsyncIterator[Database]:
    """One connection of `db`, for one maintenance at a time in this database. `builds`: of indexes too.

    Raises MaintenanceRunning where another has begun, DirectConnectionNeeded behind a pooler.
    """
    if db.shared and not builds:
        async with advisory_lock.locked(db, _LOCK) as mine:
            if not mine:
                raise MaintenanceRunning()
            yield db
        return
    async with db.session() as connection:
        own = Database(connection, db.where, db.role, owned=False)
        async with advisory_lock.locked(own, _LOCK) as mine:
            if not mine:
                raise MaintenanceRunning()
            yield own


async def carry_out(
    db: Database,
    generation: int,
    task: Task,
    *,
    wait_s: float,
    watcher: Database,
    on_progress: Callable[[Progress], None] | None = None,
) -> bool:
    """Runs one task on `db`, a single connection; `watcher` has another one, to see how it goes.

    False where a transaction open elsewhere kept it waiting for more than `wait_s` seconds: what it leaves behind is
    cleaned up by the next plan.
    """
    async with db.acquire() as connection:
        if task.action in ("create", "reindex"):
            await connection.execute("SELECT ateneo.note_build($1::smallint, $2)", generation, task.empresa_id)
        try:
            async with (
                _build_settings(connection, task.graph_bytes, wait_s),
                _watched(watcher, connection, on_progress),
            ):
                await connection.execute(task.statement, timeout=_DAY_S)
        except asyncpg.LockNotAvailableError:
            return False
        if task.action == "drop":
            await connection.execute(
                "DELETE FROM ateneo.own_index o"
                " WHERE o.generation = $1 AND ateneo.own_index_name($1::smallint, o.empresa_id) = $2",
                generation,
                task.name,
            )
    return True


@asynccontextmanager
async def _build_settings(connection: Connection, graph_bytes: int, wait_s: float) -> AsyncIterator[None]:
    memory = max(_SMALLEST_GRAPH, min(graph_bytes, _LARGEST_GRAPH)) // 1024
    settings = {
        "maintenance_work_mem": f"{memory}kB",
        "lock_timeout": f"{round(wait_s * 1000)}ms",
        "statement_timeout": "0",
    }
    if await pgvector.installed(connection) < pgvector.PARALLEL_BUILDS:
        settings["max_parallel_maintenance_workers"] = "0"
    for name, value in settings.items():
        await connection.execute("SELECT set_config($1, $2, false)", name, value)
    try:
        yield
    finally:
        for name in settings:
            await connection.execute(f"RESET {name}")


@asynccontextmanager
async def _watched(
    db: Database, connection: Connection, on_progress: Callable[[Progress], None] | None
) -> AsyncIterator[None]:
    """Tells `on_progress` how the connection's build goes, from another connection of the pool."""
    if on_progress is None:
        yield
        return
    watcher = asyncio.create_task(_watch(db, connection.get_server_pid(), on_progress))
    try:
        yield
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError, DatabaseError):
            await watcher


async def _watch(db: Database, pid: int, on_progress: Callable[[Progress], None]) -> None:
    while True:
        await asyncio.sleep(_POLL_S)
        async with db.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT phase, CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END AS done,"
                " CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END AS total"
                " FROM pg_stat_progress_create_index WHERE pid = $1",
                pid,
            )
        if row is not None:
            on_progress(Progress(row["phase"], int(row["done"]), int(row["total"])))


async def vacuum(db: Database, leaf: str) -> None:
    """Clears the dead rows of one partition and tells the planner its size; passes over one that is being vacuumed."""
    async with db.acquire() as connection:
        await connection.execute(f'VACUUM (ANALYZE, SKIP_LOCKED) ateneo."{leaf}"', timeout=_DAY_S)


async def reindex_words(db: Database) -> None:
    """Builds the indexes of the words anew while they are in use."""
    async with db.acquire() as connection:
        await connection.execute("REINDEX TABLE CONCURRENTLY ateneo.chunk_lex", timeout=_DAY_S)


async def indexed(db: Database, generation: int, empresa_id: str) -> str | None:
    """The index that a search of this company uses; None where it reads all of its vectors."""
    async with db.acquire() as connection:
        name: str | None = await connection.fetchval(
            "SELECT ateneo.knn_index($1::smallint, $2)", generation, empresa_id
        )
    return name
