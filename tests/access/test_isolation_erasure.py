"""Erasing a company: all that is its goes, nothing of anybody else, and nothing under way brings it back."""

import asyncio

import pytest
from tests.cli.run import ateneo
from tests.db.test_isolation_database import put

from ateneo.access import erasure
from ateneo.db import audit, documents, empresas, generations, keys, migrate, synonyms, usage
from ateneo.db import search as db_search
from ateneo.db.audit import AuditEntry
from ateneo.db.pool import Database
from ateneo.errors import BadArgument, UnknownEmpresa

CANARY = "canario-7f3a9 trinitaria"


async def filled(db: Database, *companies: str) -> None:
    for company in companies:
        await put(db, company, "canario.md", f"El {CANARY} canta en {company}.", "Y calla de noche.")
        await synonyms.add(db, company, ["canario", "pájaro"])
        await keys.create(db, company)
        await audit.append(db, [AuditEntry(company, "cli:x", "y", 200)])


async def footprint(db: Database, company: str) -> dict[str, int]:
    return await empresas.remaining(db, company)


async def test_everything_of_one_and_nothing_of_the_other(database: Database) -> None:
    await filled(database, "acme", "otra")
    generation = await generations.create(database, "probe", "m", 3)
    async with database.acquire() as connection:
        await connection.execute("UPDATE public.knowledge_chunks SET embedding = '[1,2,3]'")
        await connection.execute("SELECT ateneo.refresh_stats('acme'), ateneo.refresh_stats('otra')")
        await connection.execute("INSERT INTO ateneo.rebuild (scope) VALUES ('acme')")
        name = await connection.fetchval("SELECT ateneo.own_index_name($1, 'acme')", generation.number)
        leaf = await connection.fetchval("SELECT tableoid::regclass::text FROM ateneo.vec_g1 WHERE empresa_id = 'acme'")
        await connection.execute(
            f"CREATE INDEX {name} ON {leaf} USING hnsw (embedding halfvec_cosine_ops) WHERE empresa_id = 'acme'"
        )
    before = await footprint(database, "otra")
    report = await erasure.erase(database, "acme", actor="cli:ana")
    assert report.clean
    touched = {"public.knowledge_chunks", "ateneo.document", "ateneo.chunk_lex", "ateneo.vec_g1", "ateneo.api_key"}
    assert touched | {"ateneo.synonym", "ateneo.term_stats", "ateneo.vocabulary", name} <= report.deleted.keys()
    assert await footprint(database, "otra") == before
    async with database.acquire() as connection:
        assert not await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%acme%'")
        assert not await connection.fetchval("SELECT count(*) FROM ateneo.rebuild")
    assert [one.action for one in await audit.page(database, "acme")] == ["empresas_delete"]
    with pytest.raises(UnknownEmpresa):
        await empresas.erase(database, "nadie")


async def test_a_table_of_next_years_is_erased_too(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE ateneo.novelty (empresa_id text NOT NULL, secret text)")
        await connection.execute("INSERT INTO ateneo.novelty VALUES ('acme', 'a'), ('otra', 'b')")
    await migrate.upgrade(database)
    assert (await empresas.erase(database, "acme")) == {"ateneo.novelty": 1}


async def test_nothing_under_way_brings_it_back(database: Database) -> None:
    """Ingestions and a change of the generations run while the company goes: those that had begun to write are waited
    for and deleted, the others are refused, and the canary is found by nobody right after the commit."""
    await filled(database, "acme", "otra")
    ended = asyncio.Event()
    refused = []

    async def ingest(number: int) -> None:
        while not ended.is_set():
            try:
                await put(database, "acme", f"{number}.md", f"El {CANARY} número {number}.")
            except BadArgument as error:
                refused.append(error)
                return

    async def switch() -> None:
        for number in range(2):
            await generations.create(database, "probe", f"m{number}", 3)

    runs = [asyncio.create_task(ingest(number)) for number in range(2)] + [asyncio.create_task(switch())]
    while len(await documents.list_documents(database, "acme")) < 3:
        await asyncio.sleep(0.01)
    await empresas.erase(database, "acme")
    found = await db_search.search(database, db_search.Query("acme", CANARY), schema="public")
    assert not found.hits
    await asyncio.wait(runs, timeout=60)
    ended.set()
    assert len(refused) == 2
    assert await footprint(database, "acme") == {}
    assert not (await db_search.search(database, db_search.Query("acme", CANARY), schema="public")).hits
    assert len((await db_search.search(database, db_search.Query("otra", CANARY), schema="public")).hits) == 1


async def test_upkeep_and_bills_do_not_bring_it_back(database: Database) -> None:
    """The words of a company that is being erased are not counted, and what was billed for it is not noted."""
    await filled(database, "acme", "otra")
    bill = {company: usage.Share(1, 2, 0.5) for company in ("acme", "otra")}
    async with database.transaction() as connection:
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
        erasing = asyncio.create_task(empresas.erase(database, "acme"))
        for _ in range(200):
            if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                break
            await asyncio.sleep(0.02)
        assert not erasing.done()  # it waits for the words that are being counted
        await usage.charge(connection, "p", "m", bill)  # and who waits for nobody holds nobody up
    await erasing
    async with database.transaction() as connection:
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
        await usage.charge(connection, "p", "m", bill)
    assert await footprint(database, "acme") == {}
    assert [(one.empresa_id, one.tokens) for one in await usage.month(database)] == [("otra", 4)]


async def test_a_new_key_opens_the_company_again(database: Database) -> None:
    await filled(database, "acme")
    await empresas.erase(database, "acme")
    with pytest.raises(BadArgument, match="borrada"):
        await put(database, "acme", "a.md", "Otra vez.")
    await keys.create(database, "acme")
    await put(database, "acme", "a.md", "Otra vez.")
    assert [one.empresa_id for one in await empresas.listed(database)] == ["acme"]


def test_the_command_asks_and_reports(database_url: str) -> None:
    async def fill() -> None:
        async with await Database.open(database_url, size=2) as db:
            await filled(db, "acme", "otra")

    asyncio.run(fill())
    shown = ateneo("empresas", "list", url=database_url)
    assert "acme" in shown.stdout and "otra" in shown.stdout
    unasked = ateneo("empresas", "delete", "acme", url=database_url)
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    done = ateneo("empresas", "delete", "acme", "--yes", url=database_url)
    assert done.returncode == 0
    assert "public.knowledge_chunks" in done.stdout
    assert "No queda nada" in done.stdout
    assert "empresas_delete" in ateneo("audit", "-e", "acme", url=database_url).stdout
    assert ateneo("empresas", "delete", "acme", "--yes", url=database_url).returncode == 2


async def test_an_erased_company_keeps_no_other_from_writing(database: Database) -> None:
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO ateneo.erased (empresa_id) VALUES ('acme')")
        await connection.execute("SET LOCAL ateneo.empresa_id = 'otra'")
        assert await connection.fetchval("SELECT ateneo.writing_tenant()") == "otra"
