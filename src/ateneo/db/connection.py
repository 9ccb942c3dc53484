"""Connections of Ateneo's own, direct or through a pooler: how they are made, and what each of them is told first.

Behind a pooler (PgBouncer and its like) a connection may get another session of the server with every transaction, and
what a session was left with is the next program's. Nothing is kept in a session there: the application's role, the
company and every setting last for a transaction (`Database.acquire` is one), no statement has a name, and nothing is
reset. See docs/adr/0034-poolers.md.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import numpy as np
from asyncpg.pool import PoolConnectionProxy

from ateneo.db.address import Address
from ateneo.errors import DirectConnectionNeeded
from ateneo.types import Matrix

if TYPE_CHECKING:  # generic in the stubs only
    Connection: TypeAlias = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
    Pool: TypeAlias = asyncpg.Pool[Any]
    _Base: TypeAlias = asyncpg.Connection[Any]
else:
    Connection = _Base = asyncpg.Connection
    Pool = asyncpg.Pool

VECTOR_SCHEMA = (
    "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
)
APP_ROLE = "ateneo_app"
"""What the API, the CLI and the agents act as (functions/protect.sql)."""
# Whether the role exists here and this login may act as it. From the catalogs alone: a login without rights of its own
# cannot read the schema before SET ROLE.
_ISOLATED = """
SELECT EXISTS (SELECT FROM pg_roles r, pg_namespace n
  WHERE r.rolname = 'ateneo_app' AND n.nspname = 'ateneo' AND has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_has_role(session_user, r.oid,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
"""


async def _speak_vectors(connection: Connection) -> None:
    """Vectors in binary on this connection, where pgvector is installed: 40x cheaper for the client than `real[]`."""
    schema = await connection.fetchval(VECTOR_SCHEMA)
    if schema is not None:
        await connection.set_type_codec(
            "vector", schema=schema, encoder=_encode_vector, decoder=_decode_vector, format="binary"
        )


async def is_shared(connection: Connection) -> bool:
    """Whether a pooler stands between: it gives its clients process numbers of its own making. Asked twice, since one
    that hands a server's number through may take another server for the next transaction.

    By the simple protocol, since a pooler may keep no prepared statement until it is run.
    """
    same = f"SELECT WHERE pg_backend_pid() = {connection.get_server_pid()}"
    return await connection.execute(same) != "SELECT 1" or await connection.execute(same) != "SELECT 1"


async def is_isolated(connection: Connection) -> bool:
    return bool(await connection.fetchval(_ISOLATED))


async def _prepare(connection: Connection) -> None:
    """Raises DirectConnectionNeeded where a pooler stands between: this pool is not made for one."""
    if await is_shared(connection):
        raise DirectConnectionNeeded(where="DATABASE_URL")
    await _speak_vectors(connection)


async def _prepare_guarded(connection: Connection) -> None:
    await _prepare(connection)
    if await is_isolated(connection):
        # RESET ALL, with which a pool takes a connection back, leaves the role as it is
        await connection.execute(f"SET ROLE {APP_ROLE}")


def packed_vectors(vectors: Matrix) -> list[bytes]:
    """Rows as pgvector's vector_recv reads them: int16 dimensions, int16 zero, float32 each, all big-endian."""
    head = vectors.shape[1].to_bytes(2, "big") + b"\x00\x00"
    return [head + row.tobytes() for row in vectors.astype(">f4")]


def _encode_vector(vector: bytes | str) -> bytes:
    # asyncpg would encode an array as rows of an array, so callers pack vectors; others pass pgvector's text form
    return vector if isinstance(vector, bytes) else packed_vectors(np.array([json.loads(vector)], dtype=np.float32))[0]


def _decode_vector(data: bytes) -> Matrix:
    return np.frombuffer(data, dtype=">f4", offset=4).astype(np.float32)


class OwnConnection(_Base):
    """A connection of our own pool: what a session keeps is given back in the round trip of a company's COMMIT."""

    _settled = False

    async def commit(self) -> None:
        await self.execute(f"COMMIT; {super().get_reset_query()}")
        self._settled = True

    def get_reset_query(self) -> str:
        """What the pool sends when the connection comes back; nothing right after `commit`."""
        settled, self._settled = self._settled, False
        return "" if settled else super().get_reset_query()


class SharedConnection(OwnConnection):
    """A connection through a pooler: its session is not ours to reset."""

    async def commit(self) -> None:
        await self.execute("COMMIT")

    async def give_back(self) -> None:
        """For a session that is said to be ours after all."""
        await self.execute(super().get_reset_query())

    def get_reset_query(self) -> str:
        return ""


async def open_pool(at: Address, size: int, *, guarded: bool) -> tuple[Pool, bool]:
    """The pool, with a connection in it, and whether a pooler stands between."""
    if not at.pooled:
        pool = await _made(at, size, OwnConnection, _prepare_guarded if guarded else _prepare)
        try:
            async with pool.acquire():
                return pool, False
        except DirectConnectionNeeded:
            await pool.close()
        except BaseException:
            pool.terminate()
            raise
    # two at least: advisory_lock.locked keeps one in a transaction while others work
    return await _made(at, max(size, 2), SharedConnection, _speak_vectors, statement_cache_size=0), True


async def _made(
    at: Address, size: int, kind: type[OwnConnection], init: Callable[[Connection], Awaitable[None]], **options: Any
) -> Pool:
    options |= at.arguments()
    options |= {"max_size": size, "command_timeout": 300, "init": init, "connection_class": kind}
    # with a minimum the pool reopens connections by itself, and prints a traceback where it cannot
    pool: Pool = await asyncpg.create_pool(min_size=0, **options)
    return pool


async def first_look(pool: Pool) -> tuple[str, bool]:
    """The login's name, and whether pgvector is installed."""
    row = await pool.fetchrow(f"SELECT session_user::text, EXISTS ({VECTOR_SCHEMA})")
    assert row is not None
    return row[0], row[1]
