"""The caller's own pool, with codecs of the caller's: as asyncpg's and pgvector's documentation tell to set them."""

import decimal
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import numpy as np
import pytest
from tests.providers.server import ProviderServer

from ateneo.agents import feedback, transcript
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.service import AgentService
from ateneo.db import agents, conversations, query_log
from ateneo.db import search as db_search
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.service import EmbeddingService
from ateneo.ingestion.service import IngestionService
from ateneo.ingestion.texts import TextService
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService
from ateneo.types import Agent

TEXT = b"# Licencias\n\nPor mudanza se otorgan dos d\xc3\xadas corridos de licencia, con aviso previo.\n"


class _Vector:
    """What pgvector gives: it takes nothing else."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values, dtype=">f4")

    def packed(self) -> bytes:
        return len(self.values).to_bytes(2, "big") + b"\0\0" + self.values.tobytes()


async def _set_codecs(connection: "asyncpg.Connection[Any]") -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.set_type_codec("uuid", encoder=str, decoder=str, schema="pg_catalog")
    await connection.set_type_codec("numeric", encoder=str, decoder=float, schema="pg_catalog")
    await connection.set_type_codec(
        "vector",
        schema="public",
        encoder=lambda value: _Vector(value).packed(),
        decoder=lambda data: _Vector(np.frombuffer(data, dtype=">f4", offset=4)),
        format="binary",
    )


async def _set_others(connection: "asyncpg.Connection[Any]") -> None:
    """The same types as other programs like them."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, encoder=lambda value: value.decode(), decoder=str.encode, schema="pg_catalog"
        )
    await connection.set_type_codec("uuid", encoder=lambda u: u.hex, decoder=lambda t: (t,), schema="pg_catalog")
    await connection.set_type_codec(
        "numeric", encoder=lambda n: str(n.normalize()), decoder=lambda t: str(decimal.Decimal(t)), schema="pg_catalog"
    )
    await connection.set_type_codec("vector", schema="public", encoder=lambda v: v.text, decoder=lambda t: {"v": t})


@pytest.fixture(params=[_set_codecs, _set_others])
async def pool(database_url: str, request: pytest.FixtureRequest) -> "AsyncIterator[asyncpg.Pool[Any]]":
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4, init=request.param) as made:
        yield made


async def test_everything_works_on_it(pool: "asyncpg.Pool[Any]", tmp_path: Any) -> None:
    with ProviderServer(dims=8) as server:
        embedding = EmbeddingService(OpenAIEmbedder(api_key="k", base_url=server.url, model="m"))
        stored = await IngestionService(pool, embedding).process_document(
            TEXT, "acme", name="licencias.md", metadata={"area": "rrhh", "peso": 1.5}
        )
        search = VectorSearchService(pool, embedding)
        found = await search.search(
            "acme", "mudanza", filter={"area": "rrhh"}, explain=True, neighbours=1, highlight=True
        )
        assert [hit.document_id for hit in found.hits] == [stored.document_id]
        assert found.plan
        assert (await search.search("acme", "mudanzas licencoa")).corrected
        assert "dos días" in await search.get_context_for_agent("acme", "mudanza", max_tokens=500)
        texts = TextService(pool, embedding)
        [chunk_id] = await texts.add("acme", ["El portón abre a las siete."], [{"turno": "mañana"}])
        [again] = await texts.get("acme", [chunk_id])
        assert again.metadata == {"turno": "mañana"}
        db = Database.wrap(pool)
        agent = Agent("rrhh", filter={"area": "rrhh"})
        await agents.save(db, "acme", agent)
        assert (await agents.find(db, "acme", "rrhh"))[0] == agent
        assert await agents.list_agents(db, "acme") == [agent]
        answers = AgentService(search, ExtractiveChat(embedding, least_evidence=0))  # whose vectors mean nothing
        answer = await answers.chat("acme", "rrhh", "¿días por mudanza?", store=True)
        assert answer.conversation_id is not None
        await conversations.add(db, "acme", answer.conversation_id, "otra", replace(answer, cost=0.0000125))
        turns = await transcript.transcript(db, "acme", answer.conversation_id)
        assert [one.document_id for one in turns[0].citations] == [stored.document_id]
        assert turns[1].cost == pytest.approx(0.000013)
        await conversations.rate(db, "acme", answer.conversation_id, 0, 1, "bien")
        assert (await feedback.export(db, "acme", tmp_path)).questions == 1
        assert [one.text for one in await query_log.sample(db, "acme", 5, "x")]
        await db_insert(pool)
        report = await Backfill(db, embedding).run("acme")
        assert (report.processed, report.failed) == (1, ())
        lexical = await db_search.search(db, db_search.Query("acme", "depósito"), schema="public")
        assert len(lexical.hits) == 1
        await embedding.close()


async def db_insert(pool: "asyncpg.Pool[Any]") -> None:
    await pool.execute(
        "INSERT INTO knowledge_chunks (document_id, empresa_id, chunk_index, contenido)"
        " VALUES ('d', 'acme', 0, 'El depósito cierra a las seis de la tarde.')"
    )
