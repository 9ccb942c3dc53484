"""Connections to PostgreSQL, and the translation of its errors into ours."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast
from urllib.parse import urlsplit

import asyncpg
import numpy as np
from asyncpg.pool import PoolConnectionProxy

from ateneo.errors import (
    AteneoError,
    BadArgument,
    DatabaseError,
    DatabaseUnavailable,
    NotTheOwner,
    NotUpgraded,
    RecordRefused,
    RightsMissing,
    SettingsError,
)
from ateneo.lang import tr
from ateneo.store import embedded
from ateneo.store.tenant_token import sign
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
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    OSError,
)
_GRANTS = 'GRANT ateneo_app TO "{role}";'
APP_ROLE = "ateneo_app"
"""What the API, the CLI and the agents act as (functions/120_protect.sql)."""
# Whether the role stands here and this login may act as it. From the catalogs alone: a login that is nothing else may
# not even look into the schema before it has become that role.
_ISOLATED = """
SELECT EXISTS (SELECT FROM pg_roles r, pg_namespace n
  WHERE r.rolname = 'ateneo_app' AND n.nspname = 'ateneo' AND has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND pg_has_role(session_user, r.oid,
      CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END))
"""
_TENANT = "SELECT set_config('ateneo.empresa_id', convert_from(decode('{tenant}', 'hex'), 'UTF8'), true)"
_WRITING = "SELECT ateneo.writing_tenant()"
# A signed tenant opens a company's door to whoever reads it, and pg_stat_activity shows statements: it is bound to one.
_SIGNED = "SELECT set_config('ateneo.empresa_id', $1, true)"
_SIGNED_WRITING = "SELECT CASE WHEN set_config('ateneo.empresa_id', $1, true) <> '' THEN ateneo.writing_tenant() END"
_NOT_THERE = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
)


@contextmanager
def translated(where: str, role: str = "?", *, is_application: bool = False) -> Iterator[None]:
    """Turns what asyncpg raises into the DatabaseError that fits. `where` names the database, without secrets;
    `is_application`: the login has all that ateneo_app may have."""
    try:
        yield
    except AteneoError:
        raise
    except asyncpg.InsufficientPrivilegeError as error:
        if is_application:
            raise NotTheOwner(role=role, detail=error.message) from error
        raise RightsMissing(role=role, detail=error.message, sql=_GRANTS.format(role=role)) from error
    except _NOT_THERE as error:
        raise NotUpgraded(where=where) from error
    except _LOST as error:
        raise DatabaseUnavailable(where=where, detail=_first_line(error)) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise RecordRefused(detail=_first_line(error)) from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == "AT003":
            detail = tr("no es el secreto de las empresas de esta base (`ateneo db sign-tenants`).",
                        "it is not the secret of this database's companies (`ateneo db sign-tenants`).")  # fmt: skip
            raise SettingsError(name="ATENEO_TENANT_SECRET", detail=detail) from error
        if error.sqlstate == "AT004":
            rule = tr("esa empresa fue borrada; una clave nueva (`ateneo keys create`) la vuelve a abrir",
                      "that company was erased; a new key (`ateneo keys create`) opens it again")  # fmt: skip
            raise BadArgument(name="empresa_id", value="…", rule=rule) from error
        raise DatabaseError(detail=_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def where_of(url: str) -> str:
    """Host and database of an address, for messages: never the user's password."""
    if embedded.is_embedded(url):
        return url
    parts = urlsplit(url)
    return f"{parts.hostname or 'local'}{parts.path or ''}"


async def _speak_vectors(connection: Connection) -> None:
    """Vectors in binary on this connection, where pgvector is installed: 40x cheaper for the client than `real[]`."""
    schema = await connection.fetchval(VECTOR_SCHEMA)
    if schema is not None:
        await connection.set_type_codec(
            "vector", schema=schema, encoder=_encode_vector, decoder=_decode_vector, format="binary"
        )


async def _isolated(connection: Connection) -> bool:
    return bool(await connection.fetchval(_ISOLATED))


