"""A text that many passages have is one result, which says where else it stands."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.service import AgentService
from ateneo.db.documents import NewDocument, save
from ateneo.db.pool import Database
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.service import POOLS, VectorSearchService
from ateneo.types import Chunk, SearchResult

FOOTER = "Pie de página: el feriado se paga doble."
OTHERS = [f"El feriado número {n} se paga en la fecha {n}." for n in range(12)]


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


async def put(search: VectorSearchService, company: str, source: str, *texts: str, **metadata: Any) -> None:
    generation = await own_generation(search.db, search.embedding)
    vectors = (await search.embedding.embed_matrix(list(texts))).vectors
    new = NewDocument(source, source, "text/plain", f"{company}{source}".encode(), 1, metadata=metadata)
    await save(search.db, company, new, [Chunk(n, text, 9) for n, text in enumerate(texts)], vectors, generation.number)


@pytest.fixture
def search(database: Database, embedding: EmbeddingService) -> VectorSearchService:
    return VectorSearchService(database, embedding)


def texts(found: SearchResult) -> list[str]:
    return [hit.contenido for hit in found.hits]


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("fusion", ["convex", "rrf"])
async def test_k_results_are_k_texts(search: VectorSearchService, mode: Any, fusion: Any) -> None:
    for n in range(5):
        await put(search, "acme", f"{n}.md", FOOTER, OTHERS[2 * n], OTHERS[2 * n + 1])
    await put(search, "otra", "ajeno.md", FOOTER)
    found = await search.search("acme", "feriado se paga doble", 8, mode=mode, fusion=fusion)
    assert len(set(texts(found))) == len(found.hits) == 8
    [footer] = [hit for hit in found.hits if hit.contenido == FOOTER]
    assert footer.duplicates == 4
    sources = {one.source for one in footer.same_text} | {footer.source}
    assert sources == {f"{n}.md" for n in range(5)}
    assert {hit.duplicates for hit in found.hits if hit is not footer} == {0}


async def test_pages_hold_each_text_once(search: VectorSearchService) -> None:
    for n in range(4):
        await put(search, "acme", f"{n}.md", FOOTER, OTHERS[n], OTHERS[n + 4])
    pages = [await search.search("acme", "feriado", 3, skip=skip) for skip in (0, 3, 6, 9)]
    seen = [text for page in pages for text in texts(page)]
    assert sorted(seen) == sorted({FOOTER, *OTHERS[:8]})


async def test_a_filter_tells_nothing_of_what_it_leaves_out(search: VectorSearchService) -> None:
    for n in range(3):
        await put(search, "acme", f"{n}.md", FOOTER, area="propia" if n else "ajena")
    [hit] = (await search.search("acme", "feriado", filter={"area": "propia"})).hits
    assert hit.duplicates == 1
    assert {hit.source, hit.same_text[0].source} == {"1.md", "2.md"}


async def test_equal_texts_do_not_crowd_the_others_out(search: VectorSearchService) -> None:
    """More of them than candidates: the search asks for more candidates, twice at most, and only where it must."""
    await put(search, "acme", "pies.md", *[FOOTER] * 150, *OTHERS)
    statements: list[str] = []
    async with search.db.acquire() as connection:

        def seen(record: asyncpg.connection.LoggedQuery) -> None:
            statements.append(record.query)

        counting = VectorSearchService(connection, search.embedding)
        await counting.search("acme", "feriado", 1)
        connection.add_query_logger(seen)
        for mode in ("lexical", "dense", "hybrid"):
            found = await counting.search("acme", FOOTER, 10, mode=mode)
            assert len(set(texts(found))) == 10
            assert found.hits[0].duplicates == 149
            assert len(found.hits[0].same_text) == 10
        await asyncio.sleep(0)  # loggers are called a moment later
        asked = len(statements)
        await counting.search("acme", FOOTER, 1)
        await asyncio.sleep(0)
        connection.remove_query_logger(seen)
    assert asked <= 6
    assert len(statements) == asked + 1
    assert POOLS[0] < 150 < POOLS[1]


async def test_few_passages_are_searched_once(search: VectorSearchService) -> None:
    """Where everything is a candidate there is nothing more to find."""
    await put(search, "acme", "a.md", FOOTER, OTHERS[0])
    await put(search, "acme", "b.md", FOOTER)
    statements: list[str] = []
    async with search.db.acquire() as connection:
        counting = VectorSearchService(connection, search.embedding)
        await counting.search("acme", "feriado", 10)

        def seen(record: asyncpg.connection.LoggedQuery) -> None:
            statements.append(record.query)

        connection.add_query_logger(seen)
        found = await counting.search("acme", "feriado", 10)
        await asyncio.sleep(0)
        connection.remove_query_logger(seen)
    assert len(found.hits) == 2
    assert len(statements) == 1


async def test_an_agent_reads_each_text_once(search: VectorSearchService, embedding: EmbeddingService) -> None:
    for n in range(6):
        await put(search, "acme", f"{n}.md", FOOTER, OTHERS[n])
    assert (await search.get_context_for_agent("acme", "¿cómo se paga el feriado?")).count(FOOTER) == 1
    answer = await AgentService(search, ExtractiveChat(embedding), passages=4).chat("acme", "x", "¿se paga el feriado?")
    assert len({hit.contenido for hit in answer.passages}) == len(answer.passages) == 4


async def test_sql_tells_it_in_notes(search: VectorSearchService) -> None:
    """Columns stay what they are: an older program reads them (docs/adr/0033-versions.md)."""
    for n in range(13):
        await put(search, "acme", f"{n}.md", FOOTER)
    async with search.db.tenant("acme") as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.search('feriado')")
    [row] = rows
    notes = json.loads(row["notes"])
    assert notes["duplicates"] == 12
    assert len(notes["same_text"]) == 10
    assert set(notes["same_text"][0]) == {"chunk_id", "document_id", "title", "source", "page"}
    assert "duplicates" not in row.keys()  # noqa: SIM118 - asyncpg.Record is no mapping
