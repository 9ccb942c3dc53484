"""Every failure is a problem+json that says what to do, in the reader's language, and never a stack trace."""

import asyncio
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from tests.api.conftest import Api, new_key
from tests.api.server import serving, settings
from tests.providers.server import Fault, ProviderServer

from ateneo.api.app import create_app
from ateneo.api.context import preferred
from ateneo.i18n import Lang

TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
FIELDS = {"type", "title", "status", "detail", "code", "remedy"}


async def test_the_shape(client: httpx.AsyncClient) -> None:
    answer = await client.get("/search/semantic", params={"q": ""})
    said = answer.json()
    assert said.keys() >= FIELDS
    assert said["status"] == answer.status_code == 422
    assert said["type"] == "urn:ateneo:problem:empty-query"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nada", 404), ("PUT", "/documents", 405)])
async def test_an_address_that_is_none(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_it_speaks_the_readers_language(client: httpx.AsyncClient) -> None:
    said = {}
    for language in ("es-AR,es;q=0.9", "en-US,en;q=0.9", "fr"):
        answer = await client.get("/search/semantic", params={"q": ""}, headers={"accept-language": language})
        said[answer.headers["content-language"], language] = answer.json()["detail"]
    assert said == {
        ("es", "es-AR,es;q=0.9"): "La consulta está vacía.",
        ("en", "en-US,en;q=0.9"): "The query is empty.",
        ("es", "fr"): "La consulta está vacía.",
    }


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "es"), ("en", "en"), ("es;q=0.1, en;q=0.2", "en"), ("en;q=0", "es"), ("EN-gb", "en"), ("en;q=x,,;", "es")],
)
def test_accept_language(header: str, language: Lang) -> None:
    assert preferred(header, "es") == language


async def test_headers_of_every_answer(client: httpx.AsyncClient) -> None:
    for path, sent in (("/health", "mi-id_1"), ("/nada", "mal id")):
        headers = (await client.get(path, headers={"x-request-id": sent, "origin": "https://x.test"})).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch(r"mi-id_1|[0-9a-f]{32}", headers["x-request-id"])
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.BUSY, 503, "provider-busy"),
        (Fault.SERVER_ERROR, 503, "provider-unavailable"),
        (Fault.UNAUTHORIZED, 502, "provider-rejected"),
        (Fault.GARBAGE, 502, "provider-answer"),
        (Fault.RESET, 503, "provider-unavailable"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
async def test_a_provider_that_fails(database_url: str, log: io.StringIO, fault: Fault, status: int, code: str) -> None:
    headers = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    with ProviderServer(dims=8) as provider:
        provider.script(*[fault] * 9)
        provider.retry_headers = {"Retry-After": "7"}
        chosen = settings(
            database_url,
            OPENAI_API_KEY="sk-muy-secreta",
            OPENAI_BASE_URL=provider.url,
            ATENEO_EMBEDDING_MODEL="m",
            ATENEO_EMBEDDING_DIMENSIONS="8",
            ATENEO_EMBEDDING_RETRIES="0",
        )
        with serving(chosen) as url:
            files = {"file": ("a.md", b"# A\n\nUn texto que necesita su embedding.")}
            answer = httpx.post(f"{url}/documents", headers=headers, files=files, timeout=60)
            listed = httpx.get(f"{url}/documents", headers=headers).json()
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("7" if fault is Fault.BUSY else None)
    assert listed["documents"] == []
    assert "sk-muy-secreta" not in answer.text + log.getvalue()


@asynccontextmanager
async def _operator(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _rename(connection: "asyncpg.Connection[Any]", old: str, new: str) -> None:
    """Renames a database whose clients may connect again at any moment."""
    while True:
        await connection.fetchval(TERMINATE, old)
        try:
            await connection.execute(f"ALTER DATABASE {old} RENAME TO {new}")
        except asyncpg.ObjectInUseError:
            await asyncio.sleep(0.01)
        else:
            return


async def test_a_database_that_is_gone(server_url: str, database_url: str) -> None:
    headers = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    name = database_url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
    with serving(settings(database_url)) as url:
        assert httpx.get(f"{url}/documents", headers=headers).status_code == 200
        async with _operator(server_url) as connection:
            await _rename(connection, name, f"{name}_away")
            gone = [httpx.get(url + path, headers=headers) for path in ("/documents", "/documents", "/ready")]
            assert httpx.get(f"{url}/health").status_code == 200
            await _rename(connection, f"{name}_away", name)
        back = httpx.get(f"{url}/documents", headers=headers)
    assert [(answer.status_code, answer.json()["code"]) for answer in gone] == [(503, "database-unavailable")] * 3
    assert all(answer.json()["remedy"] for answer in gone)
    assert back.status_code == 200


async def test_what_nobody_expected_is_in_the_log_and_not_in_the_answer(
    api: Api, database_url: str, log: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings(database_url))

    @app.get("/roto")
    async def broken() -> None:
        password = "clave-en-una-variable"
        raise RuntimeError(f"se rompió {len(password)}")

    with serving(app) as url:
        answer = httpx.get(f"{url}/roto", headers={"x-request-id": "caso-42"})
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
    assert "caso-42" in answer.json()["remedy"]
    assert answer.headers["x-request-id"] == "caso-42"
    assert "se rompió" not in answer.text
    written = log.getvalue()
    assert "caso-42" in written
    assert "RuntimeError" in written
    assert "test_problems.py" in written and "broken" in written
    assert "se rompió" not in written  # what an exception says may quote a company's text, or a key
    assert not any(record.exc_info for record in caplog.records)  # and the server has nothing to say of it


async def test_the_log_holds_neither_keys_nor_questions(client: httpx.AsyncClient, api: Api, log: io.StringIO) -> None:
    await client.get("/search/semantic", params={"q": "pregunta confidencial"})
    await client.get("/search/semantic", params={"q": ""})
    httpx.get(f"{api.url}/documents", headers={"X-API-Key": "ate_000000000000_" + "1" * 64})
    written = log.getvalue()
    assert "/search/semantic" in written
    for secret in ("confidencial", api.acme_key, api.acme_key.rsplit("_", 1)[1], "1" * 64):
        assert secret not in written
