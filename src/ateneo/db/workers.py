"""Who works on the queue (`ateneo.worker`): a row a process, which it refreshes and takes away at its end."""

from dataclasses import dataclass

from ateneo.db.pool import Database

_ALIVE = "seen_at > now() - interval '30 seconds'"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """`state`: idle, working or paused (`note` says why); `rate` in chunks a second; times in seconds ago."""

    worker_id: str
    host: str
    pid: int
    state: str
    note: str | None
    concurrency: int
    rate: float
    up_s: float
    seen_s: float


async def report(
    db: Database, worker_id: str, host: str, pid: int, state: str, note: str | None, concurrency: int, rate: float
) -> None:
    """Writes the worker's row, and takes away those of workers that have not been seen for an hour."""
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM ateneo.worker WHERE seen_at < now() - interval '1 hour'")
        await connection.execute(
            "INSERT INTO ateneo.worker (worker_id, host, pid, state, note, concurrency, rate)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (worker_id) DO UPDATE SET state = excluded.state,"
            " note = excluded.note, concurrency = excluded.concurrency, rate = excluded.rate, seen_at = now()",
            worker_id,
            host,
            pid,
            state,
            note,
            concurrency,
            rate,
        )


async def leave(db: Database, worker_id: str) -> None:
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.worker WHERE worker_id = $1", worker_id)


async def alive(db: Database) -> list[WorkerRow]:
    """The workers seen within the last thirty seconds."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT worker_id, host, pid, state, note, concurrency, rate,"  # noqa: S608
            " extract(epoch FROM now() - started_at)::float8 AS up_s,"
            " extract(epoch FROM now() - seen_at)::float8 AS seen_s"
            f" FROM ateneo.worker WHERE {_ALIVE} ORDER BY started_at"
        )
    return [WorkerRow(**row) for row in rows]
