"""Advisory locks: one process at a time does what must not be done twice, whatever stands between it and the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from ateneo.db.connection import is_shared
from ateneo.db.pool import Database

_KEY = "hashtextextended($1, 0)"


@asynccontextmanager
async def locked(db: Database, name: str) -> AsyncIterator[bool]:
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
