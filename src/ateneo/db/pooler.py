"""Poolers between Ateneo and the server (PgBouncer and its like): a connection may get another session of the server
with every transaction, and what a session was left with is the next program's.

Behind one nothing is kept in the session: the application's role, the company and every setting last for a transaction
(`Database.acquire` is one there), no statement has a name, and nothing is reset. See docs/adr/0034-poolers.md.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from ateneo.db.pool import Connection, Database

_KEY = "hashtextextended($1, 0)"


async def is_shared(connection: "Connection") -> bool:
    """Whether a pooler stands between: it gives its clients process numbers of its own making. Asked twice, since one
    that hands a server's number through may take another server for the next transaction.

    By the simple protocol, since a pooler may keep no prepared statement until it is run.
    """
    same = f"SELECT WHERE pg_backend_pid() = {connection.get_server_pid()}"
    return await connection.execute(same) != "SELECT 1" or await connection.execute(same) != "SELECT 1"


@asynccontextmanager
async def locked(db: "Database", name: str) -> AsyncIterator[bool]:
    """Whether the advisory lock `name` is ours; it is until the end. Behind a pooler an open transaction holds it; one
    without a snapshot, so that it keeps no vacuum and no index build waiting."""
    async with db.acquire() as connection:
        if connection.is_in_transaction() or await is_shared(connection):
            async with connection.transaction():
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield bool(await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_KEY})", name))
            return
        mine = bool(await connection.fetchval(f"SELECT pg_try_advisory_lock({_KEY})", name))
        try:
            yield mine
        finally:
            if mine:
                with suppress(asyncpg.InterfaceError):  # the connection has gone, and the lock with it
                    await connection.fetchval(f"SELECT pg_advisory_unlock({_KEY})", name)
