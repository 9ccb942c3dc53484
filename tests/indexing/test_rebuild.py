"""The rebuild of the search index from the chunks table: whole, resumable, and never in anybody's way."""

import asyncio

import asyncpg
import pytest

from ateneo.db import generations, rebuild
from ateneo.db.pool import Connection, Database
from ateneo.errors import UnknownEmpresa
from ateneo.indexing import maintenance


async def _record(db: Database, *companies: str, count: int = 30) -> None:
    await generations.create(db, "local", "m", 3)
    async with db.acquire() as connection:
        for empresa_id in companies:
            await connection.execute(
                "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
                " SELECT 'c' || i, $1, 'texto número ' || i || ' de la empresa', ARRAY[i, 1, 0]::real[]::vector"
                " FROM generate_series(1, $2::int) i",
                empresa_id,
                count,
            )
            await connection.execute("SELECT ateneo.refresh_stats($1)", empresa_id)


async def _index(connection: Connection) -> dict[str, list[asyncpg.Record]]:
    return {
        "words": await connection.fetch("SELECT * FROM ateneo.chunk_lex ORDER BY empresa_id, chunk_id"),
        "vectors": await connection.fetch(
            "SELECT empresa_id, chunk_id, embedding::text FROM ateneo.vec_g1 ORDER BY 1, 2"
        ),
        "terms": await connection.fetch("SELECT * FROM ateneo.term_stats ORDER BY empresa_id, term"),
    }


async def test_a_lost_index_comes_back_from_the_record(database: Database) -> None:
    await _record(database, "a", "b")
    async with database.acquire() as connection:
        before = await _index(connection)
        await connection.execute(
            "DELETE FROM ateneo.chunk_lex; DELETE FROM ateneo.vec_g1; DELETE FROM ateneo.term_stats"
        )
        made = await maintenance.rebuild_index(database)
        assert (made.chunks, made.resumed, made.busy) == (60, 0, 0)
        assert await _index(connection) == before


async def test_what_is_wrong_is_put_right_and_what_is_right_is_left(database: Database) -> None:
    await _record(database, "a", "b")
    async with database.acquire() as connection:
        before = await _index(connection)
        await connection.execute(
            "UPDATE ateneo.chunk_lex SET dl = 99, terms = '{1}' WHERE empresa_id = 'a' AND chunk_id = 'c1';"
            "UPDATE ateneo.vec_g1 SET embedding = '[0,0,1]' WHERE empresa_id = 'a' AND chunk_id = 'c2';"
            "INSERT INTO ateneo.vec_g1 VALUES ('a', 'ghost', '[0,0,1]');"
            "INSERT INTO ateneo.chunk_lex SELECT 'a', 'ghost', dl, terms, bm25, content_hash"
            " FROM ateneo.chunk_lex WHERE empresa_id = 'a' AND chunk_id = 'c3';"
        )
        untouched = "SELECT xmin::text FROM ateneo.vec_g1 WHERE empresa_id = 'a' AND chunk_id = 'c5'"
        row = await connection.fetchval(untouched)
        others = await connection.fetch("SELECT xmin::text FROM ateneo.chunk_lex WHERE empresa_id = 'b'")
        made = await maintenance.rebuild_index(database, "a")
        assert made.chunks == 30
        assert await _index(connection) == before
        assert await connection.fetchval(untouched) == row, "a right vector written again would wear out its graph"
        assert await connection.fetch("SELECT xmin::text FROM ateneo.chunk_lex WHERE empresa_id = 'b'") == others


