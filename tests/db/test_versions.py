"""Several versions of Ateneo on one database: rolled out, rolled back, never taken back silently."""

import asyncio
import re
import tarfile
from pathlib import Path

import pytest
from tests.db import program_0033
from tests.db.test_migrate import BROWNFIELD

from ateneo.db import migrate, schema_files, versions
from ateneo.db.pool import Database
from ateneo.errors import DatabaseError, MigrationChanged, NotUpgraded, SchemaNewer

FROZEN_TWINS = {"0002", "0016"}
"""Numbers that two migrations have since before there was this rule."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program_0033.unpack(tmp_path_factory.mktemp("old"))


RECORDED = """
010_fold 015_identifiers 020_analysis 030_tenant 040_generation 041_live 045_first_model 050_sync 051_stale 055_queue
056_suspects 057_budget 058_switch 060_vectors 070_stats 075_query 077_filter 080_search 090_reconcile 100_indexes
110_rebuild 115_writing 118_versions 120_protect 125_tenant_doors 126_queue_doors 128_documents 130_erase"""
"""What the function files were called, and recorded by, up to commit 48eef34."""


async def _execute(db: Database, sql: str) -> None:
    async with db.acquire() as connection:
        await connection.execute(sql)


async def _signatures(db: Database) -> dict[str, str]:
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ')' AS name,"
            " pg_get_function_result(oid) AS result FROM pg_proc WHERE pronamespace = 'ateneo'::regnamespace"
        )
    return {row["name"]: row["result"] for row in rows}


async def test_an_old_process_goes_on_searching_through_the_upgrade(bare_url: str, old: Path) -> None:
    """A database of the old program's, with the user's own table and rows, is upgraded while that program searches."""
    async with await Database.open(bare_url, size=2) as db:
        await _execute(db, BROWNFIELD)
        assert (done := program_0033.run(old, "upgrade", bare_url)).returncode == 0, done.stderr
        await _execute(
            db, "SELECT ateneo.create_generation('p', 'm', 2); UPDATE knowledge_chunks SET embedding = '[1,0]'"
        )
        await migrate.reconcile(db)
        before = await _signatures(db)
        line, environment = program_0033.command(old, "search", bare_url, "acme", "feriados")
        searcher = await asyncio.create_subprocess_exec(
            *line, env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=old
        )
        asked, answered = searcher.stdin, searcher.stdout
        assert asked is not None and answered is not None
        found: list[bytes] = []
        upgraded = asyncio.Event()

        async def search() -> None:
            asked.write(b"\n")
            line = await answered.readline()
            assert line, "the old program has ended"
            found.append(line.strip())

        async def searching() -> None:
            while not upgraded.is_set():
                await search()

        await search()
        busy = asyncio.create_task(searching())
        assert await migrate.upgrade(db)
        await _execute(
            db,
            "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', 'otro de feriados'); "
            "UPDATE knowledge_chunks SET contenido = 'de feriados también' WHERE chunk_index = 3",
        )
        upgraded.set()
        await busy
        await search()
        assert set(found) == {b"10"}
        asked.close()
        assert await searcher.wait() == 0
        kept = await _signatures(db)
        assert {name: kept.get(name) for name in before if name not in DROPPED} == {
            name: result for name, result in before.items() if name not in DROPPED
        }
        async with db.acquire() as connection:  # but for the text that changed
            assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 24
        # the process that was there is still ready, and its upgrade takes nothing back
        assert program_0033.run(old, "plan", bare_url).stdout.strip() == ""
        assert program_0033.run(old, "upgrade", bare_url).returncode == 0
        assert await migrate.plan(db) == []
        await versions.check(db)


DROPPED = {"keep_no_texts()", "is_owners_alone(name text)"}
"""What the old program's processes never call: only its `db upgrade`, inside functions that were replaced."""


async def test_an_old_program_does_not_take_a_new_database_back(
    database: Database, database_url: str, old: Path
) -> None:
    refused = program_0033.run(old, "upgrade", database_url)
    assert refused.returncode and "the program that upgrades it is older" in refused.stderr
    assert await migrate.plan(database) == []


def test_the_old_program_is_refused_nothing_it_does_not_upgrade() -> None:
    """Migrations that ran anywhere are frozen."""
    with tarfile.open(program_0033.ARCHIVE) as archive:
        frozen = {
            f"migrations/{Path(item.name).name}": archive.extractfile(item).read().decode()  # type: ignore[union-attr]
            for item in archive.getmembers()
            if item.name.endswith(".sql") and "/migrations/" in item.name
        }
    now = {item.name: item.sql for item in schema_files.migrations()}
    frozen.pop("migrations/record.sql")
    assert {name: now.get(name) for name in frozen} == frozen


