"""Connections to PostgreSQL, and the translation of its errors into ours."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from typing import Self, cast

import asyncpg

from ateneo.db import address, connection_errors, drivers, embedded
from ateneo.db.connection import (
    APP_ROLE,
    VECTOR_SCHEMA,
    Connection,
    OwnConnection,
    Pool,
    SharedConnection,
    first_look,
    is_isolated,
    is_shared,
    open_pool,
    packed_vectors,
)
from ateneo.db.tenant_token import sign
from ateneo.errors import (
    AteneoError,
    BadArgument,
    ChunksTableGenerated,
    ChunksTableRefused,
    ConnectionBusy,
    ConstraintViolated,
    DatabaseError,
    DirectConnectionNeeded,
    NoLogin,
    NotTheOwner,
    NotUpgraded,
    SettingsError,
    StatementTimeout,
)
from ateneo.i18n import tr

__all__ = ["APP_ROLE", "VECTOR_SCHEMA", "Connection", "Database", "Pool", "packed_vectors", "translated"]

LONGEST_CLOSE_S = 10.0

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
)
_TENANT = "SELECT set_config('ateneo.empresa_id', convert_from(decode('{tenant}', 'hex'), 'UTF8'), true)"
_WRITING = "SELECT ateneo.writing_tenant()"
# A signed tenant gives a company's rows to whoever reads it, and pg_stat_activity shows statements: it is bound to one.
_SIGNED = "SELECT set_config('ateneo.empresa_id', $1, true)"
_SIGNED_WRITING = "SELECT CASE WHEN set_config('ateneo.empresa_id', $1, true) <> '' THEN ateneo.writing_tenant() END"
_NOT_THERE = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
)


@contextmanager
def translated(where: str, role: str = "", *, is_application: bool = False) -> Iterator[None]:
    """Turns what asyncpg raises into the DatabaseError that fits. `where` names the database, without secrets;
    `is_application`: the login has all that ateneo_app may have."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        found = _translation(error, where, role, is_application=is_application)
        if found is None:
            raise
        raise found from (None if connection_errors.quotes_login(error) else error)


def _translation(error: Exception, where: str, role: str, *, is_application: bool) -> AteneoError | None:
    """None for what is no fault of the database."""
    if isinstance(error, asyncpg.InterfaceError):
        return _of_interface(error, where)
    if isinstance(error, OSError) and not _is_the_drivers(error):
        return None
    if isinstance(error, (asyncpg.QueryCanceledError, TimeoutError)):
        detail = _first_line(error) if str(error) else tr("se agotó el tiempo.", "the time ran out.")
        return StatementTimeout(where=where, detail=detail)
    if isinstance(error, _LOST):
        return connection_errors.unavailable(error, where, _first_line(error))
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        if is_application:
            return NotTheOwner(role=role, detail=error.message)
        return NoLogin(role=role, detail=error.message)
    if isinstance(error, _NOT_THERE):
        return NotUpgraded(where=where)
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        kind = ConstraintViolated if error.schema_name == "ateneo" else ChunksTableRefused
        return kind(detail=_first_line(error))
    if isinstance(error, asyncpg.GeneratedAlwaysError):
        return ChunksTableGenerated(detail=_first_line(error))
    if isinstance(error, asyncpg.DataError):  # it quotes the value: `invalid input for query argument $1: 'x' (...)`
        return DatabaseError(detail=re.sub(r": ['\"].*['\"](?= \(|$)", ": …", _first_line(error)))
    return _of_ours(error) or DatabaseError(detail=_first_line(error))


def _of_ours(error: Exception) -> AteneoError | None:
    """What the functions of Ateneo raise (AT...)."""
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == "AT003":
        detail = tr("no es el secreto de las empresas de esta base (`ateneo db sign-tenants`).",
                    "it is not the secret of this database's companies (`ateneo db sign-tenants`).")  # fmt: skip
        return SettingsError(name="ATENEO_TENANT_SECRET", detail=detail)
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == "AT004":
        rule = tr("esa empresa fue borrada; una clave nueva (`ateneo keys create`) la vuelve a abrir",
                  "that company was erased; a new key (`ateneo keys create`) opens it again")  # fmt: skip
        return BadArgument(name="empresa_id", value="…", rule=rule)
    return None


def _is_the_drivers(error: BaseException) -> bool:
    """Whether asyncpg raised it: a file or a provider that fails while a connection is held is no fault of it."""
    frame = error.__traceback__
    while frame is not None:
        if str(frame.tb_frame.f_globals.get("__name__")).startswith("asyncpg."):
            return True
        frame = frame.tb_next
    return False


def _of_interface(error: asyncpg.InterfaceError, where: str) -> DatabaseError:
    """asyncpg has one class for a connection that has gone, for one that is in use, and for wrong use."""
    said = _first_line(error)
    if "another operation" in said:
        return ConnectionBusy()
    gone = "closed" in said or "closing" in said or "released back" in said
    return connection_errors.unavailable(error, where, said) if gone else DatabaseError(detail=said)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _check_name(empresa_id: str) -> None:
    """Raises BadArgument where it is no company's name, or none that PostgreSQL can store."""
    if isinstance(empresa_id, str) and empresa_id.strip() and "\x00" not in empresa_id:
        with suppress(UnicodeEncodeError):
            empresa_id.encode()
            return
    rule = tr("hace falta decir de qué empresa", "a company must be named")
    raise BadArgument(name="empresa_id", value=ascii(empresa_id)[:42], rule=rule)


