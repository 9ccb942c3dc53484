"""The change of model in the database: what a generation lacks, the guide's column refilled, and a generation's end."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ateneo.db.chunks import content_hash
from ateneo.db.generations import telling_gone
from ateneo.db.pool import Database
from ateneo.types import Generation, Pending

_POLL_S = 0.05
_LOCK_WAIT = "2s"


@dataclass(frozen=True, slots=True)
class Filled:
    """How far a generation is. `chunks`: those that get a vector, `vectors`: those that have it; `dead`: texts that its
    provider refused. `bytes` with indexes; `indexes`: companies with an HNSW index of their own in it."""

    generation: Generation
    chunks: int
    vectors: int
    dead: int
    bytes: int
    indexes: int
    created_at: datetime
    activated_at: datetime | None

    @property
    def missing(self) -> int:
        return self.chunks - self.vectors


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes that a generation will take, estimated: its table, its indexes, and the guide's column written anew."""

    table_bytes: int
    index_bytes: int
    column_bytes: int


@dataclass(frozen=True, slots=True)
class SampledChunk:
    """`ids`: the chunks of the company with this very text."""

    empresa_id: str
    contenido: str
    ids: frozenset[str]


async def filled(db: Database) -> list[Filled]:
    """Every generation that is kept, oldest first. Reads all of the chunks table and of the vectors once."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT g.generation, g.provider, g.model, g.dims, g.legacy, g.active, g.state, g.asked_dims,"
            " s.chunks, s.vectors, s.dead, s.bytes, s.indexes, g.created_at, g.activated_at"
            " FROM ateneo.generation_status() s JOIN ateneo.generation g USING (generation) ORDER BY 1"
        )
    return [Filled(Generation(*row[:8]), *row[8:]) for row in rows]


async def disk(db: Database, dims: int, threshold: int) -> Disk:
    """`threshold`: vectors from which a company gets an HNSW index of its own."""
    async with db.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM ateneo.generation_bytes($1, $2)", dims, threshold)
    assert row is not None
    return Disk(**row)


async def missing_texts(
    db: Database, generation: int | None, after: tuple[str, str] | None, size: int
) -> list[Pending]:
    """The next `size` chunks without a vector in the generation (None: any that get one) after the key `(chunk_id,
    empresa_id)`; of several with one text in a company the first."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM ateneo.missing_texts($1::smallint, $2, $3, $4)", generation, *(after or (None, None)), size
        )
    return [Pending(r["empresa_id"], r["chunk_id"], r["contenido"], content_hash(r["contenido"])) for r in rows]


async def sample_chunks(db: Database, empresa_id: str | None, size: int, seed: str) -> list[SampledChunk]:
    """Chunks of one company or of all, drawn by chance; the same ones for the same seed."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.sample_chunks($1, $2, $3)", empresa_id, size, seed)
    return [SampledChunk(row["empresa_id"], row["contenido"], frozenset(row["twins"])) for row in rows]


async def under_way(db: Database, what: str) -> bool:
    """Whether some process is `alone` with it right now."""
    async with db.acquire() as connection:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended($1, 0))",
                what,
            )
        )


# --- the guide's column -------------------------------------------------------------------------------------------


async def mark_column(db: Database, generation: int | None) -> None:
    """Says whose vectors the guide's column holds; None: those of several, while it is refilled."""
    async with db.transaction() as connection:
        await connection.execute("SELECT ateneo.mark_column($1::smallint)", generation)


@dataclass(frozen=True, slots=True)
class RefilledPage:
    """`busy`: rows that a writer held, passed over."""

    last_id: str
    changed: int
    busy: int


async def refill_page(db: Database, generation: int, after: str | None, size: int) -> RefilledPage | None:
    """Makes the column true to the generation for the next `size` ids. None where there is nothing left."""
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.refill_page($1::smallint, $2, $3)", generation, after, size
        )
    assert row is not None
    return None if row["last_id"] is None else RefilledPage(**row)


# --- the end of a generation --------------------------------------------------------------------------------------


async def settled(db: Database, wait_s: float) -> bool:
    """Waits until every transaction that writes now has ended. False where `wait_s` seconds were not enough."""
    async with db.acquire() as connection:
        before = await connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    until = time.monotonic() + wait_s
    while True:
        async with db.acquire() as connection:
            if await connection.fetchval("SELECT ateneo.settled($1::text::xid8)", before):
                return True
        if time.monotonic() > until:
            return False
        await asyncio.sleep(_POLL_S)


async def retire(db: Database, generation: int) -> None:
    """Nobody begins to use it from here on; its table is still there.

    Raises GenerationMismatch where it is the active one, or the guide's column holds its vectors.
    """
    async with db.transaction() as connection:
        with telling_gone():
            await connection.execute("SELECT ateneo.retire_generation($1::smallint)", generation)


async def undropped(db: Database) -> list[int]:
    """Retired generations whose table is still there: an end that was interrupted."""
    async with db.acquire() as connection:
        return [row["g"] for row in await connection.fetch("SELECT ateneo.undropped_generations() AS g")]


async def drop(db: Database, generation: int) -> bool:
    """Drops the table of a retired generation. False where searches or writers kept it for more than two seconds."""
    async with db.transaction() as connection:
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
        try:
            await connection.execute("SELECT ateneo.drop_generation($1::smallint)", generation)
        except asyncpg.LockNotAvailableError:
            return False
    return True
