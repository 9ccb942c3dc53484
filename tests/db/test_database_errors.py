"""What goes wrong on a connection is told for what it is."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

import asyncpg
import pytest

from ateneo.db import migrate, pool
from ateneo.db.pool import Connection, Database
from ateneo.errors import (
    ChunksTableRefused,
    ConnectionBusy,
    ConstraintViolated,
    DatabaseError,
    DatabaseUnavailable,
    SettingsError,
    StatementTimeout,
)

Way = Callable[[Database], AbstractAsyncContextManager[Connection]]
WAYS: list[Way] = [
    lambda db: db.acquire(),
    lambda db: db.transaction(),
    lambda db: db.tenant("acme"),
    lambda db: db.session(),
]


@pytest.mark.parametrize("way", WAYS)
async def test_a_slow_statement_is_no_lost_connection(database: Database, way: Way) -> None:
    with pytest.raises(StatementTimeout) as by_us:
        async with way(database) as connection:
            await connection.execute("SELECT pg_sleep(5)", timeout=0.1)
    assert by_us.value.status == 504
    with pytest.raises(StatementTimeout, match="statement timeout"):
        async with way(database) as connection:
            await connection.execute("SET statement_timeout = 50")
            await connection.execute("SELECT pg_sleep(5)")
    async with way(database) as connection:
        assert await connection.fetchval("SELECT 1") == 1
        assert await connection.fetchval("SHOW statement_timeout") == "0"


async def test_a_lost_connection_is_one(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.acquire() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(DatabaseUnavailable):
        async with database.acquire() as connection:
            connection.terminate()
            await connection.execute("SELECT 1")
    await database.close()
    with pytest.raises(DatabaseUnavailable):
        async with database.acquire():
            pass


async def test_a_server_that_does_not_answer_is_no_connection() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match="tiempo"):
            await Database.open(f"postgresql://u:secreta@127.0.0.1:{port}/x?connect_timeout=0.2")
    with pytest.raises(DatabaseUnavailable) as refused:
        await Database.open(f"postgresql://u:secr[e]t#a@127.0.0.1:{port}/x")
    assert "secr" not in str(refused.value)


async def test_what_the_driver_does_not_take_is_told_without_the_password() -> None:
    for text in ("postgresql://u:secreta@h/x?sslmode=quizas", f"postgresql://u:secreta@{'h' * 70}.x/d"):
        with pytest.raises((SettingsError, DatabaseUnavailable)) as refused:
            await Database.open(text)
        assert "secreta" not in str(refused.value)


async def test_one_connection_for_two_tasks_is_told(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    db = Database.wrap(connection)

    async def ask() -> None:
        async with db.acquire() as same:
            await same.execute("SELECT pg_sleep(0.2)")

    found = await asyncio.gather(ask(), ask(), return_exceptions=True)
    await connection.close()
    assert sorted(type(one).__name__ for one in found) == ["ConnectionBusy", "NoneType"]
    assert isinstance(next(one for one in found if one), ConnectionBusy)
    with pytest.raises(DatabaseUnavailable):
        await ask()


async def test_a_wrong_argument_is_not_quoted(database: Database) -> None:
    for sql, argument in (("SELECT $1::int", "el 'texto' (de una) empresa"), ("SELECT $1::text::int", 'el "texto"')):
        with pytest.raises(DatabaseError, match="invalid input") as refused:
            async with database.acquire() as connection:
                await connection.fetchval(sql, argument)
        assert type(refused.value) is DatabaseError
        assert "texto" not in str(refused.value)


@pytest.mark.parametrize("error", [TimeoutError(), FileNotFoundError("x.pdf"), ConnectionResetError()])
async def test_what_fails_beside_the_database_is_not_its_fault(database: Database, error: Exception) -> None:
    for way in WAYS:
        with pytest.raises(type(error)):
            async with way(database):
                raise error


async def test_a_constraint_says_whose_table_it_is(database: Database) -> None:
    with pytest.raises(ChunksTableRefused):
        async with database.acquire() as connection:
            await connection.execute("INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES (NULL, 'hola')")
    with pytest.raises(ConstraintViolated) as own:
        async with database.acquire() as connection:
            await connection.execute("INSERT INTO ateneo.term_stats (empresa_id, term, df) VALUES ('acme', NULL, 1)")
    assert own.value.status == 500
    assert "ateneo db upgrade" in own.value.remedy


async def test_a_database_of_another_encoding_is_refused(server_url: str) -> None:
    connection = await asyncpg.connect(server_url)
    await connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        async with await Database.open(server_url.replace("/postgres?", "/latin?"), size=1) as db:
            with pytest.raises(DatabaseError, match="UTF8"):
                await migrate.upgrade(db)
    finally:
        await connection.execute("DROP DATABASE latin WITH (FORCE)")
        await connection.close()


async def test_a_connection_that_nobody_gives_back_does_not_hold_up_the_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LONGEST_CLOSE_S", 0.1)
    database = await Database.open(database_url, size=2)
    closed = False
    with suppress(DatabaseUnavailable):  # so it may be told to whoever still had the connection
        async with database.acquire():
            await asyncio.wait_for(database.close(), 60)
            closed = True
    assert closed