def test_each_migration_has_a_number_of_its_own() -> None:
    numbers = [re.match(r"migrations/(\d{4})_\w+\.sql", item.name) for item in schema_files.migrations()]
    assert all(numbers)
    found = [one[1] for one in numbers if one]
    assert {number for number in found if found.count(number) > 1} == FROZEN_TWINS


def test_a_comment_is_no_other_version() -> None:
    sql = "-- a\nSELECT 'it''s -- no comment', $$ x -- don't\n y $$;  -- b\n"
    same = "\n-- another's\nSELECT 'it''s -- no comment', $$ x\n y $$;"
    other = sql.replace("no comment", "other")
    a, b, c = (schema_files.SchemaFile("functions/x.sql", text).digest for text in (sql, same, other))
    assert a == b != c


async def _install(db: Database, name: str, sha256: str) -> None:
    """As an upgrade by a program whose file `name` has that text."""
    await _execute(
        db,
        "SET ateneo.upgrading = 9999;"
        f"UPDATE ateneo.function_file SET is_current = false WHERE name = '{name}';"
        f"INSERT INTO ateneo.function_file (name, sha256) VALUES ('{name}', '{sha256}');"
        "RESET ateneo.upgrading",
    )


async def test_another_text_of_a_function(database: Database) -> None:
    """A program of the same number whose functions were replaced stays ready, and does not put its own back."""
    await _install(database, "functions/080_search.sql", "later")
    await versions.check(database)
    with pytest.raises(SchemaNewer):
        await migrate.upgrade(database)
    assert [step.name for step in await migrate.upgrade(database, allow_downgrade=True)] == ["functions/080_search.sql"]
    assert await migrate.upgrade(database) == []


async def test_a_program_with_a_function_that_was_never_here_asks_for_the_upgrade(database: Database) -> None:
    await _execute(
        database,
        "SET ateneo.upgrading = 9999; UPDATE ateneo.function_file SET sha256 = 'older' WHERE name ~ '080'",
    )
    with pytest.raises(NotUpgraded):
        await versions.check(database)
    assert [step.name for step in await migrate.upgrade(database)] == ["functions/080_search.sql"]
    await versions.check(database)


@pytest.mark.parametrize(("least", "ready"), [(versions.VERSION, True), (versions.VERSION + 1, False)])
async def test_a_later_version_that_still_works_with_this_one(database: Database, least: int, ready: bool) -> None:
    later = versions.VERSION + 1
    await _execute(database, f"UPDATE ateneo.schema_version SET version = {later}, least_compatible = {least}")
    if ready:
        await versions.check(database)
    else:
        with pytest.raises(SchemaNewer, match="Actualizá este programa"):
            await versions.check(database)
    with pytest.raises(SchemaNewer):
        await migrate.upgrade(database, allow_downgrade=True)


async def test_a_migration_that_ran_with_another_text_is_told(database: Database) -> None:
    await _execute(
        database,
        "SET ateneo.upgrading = 9999; UPDATE ateneo.applied SET sha256 = 'other' WHERE name ~ '0003_queue'",
    )
    with pytest.raises(MigrationChanged, match=r"0003_queue\.sql"):
        await migrate.upgrade(database)


async def test_what_was_applied_is_recorded_by_upgrades_alone(database: Database) -> None:
    for table in ("applied", "function_file"):
        with pytest.raises(DatabaseError, match="older"):
            await _execute(database, f"DELETE FROM ateneo.{table}")


def test_every_function_file_has_its_place_in_the_order() -> None:
    folder = Path(schema_files.__file__).parent / "sql" / "functions"
    assert {path.stem for path in folder.iterdir()} == schema_files.FUNCTION_FILES.keys()
    assert len(set(schema_files.FUNCTION_FILES.values())) == len(schema_files.FUNCTION_FILES)


async def test_a_renamed_file_replaces_the_text_of_an_older_program(database: Database) -> None:
    """That program finds its text among the former ones, so that it stays ready and does not upgrade the database back;
    were a file recorded by its new name, the old text would stay current beside it."""
    await _execute(database, "SET ateneo.upgrading = 9999; UPDATE ateneo.function_file SET sha256 = 'older'")
    steps = await migrate.upgrade(database)
    assert [step.title for step in steps] == [f"functions/{name}.sql" for name in schema_files.FUNCTION_FILES]
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT name, sha256 = 'older' AS old, is_current FROM ateneo.function_file")
    former = {row["name"] for row in rows if row["old"] and not row["is_current"]}
    assert {f"functions/{name}.sql" for name in RECORDED.split()} <= former
    assert sorted(row["name"] for row in rows if row["is_current"]) == sorted(former)
    assert await migrate.plan(database) == []
