"""Behind PgBouncer in transaction mode: Ateneo works, and what it did stays nobody else's session."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ateneo
from tests.cli.test_cli import MANUAL
from tests.pgbouncer import NEEDED, transaction_pooler

from ateneo.db import advisory_lock, chunks, queue
from ateneo.db import search as db_search
from ateneo.db.pool import Database
from ateneo.errors import DirectConnectionNeeded, RightsMissing
from ateneo.factories.databases import open_database
from ateneo.settings import load

pytestmark = NEEDED
_STATE = """SELECT (SELECT array_agg(name || '=' || setting ORDER BY name) FROM pg_settings WHERE source = 'session'
    AND name NOT IN ('client_encoding', 'application_name', 'jit')) AS settings,
  session_user::text, current_user::text, current_setting('jit') AS jit,
  (SELECT count(*) FROM pg_prepared_statements WHERE name <> '') AS prepared, pg_backend_pid() AS pid,
  coalesce(current_setting('ateneo.empresa_id', true), '') AS tenant,
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks"""


@pytest.fixture
def pooled_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    with transaction_pooler(database_url, tmp_path) as url:
        yield url


async def assert_others_are_untouched(url: str) -> None:
    """Looks at the server's sessions as another program's connections through the same pooler do."""
    others = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(2)]
    try:
        for transaction in [other.transaction() for other in others]:
            await transaction.start()  # each holds a server session of its own
        seen = [dict(await other.fetchrow(_STATE) or {}) for other in others]
    finally:
        for other in others:
            await other.close()
    assert len({state.pop("pid") for state in seen}) == 2, "not all sessions were seen"
    clean = {"settings": None, "session_user": "postgres", "current_user": "postgres", "jit": "on", "prepared": 0,
             "tenant": "", "locks": 0}  # fmt: skip
    assert seen == [clean, clean]


@pytest.mark.long
def test_the_whole_way_of_a_new_user(bare_url: str, tmp_path: Path) -> None:
    documents = tmp_path / "documentos"
    documents.mkdir()
    (documents / "manual.md").write_text(MANUAL, encoding="utf-8")
    with transaction_pooler(bare_url, tmp_path) as url:
        for command in (
            ["db", "upgrade"],
            ["ingest", "-e", "acme", str(documents)],
            ["search", "-e", "acme", "mudanza"],
            ["ask", "-e", "acme", "¿cuántos días dan por mudanza?"],
            ["worker", "--once"],
            ["backfill", "--yes"],
            ["status"],
            ["doctor"],
            ["db", "upgrade"],
        ):
            done = ateneo(*command, url=url)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            asyncio.run(assert_others_are_untouched(url))
        assert "pooler" in ateneo("doctor", url=f"{url}?channel_binding=require").stdout
        refused = ateneo("index", "tune", url=url)
        assert refused.returncode == 2
        assert "pooler" in refused.stderr
        assert "database-url.md" in refused.stderr
        assert "ATENEO_DIRECT_URL" in refused.stderr
        asyncio.run(assert_others_are_untouched(url))


def test_the_direct_address_is_for_what_needs_a_session(database_url: str, bare_url: str, tmp_path: Path) -> None:
    with transaction_pooler(database_url, tmp_path) as url:
        for command in (["index", "tune"], ["worker", "--once"]):
            done = ateneo(*command, url=url, ATENEO_DIRECT_URL=database_url)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
        checked = ateneo("doctor", url=url, ATENEO_DIRECT_URL=database_url).stdout
        assert "pooler" in checked
        assert "ATENEO_DIRECT_URL" not in checked
        strange = ateneo("doctor", url=url, ATENEO_DIRECT_URL=bare_url)
        assert strange.returncode == 1
        assert "ATENEO_DIRECT_URL" in strange.stdout


async def test_only_the_pooled_address_serves_companies(pooled_url: str, database_url: str) -> None:
    settings = load(database_url=pooled_url, direct_url=database_url)
    async with await open_database(settings) as direct, await open_database(settings, guarded=True) as served:
        assert (direct.shared, served.shared) == (False, True)


@pytest.mark.parametrize("guarded", [False, True])
async def test_nothing_is_left_in_a_session(pooled_url: str, guarded: bool) -> None:
    async with await Database.open(pooled_url, size=4, guarded=guarded) as db:
        assert db.shared
        assert db.isolated
        assert db.guarded == guarded

        async def acting_as() -> list[str]:
            async with db.acquire() as connection:
                role = await connection.fetchval("SELECT current_user::text")
            async with db.transaction() as connection:
                again = await connection.fetchval("SELECT current_user::text")
            async with db.tenant("acme") as connection:
                tenant = await connection.fetchval("SELECT current_user || ' ' || ateneo.tenant()")
            [row] = await db.read("acme", "SELECT current_user || ' ' || $1::text || ' ' || ateneo.tenant() AS it")
            return [role, again, tenant, row["it"]]

        role = "ateneo_app" if guarded else "postgres"
        for found in await asyncio.gather(*(acting_as() for _ in range(20))):
            assert found == [role, role, "ateneo_app acme", "ateneo_app acme acme"]
        await asyncio.gather(
            *(db_search.search(db, db_search.Query("acme", "feriado"), schema="public") for _ in range(20))
        )
        await assert_others_are_untouched(pooled_url)


async def test_a_statement_without_a_tenant_fails_behind_a_pooler_too(pooled_url: str) -> None:
    async with await Database.open(pooled_url, guarded=True) as db:
        for statement, said in (
            ("SELECT * FROM ateneo.own_document_texts('acme')", "no tenant set"),
            ("SELECT * FROM public.knowledge_chunks", "permission denied"),
        ):
            with pytest.raises(RightsMissing, match=said):
                async with db.acquire() as connection:
                    await connection.fetch(statement)


async def test_what_fails_leaves_nothing_either(pooled_url: str) -> None:
    async with await Database.open(pooled_url, size=4, guarded=True) as db:
        for how in (db.acquire, db.transaction, lambda: db.tenant("acme")):
            with pytest.raises(ZeroDivisionError):
                async with how() as connection:
                    await connection.fetchval("SELECT 1")
                    raise ZeroDivisionError
        await assert_others_are_untouched(pooled_url)


async def test_pages_of_texts_need_no_named_statement(pooled_url: str) -> None:
    async with await Database.open(pooled_url, size=2) as db:
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO knowledge_chunks (document_id, empresa_id, chunk_index, contenido)"
                " SELECT 'd', 'acme', n, 'un texto bastante largo ' || n FROM generate_series(1, 5) n"
            )
        pages = [page async for page in chunks.texts_to_embed(db, None, None, None, 2)]
        assert [len(page) for page in pages] == [2, 2, 1]
        await assert_others_are_untouched(pooled_url)


async def test_a_lock_lasts_and_goes(pooled_url: str, database: Database) -> None:
    async with await Database.open(pooled_url, size=1) as db:
        async with advisory_lock.locked(db, "una cosa") as mine, advisory_lock.locked(database, "una cosa") as other:
            assert (mine, other) == (True, False)
            async with db.acquire() as connection:  # size=1 and all
                assert await connection.fetchval("SELECT 1") == 1
        async with advisory_lock.locked(database, "una cosa") as other, advisory_lock.locked(db, "una cosa") as mine:
            assert (other, mine) == (True, False)
        await assert_others_are_untouched(pooled_url)


async def test_listening_is_refused_unless_the_sessions_are_said_to_be_ones_own(
    pooled_url: str, database_url: str, tmp_path: Path
) -> None:
    async def listen(db: Database) -> None:
        async with queue.listening(db, lambda: None):
            pass

    async with await Database.open(pooled_url) as db:
        with pytest.raises(DirectConnectionNeeded):
            await listen(db)
    await _with_the_callers_own(pooled_url, listen)
    folder = tmp_path / "sesiones"
    folder.mkdir()
    with transaction_pooler(database_url, folder, mode="session") as url:
        async with await Database.open(url) as db:
            with pytest.raises(DirectConnectionNeeded):
                await listen(db)
        async with await Database.open(f"{url}?pgbouncer=false", guarded=True) as db:
            assert db.shared, "no session role even so"
            await listen(db)
        await assert_others_are_untouched(url)


async def _with_the_callers_own(url: str, use: Callable[[Database], Awaitable[None]]) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        with pytest.raises(DirectConnectionNeeded):
            await use(Database.wrap(connection))
    finally:
        await connection.close()


async def test_the_address_may_say_that_there_is_a_pooler(database_url: str) -> None:
    async with await Database.open(f"{database_url}&pgbouncer=true", guarded=True) as db:
        assert db.shared
        assert db.guarded
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT current_user::text") == "ateneo_app"
    async with await Database.open(database_url, guarded=True) as db:
        assert not db.shared
