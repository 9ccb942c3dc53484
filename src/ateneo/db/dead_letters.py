"""What the queue holds, for those who look after it: how much waits, and the dead letters one by one."""

from dataclasses import dataclass

from ateneo.db.pool import Database


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row of the queue. `state`: pending, dead or dropped; `error`: why it is dead, or why its last try failed;
    `deaths`: workers that died with it in hand."""

    empresa_id: str
    chunk_id: str
    generation: int
    state: str
    attempts: int
    deaths: int
    queued_at: str
    next_try_at: str
    leased_by: str | None
    error: str | None
    preview: str


@dataclass(frozen=True, slots=True)
class Depth:
    """Rows of one company and generation by state; `later` and `leased` are among `pending`. `oldest_s`: how long the
    oldest of these has waited, in seconds."""

    empresa_id: str
    generation: int
    pending: int
    later: int
    leased: int
    dead: int
    dropped: int
    oldest_s: float
    over_budget: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """The queue, all companies and generations. Of the `pending` rows `leased` are in hand, `later` wait for another
    try, and `over_budget` for the next month; with `suspects` in hand a worker died; `oldest_s`: how long the oldest
    has waited. `rate` in chunks a second, of the workers seen within thirty seconds, of which so many are `idle`,
    `working` or `paused`."""

    pending: int
    leased: int
    later: int
    over_budget: int
    dead: int
    dropped: int
    suspects: int
    oldest_s: float
    rate: float
    idle: int
    working: int
    paused: int


async def figures(db: Database) -> Figures:
    """Cheap enough to be asked every few seconds, and open to the application's role."""
    async with db.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM ateneo.queue_figures()")
    assert row is not None
    return Figures(**row)


async def depths(db: Database) -> list[Depth]:
    """By company and generation; those with nothing in the queue have no row."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT q.*, ateneo.over_budget(q.empresa_id) AS over_budget FROM ("
            " SELECT empresa_id, generation, count(*) FILTER (WHERE state = 'pending') AS pending,"
            " count(*) FILTER (WHERE state = 'pending' AND next_try_at > now()) AS later,"
            " count(*) FILTER (WHERE state = 'pending' AND lease_until >= now()) AS leased,"
            " count(*) FILTER (WHERE state = 'dead') AS dead, count(*) FILTER (WHERE state = 'dropped') AS dropped,"
            " coalesce(extract(epoch FROM now() - min(queued_at) FILTER (WHERE state = 'pending')), 0)::float8"
            " AS oldest_s FROM ateneo.embedding_queue GROUP BY 1, 2) q ORDER BY 3 DESC, 1, 2"
        )
    return [Depth(**row) for row in rows]


async def chunks_by_company(db: Database, generation: int | None) -> dict[str, tuple[int, int]]:
    """Company -> (chunks, vectors of the generation)."""
    vectors = "SELECT NULL::text AS empresa_id, 0 AS n WHERE false"
    if generation is not None:
        vectors = f"SELECT empresa_id, count(*) AS n FROM ateneo.vec_g{int(generation)} GROUP BY 1"  # noqa: S608
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT k.empresa_id, k.n, coalesce(v.n, 0) AS vectors FROM"  # noqa: S608
            " (SELECT empresa_id::text, count(*) AS n FROM public.knowledge_chunks GROUP BY 1) k"
            f" LEFT JOIN ({vectors}) v ON v.empresa_id = k.empresa_id ORDER BY k.n DESC, k.empresa_id"
        )
    return {row["empresa_id"]: (row["n"], row["vectors"]) for row in rows}


async def listing(db: Database, empresa_id: str | None, state: str | None, limit: int) -> list[DeadLetter]:
    """The oldest rows first, of one company or of all, in one state or in all."""
    return await _dead_letters(db, empresa_id, state, None, limit)


async def find(db: Database, chunk_id: str, empresa_id: str | None) -> list[DeadLetter]:
    """A chunk's rows: one a generation, and one a company where several use the same id."""
    return await _dead_letters(db, empresa_id, None, chunk_id, 100)


async def _dead_letters(
    db: Database, empresa_id: str | None, state: str | None, chunk_id: str | None, limit: int
) -> list[DeadLetter]:
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT q.empresa_id, q.chunk_id, q.generation, q.state, q.attempts, q.deaths,"
            " to_char(q.queued_at, 'YYYY-MM-DD\"T\"HH24:MI:SSOF') AS queued_at,"
            " to_char(q.next_try_at, 'YYYY-MM-DD\"T\"HH24:MI:SSOF') AS next_try_at,"
            " CASE WHEN q.lease_until >= now() THEN q.leased_by END AS leased_by, q.error,"
            " coalesce(left(k.contenido, 200), '') AS preview FROM ateneo.embedding_queue q"
            " LEFT JOIN public.knowledge_chunks k ON k.id = q.chunk_id AND k.empresa_id = q.empresa_id"
            " WHERE ($1::text IS NULL OR q.empresa_id = $1) AND ($2::text IS NULL OR q.state = $2)"
            " AND ($3::text IS NULL OR q.chunk_id = $3) ORDER BY q.queued_at, q.empresa_id, q.chunk_id LIMIT $4",
            empresa_id,
            state,
            chunk_id,
            limit,
        )
    return [DeadLetter(**row) for row in rows]


async def retry(db: Database, empresa_id: str | None, chunk_id: str | None) -> int:
    """Dead and dropped rows, and those that wait for their next try, are tried now. Returns how many."""
    return await _change(
        db,
        "state = 'pending', attempts = 0, next_try_at = now(), error = NULL, deaths = 0",
        "(q.state <> 'pending' OR q.next_try_at > now())",
        empresa_id,
        chunk_id,
    )


async def drop(db: Database, empresa_id: str | None, chunk_id: str | None) -> int:
    """Gives dead rows up: they are neither tried nor reported, until their text changes or somebody retries."""
    return await _change(db, "state = 'dropped'", "q.state = 'dead'", empresa_id, chunk_id)


async def _change(db: Database, values: str, which: str, empresa_id: str | None, chunk_id: str | None) -> int:
    async with db.acquire() as connection:
        done = await connection.execute(
            "WITH held AS (SELECT q.ctid AS place FROM ateneo.embedding_queue q"  # noqa: S608
            " WHERE ($1::text IS NULL OR q.empresa_id = $1) AND ($2::text IS NULL OR q.chunk_id = $2)"
            f" AND {which} FOR UPDATE SKIP LOCKED)"
            f" UPDATE ateneo.embedding_queue q SET {values} FROM held WHERE q.ctid = held.place",
            empresa_id,
            chunk_id,
        )
    return int(done.rpartition(" ")[2])
