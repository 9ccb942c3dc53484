"""Connections to PostgreSQL, and the translation of its errors into ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from ateneo.errors import (
    AteneoError,
    DatabaseError,
    DatabaseUnavailable,
    NotUpgraded,
    RecordRefused,
    RightsMissing,
    SettingsError,
)
from ateneo.lang import tr
from ateneo.store import embedded

if TYPE_CHECKING:  # generic in the stubs only
    Connection: TypeAlias = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
    Pool: TypeAlias = asyncpg.Pool[Any]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

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
_GRANTS = (
    'GRANT SELECT, INSERT, UPDATE, DELETE ON public.knowledge_chunks TO "{role}"; '
    'GRANT USAGE ON SCHEMA ateneo TO "{role}"; '
    'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ateneo TO "{role}";'
)
_NOT_THERE = (
    asyncpg.InvalidSchemaNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
)


@contextmanager
def translated(where: str, role: str = "?") -> Iterator[None]:
    """Turns what asyncpg raises into the DatabaseError that fits. `where` names the database, without secrets."""
    try:
        yield
    except AteneoError:
        raise
    except asyncpg.InsufficientPrivilegeError as error:
        raise RightsMissing(role=role, detail=error.message, sql=_GRANTS.format(role=role)) from error
    except _NOT_THERE as error:
        raise NotUpgraded(where=where) from error
    except _LOST as error:
        raise DatabaseUnavailable(where=where, detail=_first_line(error)) from error
    except asyncpg.IntegrityConstraintViolationError as error:
        raise RecordRefused(detail=_first_line(error)) from error
    except asyncpg.PostgresError as error:
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


class Database:
    """A pool that Ateneo opened, or the connection or pool that the caller already has.

    `acquire` gives a connection, `transaction` one inside a transaction. Errors come out translated.
    """

    def __init__(self, source: Pool | Connection, where: str, role: str = "?", *, owned: bool) -> None:
        self._source = source
        self._owned = owned
        self.where = where
        self.role = role

    @classmethod
    async def open(cls, url: str, *, size: int = 10) -> Self:
        """Opens a pool. Raises SettingsError for an address that is none, DatabaseUnavailable for no connection."""
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
                pool = await asyncpg.create_pool(address, min_size=1, max_size=size, command_timeout=300)
            except (ValueError, asyncpg.exceptions.ClientConfigurationError) as error:
                raise SettingsError(name="DATABASE_URL", detail=_first_line(error)) from None
            except TimeoutError as error:
                raise DatabaseUnavailable(where=where, detail=tr("tiempo agotado.", "timed out.")) from error
        return cls(pool, where, urlsplit(address).username or "?", owned=True)

    @classmethod
    def wrap(cls, source: "Pool | Connection | Database") -> "Database":
        """Uses a connection or pool of the caller's, which stays the caller's to close."""
        return source if isinstance(source, Database) else cls(source, "DATABASE_URL", owned=False)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        with translated(self.where, self.role):
            if isinstance(self._source, asyncpg.Pool):
                async with self._source.acquire() as connection:
                    yield connection
            else:
                yield self._source

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def close(self) -> None:
        """Closes the pool if Ateneo opened it."""
        if self._owned and isinstance(self._source, asyncpg.Pool):
            await self._source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
