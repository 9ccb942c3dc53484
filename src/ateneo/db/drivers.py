"""The product's own objects in place of an address: asyncpg's, SQLAlchemy's, psycopg's, Django's settings. They are
known by the names of their classes, so that none of those packages has to be installed.

What runs on asyncpg lends its connection, inside the transaction that is open on it. Of everything else the address is
taken: connections of Ateneo's own are opened there, outside of any transaction of the caller's.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import asyncpg
from anyio import to_thread

from ateneo.db import address, embedded
from ateneo.db.connection import Connection, Pool, open_pool
from ateneo.errors import UnsupportedDriver
from ateneo.i18n import tr

Lease: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

_SESSIONS = frozenset({"sqlalchemy.Session", "sqlalchemy.scoped_session"})
_ASYNC_SESSIONS = frozenset({"sqlalchemy.AsyncSession", "sqlalchemy.async_scoped_session"})
_ALCHEMY = _SESSIONS | _ASYNC_SESSIONS | {f"sqlalchemy.{one}" for one in ("Engine", "Connection")}
_ALCHEMY |= {f"sqlalchemy.Async{one}" for one in ("Engine", "Connection")}
_LIBPQ = frozenset({"psycopg", "psycopg_async", "psycopg2"})
_LIBPQ_CONNECTIONS = frozenset({"psycopg.Connection", "psycopg.AsyncConnection", "psycopg2.connection"})
_LIBPQ_POOLS = frozenset({"psycopg_pool.ConnectionPool", "psycopg_pool.AsyncConnectionPool"})
_KINDS = _ALCHEMY | _LIBPQ_CONNECTIONS | _LIBPQ_POOLS

_addresses: WeakKeyDictionary[object, str] = WeakKeyDictionary()
"""Of engines and pools: asking costs one of their connections."""
_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, "_Pools"] = WeakKeyDictionary()


def lease_of(source: object) -> Lease:
    """How a connection is had of it.

    Raises UnsupportedDriver for an object of another kind, SettingsError for an address that is none."""
    if isinstance(source, asyncpg.Pool):
        return source.acquire
    if isinstance(source, asyncpg.Connection):
        lent: Connection = source
        return lambda: nullcontext(lent)
    if isinstance(source, Mapping) or (isinstance(source, str) and not embedded.is_embedded(source)):
        source = _checked(source)
    return partial(_of_alchemy if lends(source) else _of_own_pool, source)


def lends(source: object) -> bool:
    """Whether it has connections of asyncpg. Raises UnsupportedDriver for an object of another kind."""
    if isinstance(source, (asyncpg.Pool, asyncpg.Connection)):
        return True
    if isinstance(source, (str, Mapping)):
        return False
    if _kind(source) not in _ALCHEMY:
        return False
    driver = _engine(source).dialect.driver
    if driver != "asyncpg" and driver not in _LIBPQ:
        raise UnsupportedDriver(given=f"SQLAlchemy, {_engine(source).dialect.name}+{driver}")
    return bool(driver == "asyncpg")


def of_a_loop(source: object) -> bool:
    """Whether it belongs to an event loop, and can be used in no other."""
    return not isinstance(source, (str, Mapping)) and (lends(source) or "async" in _kind(source).lower())


async def address_of(source: object) -> str:
    """The address that it connects to, with its password, in libpq's form.

    Raises UnsupportedDriver, also for a session or connection with an open transaction; SettingsError for settings of
    another database."""
    if isinstance(source, str):
        return embedded.start(source) if embedded.is_embedded(source) else source
    if isinstance(source, Mapping):
        return address.of_django(source)
    kind = _kind(source)
    if kind in _LIBPQ_CONNECTIONS:
        return _described(source)
    if _in_transaction(source):
        raise _transaction_open(kind)
    owner: Any = _engine(source) if kind in _ALCHEMY else source
    if owner not in _addresses:
        _addresses[owner] = await _asked(owner, is_async=of_a_loop(source))
    return _addresses[owner]


def _checked(source: str | Mapping[str, Any]) -> str:
    text = source if isinstance(source, str) else address.of_django(source)
    address.parse(text)
    return text


def _in_transaction(source: Any) -> bool:
    """Also where a session is bound to a connection that is in one."""
    if hasattr(source, "get_bind") and _in_transaction(source.get_bind()):
        return True
    return hasattr(source, "in_transaction") and bool(source.in_transaction())


def _transaction_open(kind: str) -> UnsupportedDriver:
    remedy = tr(
        "Ateneo usa para esto una conexión propia: cerrá antes la transacción, pasale el Engine o el pool, o usá un "
        "AsyncSession de SQLAlchemy sobre asyncpg, en cuya transacción trabaja (docs/how-to/drivers.md).",
        "Ateneo uses a connection of its own for this: end the transaction first, pass the Engine or the pool, or use "
        "an AsyncSession of SQLAlchemy on asyncpg, whose transaction it works in (docs/how-to/drivers.md).",
    )
    return UnsupportedDriver(given=tr(f"{kind} con una transacción abierta", f"{kind} in a transaction"), remedy=remedy)


def _kind(source: object) -> str:
    """Package and class, of the nearest class of its that is known."""
    for one in type(source).__mro__:
        name = f"{one.__module__.partition('.')[0]}.{one.__name__}"
        if name in _KINDS:
            return name
    raise UnsupportedDriver(given=f"{type(source).__module__}.{type(source).__qualname__}")


def _engine(source: Any) -> Any:
    """SQLAlchemy's Engine under it, which is not async."""
    if hasattr(source, "get_bind"):
        return source.get_bind().engine
    return getattr(source, "sync_engine", None) or source.engine


