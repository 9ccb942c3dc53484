"""The queue, `ateneo.embedding_queue`: leases on chunks that want a vector, and what becomes of them.

A row is `pending` (it may be claimed from `next_try_at` on while no lease is valid) or `dead`. It leaves the
queue when its vector is stored, by whoever, or when its chunk goes. Statements on several rows pass over those that a
writer holds, so that no worker makes the user's own statements wait or fail.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ateneo.db import usage
from ateneo.db.chunks import content_hash, write_vectors
from ateneo.db.pool import Database
from ateneo.types import Matrix, Pending

CHANNEL = "ateneo_queue"
"""NOTIFY tells it of new rows while some worker is idle. A hint: who listens still has to look now and then."""

# the rows of $1 (worker), $2 (generation), $3 and $4 (keys) that are still this worker's
_MINE = """
WITH mine AS (
  SELECT q.place, t.turn FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS t(e, i, turn), LATERAL (
    SELECT ctid AS place FROM ateneo.embedding_queue
    WHERE empresa_id = t.e AND chunk_id = t.i AND generation + 0 = $2 AND leased_by = $1
    LIMIT 1 FOR UPDATE SKIP LOCKED) q)
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim gave: chunks to embed, and how many others got a copy of a vector that their company had. `deaths`:
    processes that died while they embedded these. `retry_alone`: others, of which one died, wait for an `exclusive`
    claim."""

    chunks: list[Pending]
    copied: int
    deaths: int = 0
    retry_alone: bool = False


async def fill(db: Database, generation: int, empresa_id: str | None = None, *, revive: bool = False) -> int:
    """Queues what the triggers have not seen, of one company or of all; with `revive` dead letters and rows that wait
    for their next try are tried at once. Returns how many rows were queued or revived."""
    async with db.acquire() as connection:
        return int(
            await connection.fetchval(
                "SELECT ateneo.queue_missing($1::smallint, $2, $3)", generation, empresa_id, revive, timeout=3600
            )
        )


async def claim(
    db: Database,
    generation: int,
    worker: str,
    size: int,
    lease_s: float,
    *,
    empresa_id: str | None = None,
    after: str | None = None,
    exclusive: bool = False,
) -> Claimed:
    """Leases up to `size` chunks for `lease_s` seconds: of one company, or of all that wait in equal shares, from the
    company behind `after` on. What the company has embedded already gets a copy at once. Nothing of either, and not
    `retry_alone`: there is nothing to do now. `exclusive`: the caller works on nothing else, and takes a group of the
    texts that processes died of, the smaller the more died."""
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.claim($1::smallint, $2, $3, make_interval(secs => $4), $5, $6, $7)",
            generation,
            worker,
            size,
            lease_s,
            empresa_id,
            after,
            exclusive,
        )
    assert row is not None
    columns = [row[name] or [] for name in ("empresas", "ids", "textos", "attempts")]
    chunks = [Pending(e, i, text, content_hash(text), n) for e, i, text, n in zip(*columns, strict=True)]
    return Claimed(chunks, row["copied"], row["deaths"] or 0, row["suspects"])


async def store(
    db: Database,
    generation: int,
    chunks: Sequence[Pending],
    vectors: Matrix,
    *,
    provider: str,
    model: str,
    shares: Mapping[str, usage.Share],
) -> int:
    """Stores the vectors (n, dims) and what they cost, in one transaction; returns how many were kept: those whose text
    is still the same, and whose row no writer holds."""
    async with db.transaction() as connection:
        kept = await write_vectors(connection, generation, chunks, vectors, binary=db.binary_vectors)
        if shares:
            await usage.charge(connection, provider, model, shares)
    return kept


async def still_leased(db: Database, generation: int, worker: str, chunks: Sequence[Pending]) -> list[bool]:
    """Which of them the worker still has a lease on."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT q.chunk_id IS NOT NULL AS mine FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS t(e, i, turn)"
            " LEFT JOIN ateneo.embedding_queue q ON q.empresa_id = t.e AND q.chunk_id = t.i AND q.generation + 0 = $2"
            " AND q.leased_by = $1 ORDER BY t.turn",
            worker,
            generation,
            [chunk.empresa_id for chunk in chunks],
            [chunk.chunk_id for chunk in chunks],
        )
    return [row["mine"] for row in rows]


async def leased(db: Database, generation: int, empresa_id: str | None) -> int:
    """Chunks that a worker has leased right now."""
    async with db.acquire() as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM ateneo.embedding_queue WHERE generation = $1 AND state = 'pending'"
                " AND lease_until >= now() AND ($2::text IS NULL OR empresa_id = $2)",
                generation,
                empresa_id,
            )
        )


