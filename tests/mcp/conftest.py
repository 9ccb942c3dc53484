"""Two companies in one database, and `ateneo mcp` in processes of its own, asked by the SDK's own client."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import asyncpg
import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client
from tests.api.server import settings

from ateneo.container import Container
from ateneo.db import keys
from ateneo.db.pool import Database
from mcp import Client, StdioServerParameters

ATENEO = str(Path(sys.executable).with_name("ateneo"))
FERIADOS = """# Feriados y horas extra

## Pago

El trabajo en día feriado nacional se paga con un recargo del cien por ciento sobre el jornal habitual.

## Vacaciones

Con menos de cinco años de antigüedad corresponden catorce días corridos de descanso anual.
"""
SECRETO = "# Fórmula\n\nLa fórmula secreta del tinte índigo lleva tres partes de añil y una de alumbre.\n"


@dataclass(frozen=True)
class Place:
    """`keys` by company; `otra_chunk` is a passage that only the company otra has."""

    database_url: str
    keys: dict[str, str]
    otra_chunk: str


@pytest.fixture(scope="module")
def place(server_url: str, template: str) -> Iterator[Place]:
    name = "ateneo_mcp"
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield asyncio.run(_filled(url))
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _filled(url: str) -> Place:
    async with await Container.open(settings(url)) as container:
        await container.ingestion.process_document(FERIADOS.encode(), "acme", name="feriados.md")
        await container.ingestion.process_document(SECRETO.encode(), "otra", name="formula.md")
        found = await container.search.search("otra", "tinte índigo", 1)
    async with await Database.open(url, size=1) as db:
        made = {company: (await keys.create(db, company)).secret for company in ("acme", "otra")}
    return Place(url, made, found.hits[0].chunk_id)


@pytest.fixture(scope="module")
def http_url(place: Place) -> Iterator[str]:
    """`ateneo mcp --http`, running."""
    with serving(place) as address:
        yield address


@contextmanager
def serving(
    place: Place, output: IO[str] | None = None, options: Sequence[str] = (), **variables: str
) -> Iterator[str]:
    """Runs `ateneo mcp --http` with these settings; gives its address. `output` gets all that it writes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [ATENEO, "mcp", "--http", "--port", str(port), *options],
        env=environment(place.database_url, **variables),
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
    )
    address = f"http://127.0.0.1:{port}"
    while not _answers(address):
        assert process.poll() is None, "the server did not start"
        time.sleep(0.1)
    yield f"{address}/mcp"
    process.terminate()
    assert process.wait(timeout=30) in (0, -15)


def _answers(address: str) -> bool:
    try:
        return httpx2.get(address).status_code == 404
    except httpx2.ConnectError:
        return False


def environment(url: str, **more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATENEO_", "OPENAI_", "ANTHROPIC_", "DATABASE_"))}
    return clean | {"DATABASE_URL": url, "ATENEO_SECRETS_FILE": os.devnull, "ATENEO_THREADS": "1"} | more


Connect = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture(params=["stdio", "http"])
def connect(place: Place, request: pytest.FixtureRequest) -> Connect:
    """A client that asks with the key given, over each transport."""
    if request.param == "stdio":

        def over_stdio(key: str) -> Client:
            variables = environment(place.database_url, ATENEO_API_KEY=key)
            return Client(StdioServerParameters(command=ATENEO, args=["mcp"], env=variables))

        return over_stdio
    address: str = request.getfixturevalue("http_url")
    return lambda key: over_http(address, key)


@asynccontextmanager
async def over_http(address: str, key: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        Client(streamable_http_client(address, http_client=http)) as client,
    ):
        yield client


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def db(place: Place) -> AsyncIterator[Database]:
    async with await Database.open(place.database_url, size=1) as opened:
        yield opened
