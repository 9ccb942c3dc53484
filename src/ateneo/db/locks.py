"""How an upgrade waits for the user's table: a moment at a time. While it waits, every writer queues behind it; so it
gives up soon, lets them through, and tries again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ateneo.db.pool import Connection, Database
from ateneo.errors import TableBusy
from ateneo.i18n import tr

NO_LIMIT = 7 * 86400.0
"""A week, as asyncpg's `timeout` (None would be the pool's limit): a migration takes as long as it takes."""
_HOLDERS = """SELECT a.pid, a.usename, a.application_name, a.state,
    extract(epoch FROM now() - a.xact_start)::int AS seconds
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.relation = to_regclass($1) AND l.granted AND l.pid <> pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  ORDER BY a.xact_start LIMIT 3"""

_CHUNKS_TABLE = "public.knowledge_chunks"

Result = TypeVar("Result")


class TableHeld(Exception):
    """A lock was not to be had in time; the transaction is lost."""


@dataclass(frozen=True, slots=True)
class Patience:
    """`wait_s`: how long writers may queue behind one try. Between tries there is a pause that grows to `pause_s`."""

    wait_s: float = 2
    tries: int = 20
    pause_s: float = 5


PATIENCE = Patience()


async def short_waits(connection: Connection, patience: Patience) -> None:
    """For the rest of the transaction: short waits for locks, and none of the server's limits on a long statement."""
    await connection.execute(
        "SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', '0', true)",
        f"{patience.wait_s * 1000:.0f}ms",
    )


async def patiently(
    db: Database, patience: Patience, work: Callable[[], Awaitable[Result]], table: str = _CHUNKS_TABLE
) -> Result:
    """Raises TableBusy, with who holds the table, where no try got its locks."""
    for number in range(1, patience.tries + 1):
        try:
            return await work()
        except TableHeld as error:
            if number == patience.tries:
                raise await _busy(db, table) from error
            await asyncio.sleep(min(patience.pause_s, patience.wait_s * number / 4))
    raise ValueError(patience)


async def _busy(db: Database, table: str) -> TableBusy:
    async with db.acquire() as connection:
        rows = await connection.fetch(_HOLDERS, table)
    sessions = ", ".join(
        f"pid {row['pid']} ({row['usename'] or '–'}, {row['application_name'] or '–'}, {row['state'] or '–'},"
        f" {row['seconds'] or 0} s)"
        for row in rows
    )
    pids = ", ".join(str(row["pid"]) for row in rows) or "NULL"
    held = sessions or tr("otra transacción", "another transaction")
    look = f"SELECT pid, usename, application_name, xact_start, query FROM pg_stat_activity WHERE pid IN ({pids});"  # noqa: S608
    return TableBusy(table=table.removeprefix("public."), detail=held, sql=look)