@asynccontextmanager
async def listening(db: Database, on_row: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    """Calls `on_row` when rows come in, as long as the connection lasts; gives what is set at its end.

    Raises DirectConnectionNeeded behind a pooler."""
    ended = asyncio.Event()

    def hear(*_: object) -> None:
        on_row()

    def end(*_: object) -> None:
        ended.set()

    async with db.session() as connection:
        connection.add_termination_listener(end)
        await connection.add_listener(CHANNEL, hear)
        try:
            yield ended
        finally:
            if not connection.is_closed():
                connection.remove_termination_listener(end)
                await connection.remove_listener(CHANNEL, hear)


async def extend(db: Database, generation: int, worker: str, chunks: Sequence[Pending], lease_s: float) -> int:
    """Renews the leases; returns how many of them the worker still has (one may be another's, or settled, by now)."""
    return await _change(
        db,
        "UPDATE ateneo.embedding_queue q SET lease_until = now() + make_interval(secs => $5)"
        " FROM mine WHERE q.ctid = mine.place",
        generation,
        worker,
        chunks,
        lease_s,
    )


async def release(
    db: Database,
    generation: int,
    worker: str,
    chunks: Sequence[Pending],
    *,
    delay_s: float = 0.0,
    counted: bool = False,
    error: str | None = None,
) -> int:
    """Ends leases; the chunks may be claimed again in `delay_s` seconds. `counted`: the claim counts as an attempt."""
    return await _change(
        db,
        "UPDATE ateneo.embedding_queue q SET leased_by = NULL, lease_until = NULL,"
        " next_try_at = now() + make_interval(secs => $5), error = coalesce($7, q.error),"
        " attempts = q.attempts - CASE WHEN $6 THEN 0 ELSE 1 END FROM mine WHERE q.ctid = mine.place",
        generation,
        worker,
        chunks,
        delay_s,
        counted,
        error,
    )


async def release_all(db: Database, generation: int, worker: str) -> None:
    """Ends all leases of the worker, uncounted; looks through the whole queue for them."""
    async with db.acquire() as connection:
        await connection.execute(
            "WITH mine AS (SELECT ctid AS place FROM ateneo.embedding_queue WHERE generation = $2 AND leased_by = $1"
            " AND state = 'pending' FOR UPDATE SKIP LOCKED) UPDATE ateneo.embedding_queue q SET leased_by = NULL,"
            " lease_until = NULL, attempts = q.attempts - 1 FROM mine WHERE q.ctid = mine.place",
            worker,
            generation,
        )


async def mark_dead(
    db: Database, generation: int, worker: str, chunks: Sequence[Pending], reason: str
) -> list[tuple[str, str]]:
    """Makes dead letters of them and of what waits with the same text in the same company, for one reason; returns
    (empresa_id, chunk_id) of each."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            f"""{_MINE}, held AS (
              SELECT copy.place FROM mine JOIN ateneo.embedding_queue q ON q.ctid = mine.place, LATERAL (
                SELECT c.ctid AS place FROM ateneo.embedding_queue c
                WHERE c.content_hash = q.content_hash AND c.empresa_id = q.empresa_id AND c.generation + 0 = $2
                  AND CASE WHEN c.leased_by IS NULL THEN c.state = 'pending' ELSE c.ctid = mine.place END
                FOR UPDATE SKIP LOCKED) copy)
            UPDATE ateneo.embedding_queue q SET state = 'dead', leased_by = NULL, lease_until = NULL, error = $5
            FROM held WHERE q.ctid = held.place RETURNING q.empresa_id, q.chunk_id""",  # noqa: S608
            worker,
            generation,
            [chunk.empresa_id for chunk in chunks],
            [chunk.chunk_id for chunk in chunks],
            reason,
        )
    return [tuple(row) for row in rows]


async def mark_fatal(db: Database, generation: int, chunks: Sequence[Pending], reason: str) -> list[tuple[str, str]]:
    """Makes dead letters of texts that processes died of, and of their copies in the same company; returns
    (empresa_id, chunk_id) of each."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM ateneo.park_killers($1::smallint, $2, $3, $4)",
            generation,
            [chunk.empresa_id for chunk in chunks],
            [chunk.chunk_id for chunk in chunks],
            reason,
        )
    return [tuple(row) for row in rows]


async def _change(
    db: Database, sql: str, generation: int, worker: str, chunks: Sequence[Pending], *arguments: object
) -> int:
    async with db.acquire() as connection:
        done = await connection.execute(
            _MINE + sql,
            worker,
            generation,
            [chunk.empresa_id for chunk in chunks],
            [chunk.chunk_id for chunk in chunks],
            *arguments,
        )
    return int(done.rpartition(" ")[2])
