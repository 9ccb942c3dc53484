"""What an older pgvector is used for, and what is said of it; `make test-oldest` has PostgreSQL 16 with 0.8.0."""

import pytest
from tests.cli.run import ateneo
from tests.conftest import OLDER_SERVER

from ateneo.db import indexes, pgvector
from ateneo.db.pool import Database

older = pytest.mark.skipif(not OLDER_SERVER, reason="`make test-oldest` has an older pgvector")


def test_versions_are_compared_by_number() -> None:
    assert pgvector.numbers("0.10.0") > pgvector.numbers("0.8.5") > pgvector.numbers("0.8")
    assert pgvector.written(pgvector.NEEDED) == "0.8.0"


async def test_the_installed_one(bare_url: str) -> None:
    async with await Database.open(bare_url) as db, db.acquire() as connection:
        assert await pgvector.installed(connection) == ()
        await connection.execute("CREATE EXTENSION vector")
        found = await pgvector.installed(connection)
    assert found == (0, 8, 0) if OLDER_SERVER else found >= pgvector.SAFE_VACUUM


async def test_several_processes_build_an_index_where_that_is_safe(database: Database) -> None:
    async with database.acquire() as connection:
        before = await connection.fetchval("SHOW max_parallel_maintenance_workers")
        async with indexes._build_settings(connection, 1, 1):
            during = await connection.fetchval("SHOW max_parallel_maintenance_workers")
        assert await connection.fetchval("SHOW max_parallel_maintenance_workers") == before
    assert int(before) > 0
    assert during == ("0" if OLDER_SERVER else before)


@older
def test_doctor_says_it(database_url: str) -> None:
    told = ateneo("doctor", url=database_url, ATENEO_EMBEDDING_PROVIDER="local")
    assert told.returncode == 0, told.stdout
    assert "PostgreSQL 16.4, pgvector 0.8.0" in told.stdout
    assert "CVE-2026-3172" in told.stdout
    assert "ALTER EXTENSION vector UPDATE;" in told.stdout


def test_nothing_is_said_of_a_new_one(database_url: str) -> None:
    if OLDER_SERVER:
        pytest.skip("an older pgvector")
    assert "CVE" not in ateneo("doctor", url=database_url, ATENEO_EMBEDDING_PROVIDER="local").stdout