async def _prepare_guarded(connection: Connection) -> None:
    await _speak_vectors(connection)
    if await _isolated(connection):
        # RESET ALL, with which a pool takes a connection back, leaves the role as it is
        await connection.execute(f"SET ROLE {APP_ROLE}")


def _check_name(empresa_id: str) -> None:
    """Raises BadArgument where it is no company's name, or none that PostgreSQL can store."""
    if empresa_id.strip() and "\x00" not in empresa_id:
        with suppress(UnicodeEncodeError):
            empresa_id.encode()
            return
    rule = tr("hace falta decir de qué empresa", "a company must be named")
    raise BadArgument(name="empresa_id", value=ascii(empresa_id[:40]), rule=rule)


def packed_vectors(vectors: Matrix) -> list[bytes]:
    """Rows as pgvector's vector_recv reads them: int16 dimensions, int16 zero, float32 each, all big-endian."""
    head = vectors.shape[1].to_bytes(2, "big") + b"\x00\x00"
    return [head + row.tobytes() for row in vectors.astype(">f4")]


def _encode_vector(vector: bytes | str) -> bytes:
    # asyncpg takes an array for a row of an array, so that vectors come here packed; or as pgvector's text
    return vector if isinstance(vector, bytes) else packed_vectors(np.array([json.loads(vector)], dtype=np.float32))[0]


def _decode_vector(data: bytes) -> Matrix:
    return np.frombuffer(data, dtype=">f4", offset=4).astype(np.float32)


@lru_cache(maxsize=256)
def _alone(sql: str, last: int) -> str:
    """The statement with its tenant set in it, for as long as it takes.

    Its company is a column of the setting's row, and OFFSET 0 keeps the two apart for the planner: nothing of it can
    run before the tenant is set; if it could, it would fail.
    """
    inner = re.sub(r"\$1(?!\d)", "own.empresa_id", sql)
    return (
        f"SELECT found.* FROM (SELECT CASE WHEN set_config('ateneo.empresa_id', ${last}, true) <> '' THEN $1::text END"  # noqa: S608
        f" AS empresa_id OFFSET 0) own CROSS JOIN LATERAL ({inner} OFFSET 0) found"
    )


class _Connection(_Base):
    """A connection of our own pool: what a session keeps is given back in the round trip of a company's COMMIT."""

    _settled = False

    async def commit(self) -> None:
        await self.execute(f"COMMIT; {super().get_reset_query()}")
        self._settled = True

    def get_reset_query(self) -> str:
        """What the pool sends when the connection comes back; nothing right after `commit`."""
        settled, self._settled = self._settled, False
        return "" if settled else super().get_reset_query()


