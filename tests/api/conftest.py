"""One running API with two companies for the tests that only ask; others start their own (tests/api/server.py)."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
import structlog
from tests.api.server import serving, settings

from ateneo.db import keys
from ateneo.db.pool import Database

FERIADOS = """# Feriados y horas extra

## Pago

El trabajo en día feriado nacional se paga con un recargo del cien por ciento sobre el jornal habitual.

## Vacaciones

Con menos de cinco años de antigüedad corresponden catorce días corridos de descanso anual.
"""
SECRETO = "# Fórmula\n\nLa fórmula secreta del tinte índigo lleva tres partes de añil y una de alumbre.\n"


@dataclass(frozen=True)
class Api:
    """`acme` and `otra` are headers with a key of the company of that name; each company has one document."""

    url: str
    database_url: str
    acme: dict[str, str]
    otra: dict[str, str]
    acme_key: str
    otra_document: str


@pytest.fixture(scope="module", autouse=True)
def log() -> Iterator[io.StringIO]:
    """What the API logs."""
    written = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(written))
    yield written
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def api(server_url: str, template: str) -> Iterator[Api]:
    name = "ateneo_api"
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    made = {company: asyncio.run(new_key(url, company)) for company in ("acme", "otra")}
    headers = {company: {"Authorization": f"Bearer {key}"} for company, key in made.items()}
    with serving(settings(url, ATENEO_MAX_UPLOAD_MB="1", ATENEO_FAILED_LOGINS_PER_MINUTE="0")) as address:
        _upload(address, headers["acme"], "feriados.md", FERIADOS)
        document = _upload(address, headers["otra"], "formula.md", SECRETO)
        yield Api(address, url, headers["acme"], headers["otra"], made["acme"], document)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Asks as acme."""
    async with httpx.AsyncClient(base_url=api.url, headers=api.acme, timeout=60) as opened:
        yield opened


async def new_key(url: str, empresa_id: str) -> str:
    async with await Database.open(url, size=1) as db:
        return (await keys.create(db, empresa_id)).secret


def _upload(url: str, headers: dict[str, str], name: str, text: str) -> str:
    answer = httpx.post(f"{url}/documents", headers=headers, files={"file": (name, text.encode())}, timeout=60)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["document_id"])


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
