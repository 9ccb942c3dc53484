"""A product's tenants are texts, UUIDs or numbers: the Python API takes each of them, everywhere, and nothing else."""

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np
import pytest
from tests.providers.server import ProviderServer

from ateneo.access import erasure
from ateneo.agents import feedback, transcript
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.service import AgentService
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.indexing import maintenance
from ateneo.ingestion.service import IngestionService
from ateneo.ingestion.texts import TextService
from ateneo.integrations.langchain import AteneoRetriever, AteneoVectorStore
from ateneo.integrations.llama_index import AteneoRetriever as LlamaRetriever
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService
from ateneo.tenant_id import tenant_id

TEXT = b"# Licencias\n\nPor mudanza se otorgan dos dias corridos de licencia.\n"
NUMBER = UUID("6f1d2c3b-0000-4000-8000-00000000abcd")


class Company(str, Enum):  # noqa: UP042  as products have them
    ACME = "acme"


GOOD = [("acme", "acme"), (NUMBER, str(NUMBER)), (7, "7"), (np.int64(7), "7"), (-1, "-1"), (Company.ACME, "acme")]
BAD = [None, True, np.True_, 1.5, b"acme", "", "  ", "a\0b", "\udc80", ["acme"], object()]


@dataclass
class World:
    db: Database
    services: tuple[Any, ...]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    with ProviderServer(dims=8) as server:
        embedding = EmbeddingService(OpenAIEmbedder(api_key="k", base_url=server.url, model="m"))
        search = VectorSearchService(database, embedding)
        agent = AgentService(search, ExtractiveChat(embedding))
        made = (IngestionService(database, embedding), TextService(database, embedding), search, agent)
        yield World(database, (*made, Backfill(database, embedding)))
        await embedding.close()


@pytest.mark.parametrize(("given", "text"), GOOD, ids=[repr(one) for one, _ in GOOD])
async def test_the_whole_way(world: World, given: Any, text: str, tmp_path: Path) -> None:
    ingestion, texts, search, agent, backfill = world.services
    stored = await ingestion.process_document(TEXT, given, name="licencias.md")
    assert [one.document_id for one in await ingestion.list_documents(given)] == [stored.document_id]
    assert (await search.search(given, "mudanza")).hits
    assert await search.semantic_search(given, "mudanza")
    assert await search.hybrid_search(given, "mudanza")
    assert "mudanza" in await search.get_context_for_agent(given, "mudanza", "rrhh")
    answer = await agent.chat(given, "rrhh", "¿días por mudanza?", store=True)
    assert answer.citations
    assert len(await transcript.transcript(world.db, given, answer.conversation_id)) == 1
    assert (await feedback.export(world.db, given, tmp_path)).documents == 1
    [chunk_id] = await texts.add(given, ["El portón abre a las siete."])
    assert len(await texts.get(given, [chunk_id])) == 1
    assert await texts.delete(given, [chunk_id]) == 1
    assert (await backfill.plan(given)).pending == 0
    assert (await maintenance.rebuild_index(world.db, given)).chunks == 1
    async with world.db.acquire() as connection:
        assert await connection.fetchval("SELECT DISTINCT empresa_id FROM knowledge_chunks") == text
    await ingestion.delete_document(given, stored.document_id)
    assert (await erasure.erase(world.db, given, actor="prueba")).empresa_id == text


async def test_nothing_else_is_taken_anywhere(world: World) -> None:
    """By every public method that asks for a company."""
    asked = 0
    for service in world.services:
        for name, method in inspect.getmembers(service, callable):
            if name.startswith("_") or "empresa_id" not in inspect.signature(method).parameters:
                continue
            asked += 1
            for value in BAD:
                if value is None and inspect.signature(method).parameters["empresa_id"].default is None:
                    continue
                with pytest.raises(BadArgument, match="empresa_id"):
                    await _called(method, value)
    assert asked >= 14


async def _called(method: Callable[..., Any], empresa_id: object) -> None:
    parameters = inspect.signature(method).parameters.values()
    needed = {one.name: "x" for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD}
    result = method(**needed | {"empresa_id": empresa_id})
    if inspect.isasyncgen(result):
        async for _ in result:
            pass
    else:
        await result


@pytest.mark.parametrize("made", [lambda e: AteneoRetriever(empresa_id=e), AteneoVectorStore, LlamaRetriever])
def test_the_integrations(made: Callable[[Any], Any]) -> None:
    for given, text in GOOD:
        assert made(given).empresa_id == text
    for given in BAD:
        with pytest.raises(BadArgument, match="empresa_id"):
            made(given)


async def test_the_stores_own_way_in_refuses_what_is_no_text(database: Database) -> None:
    for value in BAD:
        with pytest.raises(BadArgument, match="empresa_id"):
            await database.read(value, "SELECT 1")  # type: ignore[arg-type]


async def test_what_asyncpg_gives_is_taken(database: Database) -> None:
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT $1::uuid AS a, 7::bigint AS b", NUMBER)
    assert isinstance(row, asyncpg.Record)
    assert (tenant_id(row["a"]), tenant_id(row["b"])) == (str(NUMBER), "7")
