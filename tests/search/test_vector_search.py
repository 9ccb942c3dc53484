"""VectorSearchService with the bundled model on PostgreSQL: meaning, modes, bad input, and one statement a search."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.examples import examples

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import AteneoError, BadArgument, EmptyQuery, GenerationMismatch, QueryTooLong
from ateneo.i18n import number
from ateneo.ingestion.service import IngestionService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.service import VectorSearchService

RULES = """# Personal

## Descanso anual
Cada persona tiene catorce días corridos de vacaciones por año, que se piden con un mes de anticipación.

## Contraseñas
La contraseña del sistema se cambia cada noventa días desde el portal interno.

## Feriados
Quien presta servicio en un feriado nacional cobra la jornada con un recargo del cien por ciento.
"""


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


@pytest.fixture
async def search(database: Database, embedding: EmbeddingService) -> AsyncIterator[VectorSearchService]:
    await IngestionService(database, embedding).process_document(RULES.encode(), "acme", name="personal.md")
    yield VectorSearchService(database, embedding)


async def test_meaning_finds_what_shares_no_word(search: VectorSearchService) -> None:
    found = await search.search("acme", "how often must I change my password?", k=1)
    assert "noventa días" in found.hits[0].contenido
    assert not found.hits[0].lexical_score
    assert found.mode == "hybrid"


async def test_a_hit_says_where_it_comes_from(search: VectorSearchService) -> None:
    hit = (await search.search("acme", "feriado")).hits[0]
    assert (hit.title, hit.source, hit.headings[-1]) == ("Personal", "personal.md", "Feriados")
    assert hit.label == "Personal · Feriados"
    assert hit.tokens_count
    assert hit.dense_rank
    assert hit.lexical_rank == 1


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
async def test_modes(search: VectorSearchService, mode: str) -> None:
    hits = (await search.search("acme", "vacaciones", mode=mode)).hits  # type: ignore[arg-type]
    assert "vacaciones" in hits[0].contenido
    assert (hits[0].dense_score is None) == (mode == "lexical")
    assert (hits[0].lexical_score is None) == (mode == "dense")


async def test_one_statement_a_search(search: VectorSearchService) -> None:
    await search.search("acme", "la primera vez lee la generación")
    statements: list[str] = []
    async with search.db.acquire() as connection:

        def seen(record: asyncpg.connection.LoggedQuery) -> None:
            statements.append(record.query)

        counting = VectorSearchService(connection, search.embedding)
        await counting.search("acme", "la primera vez lee la generación")
        connection.add_query_logger(seen)
        await counting.search("acme", "¿cuánto se cobra un feriado?")
        connection.remove_query_logger(seen)
    assert len(statements) == 1
    assert "ateneo.search" in statements[0]


@pytest.mark.parametrize("query", ["", "   \n", "\x00", "\u200b "[1:]])
async def test_an_empty_query(search: VectorSearchService, query: str) -> None:
    with pytest.raises(EmptyQuery):
        await search.search("acme", query)


async def test_a_query_of_100_000_characters(search: VectorSearchService) -> None:
    with pytest.raises(QueryTooLong) as error:
        await search.search("acme", "a" * 100_000)
    assert number(100_000) in error.value.message


@pytest.mark.parametrize("k", [0, -1, 201])
async def test_k_out_of_range(search: VectorSearchService, k: int) -> None:
    with pytest.raises(BadArgument, match="k="):
        await search.search("acme", "feriado", k=k)


@pytest.mark.parametrize(
    "query",
    [
        "feriado\x00",
        "feriado \ud800",
        "مرحبا feriado",
        "feriado ' OR 1=1 --",
        "feriado & | ! <-> ()",
        "\\x00 feriado",
    ],
)
async def test_hostile_queries_find_what_they_name(search: VectorSearchService, query: str) -> None:
    assert any("feriado" in hit.contenido for hit in (await search.search("acme", query)).hits[:1])


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(alphabet=st.characters(), max_size=120))
async def test_any_text_is_a_query_or_an_error_of_ours(search: VectorSearchService, query: str) -> None:
    try:
        found = await search.search("acme", query, k=3)
    except AteneoError:
        return
    assert len(found.hits) <= 3


async def test_another_companys_documents_never_appear(
    search: VectorSearchService, embedding: EmbeddingService
) -> None:
    await IngestionService(search.db, embedding).process_document(
        b"# Otra\n\nFeriados: se pagan triple.", "b", name="x.md"
    )
    for mode in ("hybrid", "dense", "lexical"):
        hits = (await search.search("b", "feriado vacaciones clave", k=50, mode=mode)).hits
        assert {hit.title for hit in hits} <= {"Otra"}


async def test_the_context_stays_within_its_budget(search: VectorSearchService, embedding: EmbeddingService) -> None:
    for budget in (40, 120, 4000):
        context = await search.get_context_for_agent("acme", "vacaciones y feriados", "rrhh", max_tokens=budget)
        assert sum(embedding.count_tokens([context])) <= budget
    assert "Personal" in context


async def test_vectors_of_another_model_are_never_compared(database: Database, embedding: EmbeddingService) -> None:
    await generations.create(database, "openai", "text-embedding-3-small", 1536)
    async with database.acquire() as connection:  # with a vector: an empty one would give way
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " VALUES ('de-otro', 'otra', 'Un texto de otro modelo', array_fill(1.0::real, ARRAY[1536])::vector)"
        )
    with pytest.raises(GenerationMismatch) as error:
        await VectorSearchService(database, embedding).search("acme", "feriado")
    assert "1536" in error.value.message
    assert "embeddings switch" in error.value.remedy
    with pytest.raises(GenerationMismatch):
        await own_generation(database, embedding)


async def test_without_any_vector_words_are_searched_and_it_says_so(
    database: Database, embedding: EmbeddingService
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', 'un feriado más')"
        )
    found = await VectorSearchService(database, embedding).search("acme", "feriado")
    assert (len(found.hits), found.mode, len(found.warnings)) == (1, "lexical", 1)
