"""`db upgrade`: greenfield, brownfield, idempotence, refusals."""

import asyncio

import asyncpg
import pytest

from ateneo.db import migrate
from ateneo.db.pool import Database
from ateneo.errors import AdoptionRefused, RightsMissing
from ateneo.indexing import maintenance

BROWNFIELD = """
CREATE TABLE documents (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), titulo text);
CREATE TABLE knowledge_chunks (
  id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  document_id uuid REFERENCES documents (id) ON DELETE CASCADE,
  empresa_id varchar(64) NOT NULL, chunk_index int, contenido text, tokens_count int,
  idioma text DEFAULT 'es');
INSERT INTO documents (titulo) VALUES ('Manual');
INSERT INTO knowledge_chunks (document_id, empresa_id, chunk_index, contenido)
  SELECT id, 'acme', n, 'Texto número ' || n || ' sobre feriados' FROM documents, generate_series(1, 25) n;
"""


async def _open(url: str, sql: str) -> Database:
    db = await Database.open(url, size=2)
    async with db.acquire() as connection:
        await connection.execute(sql)
    return db


async def _shape(db: Database) -> list[tuple[str, ...]]:
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT conname::text, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'knowledge_chunks'::regclass AND contype IN ('p', 'f') ORDER BY 1"
        )
        columns = await connection.fetch(
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'knowledge_chunks'::regclass AND attnum > 0 AND attname <> 'embedding' ORDER BY attnum"
        )
    return [tuple(row) for row in [*rows, *columns]]


async def test_greenfield_is_idempotent(bare_url: str) -> None:
    async with await Database.open(bare_url, size=2) as db:
        planned = await migrate.plan(db)
        done = await migrate.upgrade(db)
        assert [step.title for step in planned] == [step.title for step in done]
        assert await migrate.upgrade(db) == []
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO knowledge_chunks"
                " (document_id, empresa_id, chunk_index, contenido, tokens_count, embedding)"
                " VALUES ('d', 'acme', 0, 'hola a todos', 3, '[1,2,3]'::vector)"
            )
            assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex") == 1


async def test_plan_changes_nothing(bare_url: str) -> None:
    async with await Database.open(bare_url, size=2) as db:
        await migrate.plan(db)
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT to_regnamespace('ateneo') IS NULL")


async def test_brownfield_is_adopted_as_it_is(bare_url: str) -> None:
    async with await _open(bare_url, BROWNFIELD) as db:
        before = await _shape(db)
        await migrate.upgrade(db)
        assert await migrate.reconcile(db, page=10) == 25
        assert await _shape(db) == before
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex WHERE empresa_id = 'acme'") == 25
            assert await connection.fetchval("SELECT count(*) FROM knowledge_chunks WHERE idioma = 'es'") == 25
        assert await migrate.reconcile(db) == 0


async def test_a_table_without_a_key_gets_one_when_its_rows_allow(bare_url: str) -> None:
    sql = BROWNFIELD.replace("id text PRIMARY KEY DEFAULT", "id text DEFAULT").replace("NOT NULL", "")
    async with await _open(bare_url, sql) as db:
        await migrate.upgrade(db)
        assert ("knowledge_chunks_pkey", "PRIMARY KEY (id)") in await _shape(db)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("ALTER TABLE knowledge_chunks DROP COLUMN chunk_index, DROP COLUMN tokens_count", "chunk_index"),
        ("ALTER TABLE knowledge_chunks DROP COLUMN id, ADD COLUMN id bigserial PRIMARY KEY", "bigint"),
        ("ALTER TABLE knowledge_chunks ALTER contenido TYPE bytea USING contenido::bytea", "bytea"),
        ("ALTER TABLE knowledge_chunks DROP CONSTRAINT knowledge_chunks_pkey; UPDATE knowledge_chunks SET id = 'x'",
         "id repetidos"),
        ("ALTER TABLE knowledge_chunks ALTER empresa_id DROP NOT NULL;"
         "UPDATE knowledge_chunks SET empresa_id = NULL",
         "empresa_id"),
        ("ALTER TABLE knowledge_chunks ADD COLUMN embedding float8[]", "embedding"),
        ("ALTER TABLE knowledge_chunks RENAME TO k; CREATE VIEW knowledge_chunks AS SELECT * FROM k", "vista"),
    ],
)  # fmt: skip
async def test_refuses_what_it_cannot_adopt_and_changes_nothing(bare_url: str, change: str, word: str) -> None:
    async with await _open(bare_url, BROWNFIELD + change) as db:
        with pytest.raises(AdoptionRefused) as refusal:
            await migrate.upgrade(db)
        assert word in refusal.value.message
        assert refusal.value.remedy
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT to_regnamespace('ateneo') IS NULL")


async def test_pgvector_in_another_schema(bare_url: str) -> None:
    async with await _open(bare_url, "CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions") as db:
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute("SELECT ateneo.create_generation('local', 'm', 2)")
            await connection.execute(
                "INSERT INTO knowledge_chunks (empresa_id, contenido, embedding) VALUES ('a', 'uno', '[1,0]')"
            )
            assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 1


async def test_two_upgrades_at_once(bare_url: str) -> None:
    async with await Database.open(bare_url, size=4) as db:
        done = await asyncio.gather(migrate.upgrade(db), migrate.upgrade(db))
    assert sorted(map(bool, done)) == [False, True]


async def test_a_role_without_rights_is_told_what_to_ask_for(bare_url: str) -> None:
    async with await _open(bare_url, "CREATE EXTENSION vector; CREATE ROLE pobre LOGIN"):
        async with await Database.open(bare_url.replace("postgres:@", "pobre:@"), size=1) as poor:
            with pytest.raises(RightsMissing) as refusal:
                await migrate.upgrade(poor)
        assert "pobre" in refusal.value.message
        assert "GRANT" in refusal.value.remedy
    connection = await asyncpg.connect(bare_url)
    await connection.execute("DROP ROLE pobre")
    await connection.close()


async def test_words_are_made_anew_when_a_version_analyses_them_in_another_way(database: Database) -> None:
    """As with a database of an older version, whose stems a query would no longer meet."""
    async with database.acquire() as connection:
        new = await connection.fetchval("SELECT pg_get_functiondef('ateneo.stem'::regproc)")
        await connection.execute("CREATE OR REPLACE FUNCTION ateneo.stem(lexeme text) RETURNS text LANGUAGE sql"
                                 " IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT upper(lexeme)'")  # fmt: skip
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ('a', 'acme', 'hola a todos')"
        )
        await connection.execute(
            "SET ateneo.upgrading = 9999; UPDATE ateneo.applied SET sha256 = 'older' WHERE name = 'analysis';"
            "RESET ateneo.upgrading"
        )
    old = await _terms(database)
    steps = await migrate.upgrade(database)
    assert [step.name for step in steps] == ["functions/020_analysis.sql"]
    assert await _terms(database) == old
    assert await maintenance.finish_rebuilds(database) == 1
    assert await _terms(database) != old
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT pg_get_functiondef('ateneo.stem'::regproc)") == new
    assert await migrate.upgrade(database) == []
    assert await maintenance.finish_rebuilds(database) == 0


async def _terms(db: Database) -> list[int]:
    async with db.acquire() as connection:
        return list(await connection.fetchval("SELECT terms FROM ateneo.chunk_lex"))
