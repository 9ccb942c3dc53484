"""`/health` and `/ready`."""

import re
from html import unescape

import httpx
from tests.api.conftest import Api
from tests.api.server import serving, settings

from ateneo.db import generations, versions
from ateneo.db.pool import Database


async def test_ready(api: Api) -> None:
    """Without a key."""
    assert httpx.get(f"{api.url}/health").json() == {"status": "ok"}
    answer = httpx.get(f"{api.url}/ready")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["vectors"]) == ("ready", True)


async def test_not_ready_before_the_upgrade(bare_url: str) -> None:
    with serving(settings(bare_url)) as url:
        answer = httpx.get(f"{url}/ready")
        search = httpx.get(f"{url}/documents", headers={"X-API-Key": "ate_000000000000_" + "0" * 64})
        assert httpx.get(f"{url}/health").status_code == 200
    for said in (answer, search):
        assert (said.status_code, said.json()["code"]) == (503, "not-upgraded")
        assert "ateneo db upgrade" in said.json()["remedy"]


async def test_ready_while_a_later_version_has_upgraded_the_database(database_url: str, database: Database) -> None:
    """A rolling deploy: the processes that are there go on, until a version says that they cannot."""

    async def upgraded(least_compatible: int) -> httpx.Response:
        async with database.acquire() as connection:
            await connection.execute(
                "UPDATE ateneo.schema_version SET version = $1, least_compatible = $2",
                versions.VERSION + 1,
                least_compatible,
            )
        return httpx.get(f"{url}/ready")

    with serving(settings(database_url)) as url:
        assert (await upgraded(versions.VERSION)).status_code == 200
        refused = await upgraded(versions.VERSION + 1)
    assert (refused.status_code, refused.json()["code"]) == (503, "schema-newer")
    assert "Actualizá este programa" in refused.json()["remedy"]


async def test_not_ready_with_vectors_of_another_model(database_url: str, database: Database) -> None:
    await generations.create(database, "openai", "text-embedding-3-small", 1536)
    async with database.acquire() as connection:  # with a vector: an empty one would give way
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " VALUES ('de-otro', 'otra', 'Un texto de otro modelo', array_fill(1.0::real, ARRAY[1536])::vector)"
        )
    with serving(settings(database_url)) as url:
        answer = httpx.get(f"{url}/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "generation")
    assert "embeddings switch" in answer.json()["remedy"]


async def test_the_reference_needs_no_key_and_no_network(api: Api) -> None:
    page = httpx.get(f"{api.url}/docs", headers={"Accept-Language": "en"})
    described = httpx.get(f"{api.url}/openapi.json", headers={"Accept-Language": "en"}).json()
    assert page.status_code == 200 and "Each request brings its key" in page.text
    shown = unescape(page.text)
    for path, item in described["paths"].items():
        for method, operation in item.items():
            assert f'<span class="m">{method.upper()}</span> <code>{path}</code> {operation["summary"]}' in shown
    assert '"query": "¿Cuánto me pagan si trabajo un feriado?"' in shown
    assert "<script" not in page.text and "src=" not in page.text
    assert re.findall(r'href="([^"]*)"', page.text) == ["openapi.json"]


async def test_metrics(api: Api) -> None:
    """Without a key, and without any company's name."""
    answer = httpx.get(f"{api.url}/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'ateneo_queue_chunks{state="dead"} 0.0' in answer.text
    assert 'ateneo_workers{state="idle"} 0.0' in answer.text
    assert "acme" not in answer.text
