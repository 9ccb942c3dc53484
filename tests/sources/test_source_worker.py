"""`ateneo sources` and `ateneo worker`: a table is added by a command, and kept up to date by the worker."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest
from tests.api.conftest import new_key
from tests.api.server import serving, settings
from tests.cli.run import ateneo
from tests.sources.conftest import DJANGO, Find

from ateneo import Ateneo, open_sources
from ateneo.db.pool import Database
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.service import SourceService
from ateneo.sources.worker import SourceWorker

INSERT = "INSERT INTO helpdesk_article (company_id, title, body) VALUES (7, 'Nota', $1)"


@pytest.fixture
async def table(product: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    await product.execute(DJANGO)
    await product.execute(INSERT, "Los viáticos se rinden dentro de los treinta días.")
    yield product


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_the_commands(table: asyncpg.Connection, database_url: str) -> None:
    refused = ateneo("sources", "add", "table", "nada", "--yes", url=database_url)
    assert (refused.returncode, "nada" in refused.stderr) == (2, True)
    added = ateneo("sources", "add", "table", "helpdesk_article", "--name", "kb", "--yes", url=database_url)
    assert added.returncode == 0, added.stderr
    assert "company_id" in added.stdout and '"is_published"' in added.stdout
    assert max(map(len, added.stdout.splitlines())) <= 80
    await table.execute(INSERT, "La licencia por mudanza es de un día.")
    assert ateneo("worker", "--once", url=database_url).returncode == 0
    found = ateneo("search", "mudanza", "-e", "7", "--filter", '{"source": "kb"}', "--json", url=database_url)
    hit = json.loads(found.stdout)["hits"][0]
    assert (hit["source"], hit["key"], hit["dense_score"] is not None) == ("kb", ["2"], True)
    await table.execute(INSERT.replace("7", "NULL"), "Un artículo de nadie.")
    checked = ateneo("sources", "check", "kb", "--json", url=database_url)
    assert json.loads(checked.stdout) == {"differences": 0, "triggers": 0, "without_company": 1, "keys": [["3"]]}
    assert json.loads(ateneo("sources", "list", "--json", url=database_url).stdout)[0]["rows"] == 2
    assert "company_id" in ateneo("sources", "show", "kb", url=database_url).stdout
    assert ateneo("sources", "sync", "kb", url=database_url).returncode == 0
    assert ateneo("db", "check", url=database_url).returncode == 0
    assert ateneo("sources", "remove", "kb", "--yes", url=database_url).returncode == 0
    assert await table.fetchval("SELECT count(*) FROM knowledge_chunks") == 0


async def test_the_doctor_looks_at_each_source(table: asyncpg.Connection, database_url: str) -> None:
    ateneo("sources", "add", "table", "helpdesk_article", "--name", "kb", "--yes", url=database_url)
    assert "Fuente «kb»: al día" in ateneo("doctor", url=database_url).stdout
    await table.execute("ALTER TABLE helpdesk_article DISABLE TRIGGER USER")
    told = ateneo("doctor", url=database_url)
    assert (told.returncode, "faltan 4 triggers" in told.stdout) == (1, True)
    await table.execute("DROP TABLE helpdesk_article")
    assert "su tabla ya no está" in ateneo("doctor", url=database_url).stdout


async def test_nothing_is_done_without_a_yes(table: asyncpg.Connection, database_url: str) -> None:
    assert ateneo("sources", "add", "table", "helpdesk_article", url=database_url).returncode == 2
    assert await table.fetchval("SELECT count(*) FROM ateneo.source") == 0


async def test_the_worker_keeps_up_and_one_source_does_not_hold_up_another(
    table: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await table.execute(
        "CREATE TABLE broken (id int PRIMARY KEY, body text); INSERT INTO broken VALUES (1, 'Un texto.')"
    )
    await sources.add(await sources.draft("broken", name="a_broken", empresa_id="7"))
    await sources.add(await sources.draft("helpdesk_article", name="kb"))
    await table.execute("DROP TABLE broken")

    async def found() -> bool:
        return len(await find(7, "mudanza")) == 1

    async with SourceWorker(sources).running():
        await table.execute(INSERT, "La licencia por mudanza es de un día.")
        await _until(found)
    broken = await sources.show("a_broken")
    assert broken.error is not None
    assert (await sources.show("kb")).error is None


async def test_a_worker_of_the_least_rights(
    table: asyncpg.Connection, sources: SourceService, find: Find, database_url: str
) -> None:
    await sources.add(await sources.draft("helpdesk_article", name="kb"))
    login = f"worker_{uuid.uuid4().hex[:8]}"
    await table.execute(f"CREATE ROLE {login} LOGIN; GRANT ateneo_worker TO {login}")
    models = make_models(load())
    try:
        async with await Database.open(database_url.replace("postgres:@", f"{login}:@"), size=2) as db:
            await SourceWorker(SourceService(db, models)).run_once()
            assert len(await find(7, "viáticos")) == 1
            await table.execute("TRUNCATE helpdesk_article")
            await SourceWorker(SourceService(db, models)).run_once()
        assert await table.fetchval("SELECT count(*) FROM knowledge_chunks") == 0
    finally:
        await models.close()
        await table.execute(f"DROP ROLE {login}")


async def test_an_erased_company_does_not_come_back(
    table: asyncpg.Connection, sources: SourceService, find: Find
) -> None:
    await sources.add(await sources.draft("helpdesk_article", name="kb"))
    await sources.sync("kb")
    await table.execute("SELECT ateneo.erase_tables('7'); INSERT INTO ateneo.erased VALUES ('7')")
    await table.execute("UPDATE helpdesk_article SET title = 'Otra'")
    await sources.sync("kb")
    assert (await sources.check("kb")).differences == 0
    assert await table.fetchval("SELECT count(*) FROM knowledge_chunks") == 0


async def test_the_same_in_python(table: asyncpg.Connection, database_url: str, find: Find) -> None:
    async with open_sources(database_url=database_url) as opened:
        await opened.add(await opened.draft("helpdesk_article", url="https://app.example/{id}", title=""))
        done = await opened.sync("helpdesk_article")
    assert (done.stored, set(done.companies)) == (1, {"7"})
    [hit] = await find(7, "viáticos")
    assert (hit.url, hit.title) == ("https://app.example/1", "Los viáticos se rinden dentro de los treinta días.")


async def test_a_company_sees_its_own_sources(
    table: asyncpg.Connection, sources: SourceService, database_url: str
) -> None:
    await sources.add(await sources.draft("helpdesk_article", name="kb"))
    await sources.sync("kb")
    key = {"Authorization": f"Bearer {await new_key(database_url, '7')}"}
    other = {"Authorization": f"Bearer {await new_key(database_url, '8')}"}
    with serving(settings(database_url)) as url:
        async with httpx.AsyncClient(base_url=url, headers=key, timeout=60) as client:
            assert (await client.get("/sources")).json() == {"sources": [{"name": "kb", "rows": 1}]}
            assert (await client.get("/sources", headers=other)).json() == {"sources": []}
            found = (await client.get("/search/semantic", params={"q": "viáticos"})).json()["hits"]
            assert [(hit["source"], hit["key"]) for hit in found] == [("kb", ["1"])]
            await table.execute("DELETE FROM helpdesk_article")
            assert (await client.get("/search/semantic", params={"q": "viáticos"})).json()["hits"] == []
    async with Ateneo.open(database_url=database_url) as ateneo_:
        assert [one.name for one in await ateneo_.sources("7")] == ["kb"]