class Database:
    """A pool that Ateneo opened, or the connection or pool that the caller already has.

    `acquire` gives a connection, `transaction` one inside a transaction. Errors come out translated.
    """

    def __init__(self, source: Pool | Connection, where: str, role: str = "?", *, owned: bool) -> None:
        self._source = source
        self._owned = owned
        self.where = where
        self.role = role
        self.binary_vectors = False
        """Whether statements may carry `packed_vectors`: on the caller's connections they may not."""
        self.isolated = False
        """Whether `tenant` acts as the application's role, under row-level security: on the caller's connections it
        acts as the caller."""
        self._tenant_secret: str | None = None
        self.guarded = False
        """Whether every connection is the application's role, so that a statement without a tenant fails."""

    @classmethod
    async def open(cls, url: str, *, size: int = 10, guarded: bool = False, tenant_secret: str | None = None) -> Self:
        """Opens a pool; `guarded` where it serves companies: each of its connections is the application's role, if the
        database has it. `tenant_secret`: what companies are signed with, where the database asks for it.

        Raises SettingsError for an address that is none, DatabaseUnavailable for no connection."""
        where = where_of(url)
        address = embedded.start(url) if embedded.is_embedded(url) else url
        if urlsplit(address).scheme not in ("postgresql", "postgres"):
            raise SettingsError(
                name="DATABASE_URL",
                detail=tr(
                    "no es una dirección de PostgreSQL (postgresql://usuario:clave@servidor:5432/base).",
                    "this is not an address of PostgreSQL (postgresql://user:password@server:5432/database).",
                ),
            )
        with translated(where):
            try:
                pool = await asyncpg.create_pool(
                    address,
                    min_size=0,  # a floor would be restored behind our back, with a traceback where it cannot be
                    max_size=size,
                    command_timeout=300,
                    init=_prepare_guarded if guarded else _speak_vectors,
                    connection_class=_Connection,
                )
                installed = await pool.fetchval(VECTOR_SCHEMA) is not None
            except (ValueError, asyncpg.exceptions.ClientConfigurationError) as error:
                raise SettingsError(name="DATABASE_URL", detail=_first_line(error)) from None
            except TimeoutError as error:
                raise DatabaseUnavailable(where=where, detail=tr("tiempo agotado.", "timed out.")) from error
        db = cls(pool, where, urlsplit(address).username or "?", owned=True)
        db.binary_vectors = installed
        db._tenant_secret = tenant_secret
        await db.look_for_isolation()
        db.guarded = guarded and db.isolated
        return db

    async def look_for_isolation(self) -> None:
        """Notes whether the application's role stands here: at the opening, and again after an upgrade."""
        if self._owned:
            async with self.acquire() as connection:
                self.isolated = await _isolated(connection)

    @classmethod
    def wrap(cls, source: "Pool | Connection | Database") -> "Database":
        """Uses a connection or pool of the caller's, which stays the caller's to close."""
        return source if isinstance(source, Database) else cls(source, "DATABASE_URL", owned=False)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        with translated(self.where, self.role, is_application=self.isolated):
            if isinstance(self._source, asyncpg.Pool):
                async with self._source.acquire() as connection:
                    yield connection
            else:
                yield self._source

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.acquire() as connection, connection.transaction():
            yield connection

    def named(self, empresa_id: str) -> str:
        """What the setting ateneo.empresa_id takes: the company's id, signed where there is a secret."""
        return empresa_id if self._tenant_secret is None else sign(empresa_id, self._tenant_secret)

    @asynccontextmanager
    async def tenant(self, empresa_id: str, *, writes: bool = False) -> AsyncIterator[Connection]:
        """A transaction of one company: it is set before anything else, in the round trip of BEGIN, and it ends with
        the transaction. `writes`: whoever erases the company waits for it. Not to be nested.

        Raises BadArgument for a company without a name, and for one that was erased and is to be written.
        """
        _check_name(empresa_id)
        named = self.named(empresa_id)
        async with self.acquire() as connection:
            if connection.is_in_transaction():  # the caller's
                async with connection.transaction():
                    await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", named)
                    if writes:
                        await connection.execute(_WRITING)
                    yield connection
                return
            try:
                await self._begin(connection, named, writes=writes)
                yield connection
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await (cast(_Connection, connection).commit() if self._owned else connection.execute("COMMIT"))

    async def read(self, empresa_id: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that only reads, as one company: `$1`, and the `arguments` are `$2` and on. In one
        round trip where every connection is the application's role anyway, else in a transaction.

        Raises BadArgument for a company without a name.
        """
        if not self.guarded:
            async with self.tenant(empresa_id) as connection:
                return await connection.fetch(sql, empresa_id, *arguments)
        _check_name(empresa_id)
        async with self.acquire() as connection:
            return await connection.fetch(
                _alone(sql, len(arguments) + 2), empresa_id, *arguments, self.named(empresa_id)
            )

    async def _begin(self, connection: Connection, named: str, *, writes: bool) -> None:
        begin = f"BEGIN; SET LOCAL ROLE {APP_ROLE}" if self.isolated else "BEGIN"
        if self._tenant_secret is not None:
            await connection.execute(begin)
            await connection.execute(_SIGNED_WRITING if writes else _SIGNED, named)
            return
        begin += f"; {_TENANT.format(tenant=named.encode().hex())}"
        await connection.execute(f"{begin}; {_WRITING}" if writes else begin)

    async def close(self) -> None:
        """Closes the pool if Ateneo opened it."""
        if self._owned and isinstance(self._source, asyncpg.Pool):
            await self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
