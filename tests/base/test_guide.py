"""The guide's classes as its reader uses them: `services.*`, an asyncpg connection, settings from the environment."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import pytest

BACKEND = Path(__file__).parents[2] / "backend"
TEXT = "# Licencias\n\nPor mudanza se otorgan dos días corridos de licencia, con aviso previo de una semana.\n"


@pytest.fixture
def functions(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of backend/services, imported as in the guide."""
    import importlib

    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.syspath_prepend(str(BACKEND))
    names = ("embedding_service", "vector_search_service", "ingestion_service", "agent_service")
    modules = {name: importlib.import_module(f"services.{name}") for name in names}
    yield modules
    modules["embedding_service"].get_embedding_service.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "services"]:
        del sys.modules[name]


@pytest.fixture
async def db(database_url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_embedding_service(functions: dict[str, ModuleType]) -> None:
    module = functions["embedding_service"]
    shared = module.get_embedding_service()
    assert shared is module.get_embedding_service()
    embedder = module.EmbeddingService()
    assert (embedder.provider, embedder.model) == (shared.provider, shared.model)
    results = await embedder.generate_batch_embeddings(["hola", "mundo"])
    assert [len(result.embedding) for result in results] == [384, 384]
    assert isinstance(results[0].embedding[0], float)
    assert (await embedder.generate_embedding("hola")).embedding == pytest.approx(results[0].embedding, abs=1e-3)
    await embedder.close()


async def test_ingestion_search_and_agent(functions: dict[str, ModuleType], db: "asyncpg.Connection[Any]") -> None:
    stored = await functions["ingestion_service"].IngestionService(db).process_document(
        TEXT.encode(), "acme", name="licencias.md"
    )  # fmt: skip
    assert stored.chunks == 1
    assert await db.fetchval("SELECT embedding IS NOT NULL FROM knowledge_chunks WHERE empresa_id = 'acme'")
    search = functions["vector_search_service"].VectorSearchService(db)
    context = await search.get_context_for_agent(
        empresa_id="acme", query="me cambio de casa, ¿cuánto puedo faltar?", agent_id="rrhh", max_tokens=4000
    )
    assert "dos días corridos" in context
    assert await search.get_context_for_agent(empresa_id="otra", query="mudanza", agent_id="rrhh") == ""
    agent = functions["agent_service"].AgentService(db)
    response = await agent.chat("acme", "rrhh", "¿cuántos días dan por mudanza?")
    assert "dos días corridos" in response.content[0].text
    assert response.extractive
    assert {citation.document_id for citation in response.citations} == {stored.document_id}


async def test_the_guides_loop_over_results(functions: dict[str, ModuleType], db: "asyncpg.Connection[Any]") -> None:
    """Step 9 of the guide, as its reader pastes it."""
    embedder = functions["embedding_service"].get_embedding_service()
    chunks = [{"index": 0, "contenido": "Los viáticos se rinden en cinco días.", "tokens": 9}]
    embedding_results = await embedder.generate_batch_embeddings([chunk["contenido"] for chunk in chunks])
    await functions["vector_search_service"].VectorSearchService(db).search("acme", "nada todavía")
    for chunk, emb_result in zip(chunks, embedding_results, strict=True):
        embedding_str = "[" + ",".join(map(str, emb_result.embedding)) + "]"
        await db.execute(
            """
                INSERT INTO knowledge_chunks
                (document_id, empresa_id, chunk_index, contenido, tokens_count, embedding)
                VALUES ($1, $2, $3, $4, $5, $6::vector)
            """,
            "doc",
            "acme",
            chunk["index"],
            chunk["contenido"],
            chunk.get("tokens", 0),
            embedding_str,
        )
    found = (
        await functions["vector_search_service"].VectorSearchService(db).search("acme", "rendición de gastos de viaje")
    )
    assert [hit.contenido for hit in found.hits] == ["Los viáticos se rinden en cinco días."]


async def test_the_settings_limits_hold_for_the_guides_classes(
    functions: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RPM": "7", "TPM": "900", "CONCURRENCY": "3", "RETRIES": "2"}.items():
        monkeypatch.setenv(f"ATENEO_EMBEDDING_{name}", value)
    module = functions["embedding_service"]
    for made in (module.EmbeddingService(), module.get_embedding_service()):
        limiter = made._limiters.get()
        assert (limiter._rpm, limiter._tpm, made.concurrency, made._retries) == (7, 900, 3, 2)
