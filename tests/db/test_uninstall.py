"""`ateneo db uninstall`: the database as `pg_dump` tells it is what it was before the first upgrade."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.cli.run import ateneo
from tests.db.test_isolation_database import put
from tests.db.test_restore import fresh_cluster, tool

from ateneo.db import generations, migrate, uninstall
from ateneo.db.pool import Database
from ateneo.errors import UninstallRefused
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.service import SourceService

__all__ = ["fresh_cluster"]  # a fixture

# what a product has: a table of chunks without a key, with a policy, a trigger and a view of its own
PRODUCT = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE documents (id text PRIMARY KEY, name text);
CREATE TABLE knowledge_chunks (id text, document_id text REFERENCES documents, empresa_id text, chunk_index int,
  contenido text, tokens_count int);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON knowledge_chunks FOR EACH ROW EXECUTE FUNCTION touched();
CREATE VIEW texts AS SELECT id, contenido FROM knowledge_chunks;
CREATE INDEX ON knowledge_chunks (document_id);
INSERT INTO documents VALUES ('d', 'Manual');
INSERT INTO knowledge_chunks VALUES ('c', 'd', 'acme', 0, 'La caldera se purga los lunes.', 7);
"""
WITH_POLICIES = """
ALTER TABLE knowledge_chunks ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON knowledge_chunks USING (empresa_id = current_setting('app.empresa', true));
"""
SOURCE = """
CREATE SCHEMA app;
CREATE TABLE app.faq (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, content text, deleted_at timestamptz);
INSERT INTO app.faq VALUES (gen_random_uuid(), gen_random_uuid(), 'La caldera se purga los lunes.');
"""
KEYED = "ALTER TABLE knowledge_chunks ADD COLUMN number bigserial PRIMARY KEY;"


def dump(url: str) -> str:
    """The database's schema and rows, without what differs between two dumps of the same."""
    made = tool("pg_dump", "--inserts", url)
    assert made.returncode == 0, made.stderr
    return re.sub(r"^(--.*|\\(un)?restrict .*|)\n", "", made.stdout, flags=re.M)


async def executed(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


@pytest.fixture
async def used(bare_url: str) -> AsyncIterator[Database]:
    """An installation in an empty database, with a document and vectors."""
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        await generations.create(db, "probe", "m", 3)
        await put(db, "acme", "manual.md", "El trabajo en día feriado se paga doble.")
        yield db


@pytest.mark.parametrize("own", ["", WITH_POLICIES, KEYED], ids=["no key", "own policies", "own key"])
async def test_a_products_table_is_as_it_was(bare_url: str, own: str) -> None:
    await executed(bare_url, PRODUCT + own)
    before = dump(bare_url)
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        await migrate.reconcile(db)
        assert dump(bare_url) != before
        done = await uninstall.uninstall(db)
    assert {removal.kind for removal in done if removal.kept} <= {"role"}
    assert dump(bare_url) == before


async def test_a_table_that_is_a_source_is_as_it_was(bare_url: str) -> None:
    await executed(bare_url, SOURCE)
    before = dump(bare_url)
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        models = make_models(load())
        sources = SourceService(db, models)
        await sources.add(await sources.draft("app.faq"))
        await sources.sync("faq")
        await models.close()
        await uninstall.uninstall(db, drop_chunks=True)
    assert dump(bare_url) == before


async def test_an_empty_database_is_empty_again(bare_url: str) -> None:
    before = dump(bare_url)
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        await put(db, "acme", "manual.md", "El trabajo en día feriado se paga doble.")
        await uninstall.uninstall(db, drop_chunks=True)
        assert await uninstall.plan(db) == []
    assert dump(bare_url) == before


async def test_roles_go_with_their_last_database(fresh_cluster: str) -> None:
    admin = await asyncpg.connect(fresh_cluster)
    await admin.execute("CREATE DATABASE first")
    await admin.execute("CREATE DATABASE second")
    await admin.close()
    left = {}
    for name in ("first", "second"):
        async with await Database.open(fresh_cluster.replace("/postgres?", f"/{name}?")) as db:
            await migrate.upgrade(db)
    for name in ("first", "second"):
        async with await Database.open(fresh_cluster.replace("/postgres?", f"/{name}?")) as db:
            done = await uninstall.uninstall(db, drop_chunks=True)
            left[name] = [one.object for one in done if one.kept]
    assert left == {"first": ["ateneo_app", "ateneo_worker"], "second": []}


async def test_texts_stay_unless_they_are_to_go(used: Database, bare_url: str) -> None:
    done = await uninstall.uninstall(used)
    # the column of vectors that the table has needs the extension
    assert {removal.kind for removal in done if removal.kept} - {"role"} == {"extension"}
    left = dump(bare_url)
    assert "El trabajo en día feriado se paga doble." in left
    assert "ateneo" not in left
    await migrate.upgrade(used)
    assert await migrate.reconcile(used) == 1


async def test_the_plan_is_what_is_done(used: Database) -> None:
    planned = await uninstall.plan(used, drop_chunks=True)
    done = await uninstall.uninstall(used, drop_chunks=True)
    assert [one.statement for one in done] == [one.statement for one in planned]
    assert {"trigger", "policy", "row-level security", "right", "schema", "table", "extension", "role"} <= {
        one.kind for one in planned
    }


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ("CREATE VIEW mine AS SELECT document_id FROM ateneo.document", "view mine"),
        ("CREATE TABLE mine (empresa_id text DEFAULT ateneo.tenant())", "default value"),
        ("CREATE TABLE mine (e text, d text, FOREIGN KEY (e, d) REFERENCES ateneo.document)", "constraint mine"),
        ("CREATE FUNCTION mine(ateneo.document) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function mine"),
    ],
    ids=["view", "default", "foreign key", "function"],
)
async def test_what_would_go_with_it_is_told_and_nothing_goes(
    used: Database, bare_url: str, own: str, named: str
) -> None:
    await executed(bare_url, own)
    before = dump(bare_url)
    with pytest.raises(UninstallRefused, match=named):
        await uninstall.uninstall(used)
    assert dump(bare_url) == before


async def test_a_key_that_is_needed_by_now_stays(bare_url: str) -> None:
    await executed(bare_url, PRODUCT)
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        await executed(bare_url, "CREATE TABLE notes (chunk_id text REFERENCES knowledge_chunks)")
        done = await uninstall.uninstall(db)
    [key] = [one for one in done if one.kept and one.kind == "adoption"]
    assert "notes" in key.kept
    assert "REFERENCES public.knowledge_chunks(id)" in dump(bare_url)


def test_the_command(bare_url: str) -> None:
    assert "no está instalado" in ateneo("db", "uninstall", url=bare_url).stdout
    ateneo("db", "upgrade", url=bare_url)
    assert ateneo("db", "uninstall", "--drop-chunks", url=bare_url).returncode == 2  # nobody to ask
    assert ateneo("db", "check", url=bare_url).returncode == 0
    done = ateneo("db", "uninstall", "--drop-chunks", "--yes", url=bare_url)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert ateneo("db", "check", url=bare_url).returncode == 1
    assert "CREATE" not in dump(bare_url)