async def test_an_interrupted_rebuild_goes_on_where_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _record(database, "a", count=30)
    monkeypatch.setattr(maintenance, "PAGE", 10)

    def interrupt(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await maintenance.rebuild_index(database, "a", on_page=interrupt)
    assert (await maintenance.status(database)).unfinished == ("a",)
    pages: list[tuple[int, int]] = []
    made = await maintenance.rebuild_index(database, "a", on_page=lambda *page: pages.append(page))
    assert (made.chunks, made.resumed, pages) == (30, 20, [(30, 30)])
    assert (await maintenance.status(database)).unfinished == ()


async def test_tune_finishes_a_rebuild(database: Database) -> None:
    await _record(database, "a", count=30)
    await rebuild.begin(database, "a")
    assert [t.action async for t in maintenance.tune(database)] == ["rebuild"]
    assert await rebuild.unfinished(database) == []


async def test_readers_see_every_chunk_all_the_time_and_writers_win(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _record(database, "a", count=60)
    monkeypatch.setattr(maintenance, "PAGE", 5)
    writer = await asyncpg.connect(database_url)
    await writer.execute("SET lock_timeout = '2s'")
    seen: set[int] = set()
    rebuilding = asyncio.create_task(maintenance.rebuild_index(database))
    number = 0
    while not rebuilding.done():
        number += 1
        seen.add(await writer.fetchval("SELECT count(*) FROM ateneo.chunk_lex"))
        seen.add(await writer.fetchval("SELECT count(*) FROM ateneo.vec_g1"))
        await writer.execute(
            "UPDATE knowledge_chunks SET contenido = $1, embedding = ARRAY[$3::int, 0, 1]::real[]::vector"
            " WHERE id = $2",
            f"novedad{number}",
            f"c{number % 60 + 1}",
            number,
        )
    await rebuilding
    assert seen == {60}
    assert number > 1
    stale = "SELECT count(*) FROM ateneo.chunk_lex c JOIN knowledge_chunks k ON k.id = c.chunk_id"
    assert await writer.fetchval(f"{stale} WHERE c.content_hash <> sha256(convert_to(k.contenido, 'UTF8'))") == 0
    wrong = (
        "SELECT count(*) FROM ateneo.vec_g1 v JOIN knowledge_chunks k ON k.id = v.chunk_id"
        " WHERE v.embedding <> l2_normalize(k.embedding)::halfvec"
    )
    assert await writer.fetchval(wrong) == 0
    await writer.close()


async def test_a_row_that_a_writer_holds_is_left_to_the_end(database: Database, database_url: str) -> None:
    await _record(database, "a", count=10)
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE knowledge_chunks SET contenido = 'escrito mientras tanto' WHERE id = 'c3'")
    page = await _first_page(database)
    assert page.busy == (("a", "c3"),)
    assert page.chunks == 10
    assert not await rebuild.row(database, "a", "c3")
    await transaction.commit()
    assert await rebuild.row(database, "a", "c3")
    await writer.close()


async def _first_page(db: Database) -> rebuild.Page:
    await rebuild.begin(db, "a")
    page = await rebuild.page(db, "a", 100)
    assert page is not None
    return page


async def test_an_unknown_company(database: Database) -> None:
    with pytest.raises(UnknownEmpresa):
        await maintenance.rebuild_index(database, "nobody")


async def test_a_flat_generation_is_taken_into_partitions(bare_url: str) -> None:
    """What a database from before the partitions goes through in `ateneo db upgrade`."""
    from ateneo.db import migrate

    async with await Database.open(bare_url, size=2) as db:
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute(
                "DROP FUNCTION ateneo.deviations();"  # no version had it beside these tables
                "DROP TABLE ateneo.own_index, ateneo.recall_measured, ateneo.rebuild;"
                "CREATE TABLE ateneo.vec_g1 (empresa_id text NOT NULL, chunk_id text NOT NULL,"
                " embedding halfvec(3) NOT NULL, PRIMARY KEY (empresa_id, chunk_id));"
                "INSERT INTO ateneo.generation (generation, provider, model, dims, legacy, state)"
                " VALUES (1, 'local', 'm', 3, true, 'active');"
                "INSERT INTO ateneo.vec_g1 VALUES ('a', 'c1', '[1,0,0]'), ('b', 'c1', '[0,1,0]');"
                "SET ateneo.upgrading = 9999;"
                "DELETE FROM ateneo.applied WHERE name ~ '/(0002_own_indexes|0007_search).sql'"
            )
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 2
            assert (
                await connection.fetchval("SELECT count(*) FROM pg_partition_tree('ateneo.vec_g1') WHERE isleaf") == 16
            )
            await connection.execute(
                "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
                " VALUES ('c1', 'a', 'uno', '[0,0,1]')"
            )
            assert (
                await connection.fetchval("SELECT embedding::text FROM ateneo.vec_g1 WHERE empresa_id = 'a'")
                == "[0,0,1]"
            )
