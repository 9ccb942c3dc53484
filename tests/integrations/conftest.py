"""A database with a company that has files, and one open Connection for all tests of a file."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
import pytest
from tests.api.server import settings

from ateneo.integrations.connection import Connection

FERIADOS = """# Feriados y horas extra

## Pago

El trabajo en día feriado nacional se paga con un recargo del cien por ciento sobre el jornal habitual.

## Vacaciones

Con menos de cinco años de antigüedad corresponden catorce días corridos de descanso anual.

## Mudanza

Por mudanza se otorgan dos días corridos de licencia, con aviso previo al sector de personal.
"""


@dataclass(frozen=True)
class Place:
    """`connection` is open; the company acme has one file of three passages."""

    connection: Connection
    url: str


@pytest.fixture(scope="module")
def place(server_url: str, template: str) -> Iterator[Place]:
    name = "ateneo_integrations"
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    connection = Connection(settings(url))
    connection.call(
        lambda container: container.ingestion.process_document(
            FERIADOS.encode(), "acme", name="feriados.md", metadata={"area": "personal"}
        )
    )
    yield Place(connection, url)
    connection.close()
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