@lru_cache(maxsize=256)
def _with_tenant(sql: str, last: int) -> str:
    """The statement with its tenant set in it, for as long as it takes.

    Its company is a column of the setting's row, and OFFSET 0 keeps the two apart for the planner: nothing of it can
    run before the tenant is set; if it could, it would fail.
    """
    inner = re.sub(r"\$1(?!\d)", "own.empresa_id", sql)
    return (
        f"SELECT found.* FROM (SELECT CASE WHEN set_config('ateneo.empresa_id', ${last}, true) <> '' THEN $1::text END"  # noqa: S608
        f" AS empresa_id OFFSET 0) own CROSS JOIN LATERAL ({inner} OFFSET 0) found"
    )


class Database:
    """A pool that Ateneo opened, or what the caller already has.

    `acquire` gives a connection, `transaction` one inside a transaction. Errors come out translated.
    """

    def __init__(self, source: object, where: str, role: str = "", *, owned: bool) -> None:
        self._source = source
        self._lease = drivers.lease_of(source)
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
        self.shared = False
        """Whether a pooler stands between, so that nothing may be left in a session: on our own pool alone."""
        self._has_session = True
        self.unheeded: tuple[str, ...] = ()
        """Parameters of the address whose protection the driver cannot give."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int = 10,
        guarded: bool = False,
        tenant_secret: str | None = None,
        database: str | None = None,
    ) -> Self:
        """Opens a pool; `guarded` where it serves companies: each of its connections is the application's role, if the
        database has it. `tenant_secret`: what companies are signed with, where the database asks for it. `database`:
        another one of the same server.

        Raises SettingsError for an address that is none, DatabaseUnavailable for no connection."""
        at = address.parse(embedded.start(url) if embedded.is_embedded(url) else url)
        at = replace(at, database=database) if database else at
        where = url if embedded.is_embedded(url) else at.where
        with translated(where, at.user or ""):
            try:
                pool, shared = await open_pool(at, size, guarded=guarded)
                role, installed = await first_look(pool)
            except TimeoutError as error:
                raise connection_errors.unavailable(error, where, tr("tiempo agotado.", "timed out.")) from error
            except OSError:
                raise
            except asyncpg.exceptions.ClientConfigurationError as error:
                rule = re.sub(r",? got .*", ".", _first_line(error))  # not what was given instead
                raise SettingsError(name="DATABASE_URL", detail=rule) from None
            except asyncpg.UndefinedObjectError:  # it quotes the name, which may be a piece of a password
                detail = tr(
                    "tiene un parámetro que el servidor no conoce.", "it has a parameter unknown to the server."
                )
                raise SettingsError(name="DATABASE_URL", detail=detail) from None
            except ValueError:  # its message may quote the address
                detail = tr("el controlador no la acepta.", "the driver does not accept it.")
                raise SettingsError(name="DATABASE_URL", detail=detail) from None
        db = cls(pool, where, role, owned=True)
        db.binary_vectors = installed
        db.shared = shared
        db._has_session = not shared or at.pooled is False
        db.unheeded = at.unheeded
        db._tenant_secret = tenant_secret
        await db.look_for_isolation()
        db.guarded = guarded and db.isolated
        return db

    async def look_for_isolation(self) -> None:
        """Notes whether the application's role stands here: at the opening, and again after an upgrade."""
        if self._owned:
            async with self.acquire() as connection:
                self.isolated = await is_isolated(connection)

    @classmethod
    def wrap(cls, source: object) -> "Database":
        """Uses what the caller has (`drivers`), which stays the caller's to close. Raises UnsupportedDriver."""
        return source if isinstance(source, Database) else cls(source, "DATABASE_URL", owned=False)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with translated(self.where, self.role, is_application=self.isolated):
            async with self._lease() as connection:
                yield connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection; behind a pooler a transaction of one, so that it stays with one session of the server."""
        async with self._connection() as connection:
            if not self.shared:
                yield connection
                return
            async with connection.transaction():
                if self.guarded:
                    await connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.acquire() as connection:
            if self.shared:
                yield connection
                return
            async with connection.transaction():
                yield connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Connection]:
        """A connection outside of a transaction whose session is its own, for what cannot do without: LISTEN, and what
        builds indexes while they are in use. Raises DirectConnectionNeeded behind a pooler."""
        async with self._connection() as connection:
            if not self._has_session or (not self._owned and await is_shared(connection)):
                raise DirectConnectionNeeded(where=self.where)
            try:
                yield connection
            finally:
                if self.shared and not connection.is_closed():
                    await cast(SharedConnection, connection).give_back()

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
        async with self._connection() as connection:
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
            await (cast(OwnConnection, connection).commit() if self._owned else connection.execute("COMMIT"))

    async def read(self, empresa_id: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of one statement that only reads, as one company: `$1`, and the `arguments` are `$2` and on. In one
        round trip where every connection is the application's role anyway, else in a transaction.

        Raises BadArgument for a company without a name.
        """
        if not self.guarded or self.shared:
            async with self.tenant(empresa_id) as connection:
                return await connection.fetch(sql, empresa_id, *arguments)
        _check_name(empresa_id)
        async with self.acquire() as connection:
            return await connection.fetch(
                _with_tenant(sql, len(arguments) + 2), empresa_id, *arguments, self.named(empresa_id)
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
        """Closes the pool if Ateneo opened it: what is still in use is cut off after LONGEST_CLOSE_S seconds."""
        if self._owned and isinstance(self._source, asyncpg.Pool):
            try:
                await asyncio.wait_for(self._source.close(), LONGEST_CLOSE_S)
            except TimeoutError:
                # one that the server ended while it was in use: asyncpg 0.30 would wait for it for ever
                self._source.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