async def _asked(owner: Any, *, is_async: bool) -> str:
    """The address of an engine or pool, by one of its connections: it knows what the engine's arguments added."""
    if not is_async:
        return await to_thread.run_sync(_asked_here, owner)
    if not hasattr(owner, "raw_connection"):
        async with owner.connection() as connection:
            return _described(connection)
    alchemy = import_module("sqlalchemy.ext.asyncio")  # which has been imported by whoever made the engine
    async with alchemy.AsyncEngine(owner).connect() as connection:
        return _described(await _driver_connection(connection))


def _asked_here(owner: Any) -> str:
    if not hasattr(owner, "raw_connection"):
        with owner.connection() as connection:
            return _described(connection)
    connection = owner.raw_connection()
    try:
        return _described(connection.driver_connection)
    finally:
        connection.close()


def _described(connection: Any) -> str:
    """What libpq says of a connection of psycopg's, of which there is no transaction."""
    info = connection.info
    if int(info.transaction_status) != 0:
        raise _transaction_open(_kind(connection))
    known = info.get_parameters() if hasattr(info, "get_parameters") else info.dsn_parameters
    return address.text_of({**known, "password": info.password})


async def _driver_connection(connection: Any) -> Any:
    return (await connection.get_raw_connection()).driver_connection


@asynccontextmanager
async def _of_alchemy(source: Any) -> AsyncIterator[Connection]:
    kind = _kind(source)
    if kind == "sqlalchemy.AsyncEngine":
        async with source.connect() as connection:
            yield await _driver_connection(connection)
        return
    if kind in _ASYNC_SESSIONS and source.autoflush:
        await source.flush()
    connection = await source.connection() if kind in _ASYNC_SESSIONS else source
    found = await _driver_connection(connection)
    if not found.is_in_transaction():
        await connection.exec_driver_sql("SELECT 1")  # SQLAlchemy begins its transaction with the first statement
    yield found


@asynccontextmanager
async def _of_own_pool(source: object) -> AsyncIterator[Connection]:
    at = await address_of(source)
    pools = _pools.setdefault(asyncio.get_running_loop(), _Pools())
    async with (await pools.at(at)).acquire() as connection:
        yield connection


class _Pools:
    """An event loop's pools, one an address. The loop closes them when it ends, as it does all generators."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._open: dict[str, tuple[Pool, AsyncGenerator[Pool]]] = {}

    async def at(self, text: str) -> Pool:
        async with self._lock:
            if text not in self._open:
                kept = self._kept(text)
                self._open[text] = await anext(kept), kept
            return self._open[text][0]

    async def _kept(self, text: str) -> AsyncGenerator[Pool]:
        pool, _ = await open_pool(address.parse(text), 10, guarded=False)
        try:
            yield pool
        finally:
            del self._open[text]
            await pool.close()
