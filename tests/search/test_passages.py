"""What a search gives back around its hits: neighbours, sections, and groups by document."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from ateneo.db import passages
from ateneo.db.pool import Connection, Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.ingestion.service import IngestionService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.passages import PER_DOCUMENT
from ateneo.search.service import VectorSearchService
from ateneo.types import Passage

_INSERT = (
    "INSERT INTO knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido) VALUES ($1, $2, $3, $4, $5)"
)


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


@pytest.fixture
async def search(database: Database, embedding: EmbeddingService) -> AsyncIterator[VectorSearchService]:
    """Acme's manual: seven chunks, of which 2 to 4 are about holidays; another company has a manual of the same id."""
    async with database.acquire() as connection:
        texts = ["portada", "índice", "feriado uno", "lo que sigue", "y termina", "despedida", "anexo"]
        for index, text in enumerate(texts):
            await _chunk(connection, f"m{index}", "manual", index, text, ["Manual", "Pago"] if 2 <= index <= 4 else [])
            await _chunk(connection, f"x{index}", "manual", index, f"ajeno {text}", [], empresa_id="otra")
    yield VectorSearchService(database, embedding)


async def _chunk(
    connection: Connection, chunk_id: str, document_id: str | None, index: int, text: str, headings: list[str],
    empresa_id: str = "acme",
) -> None:  # fmt: skip
    await connection.execute(_INSERT, chunk_id, document_id, empresa_id, index, text)
    await connection.execute(
        "INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id, headings) VALUES ($1, $2, $3)",
        empresa_id,
        chunk_id,
        headings,
    )


def _ids(found: Sequence[Passage]) -> list[str]:
    return [one.chunk_id for one in found]


async def test_neighbours_stand_to_each_side_in_order(search: VectorSearchService) -> None:
    [hit] = (await search.search("acme", "feriado", neighbours=3)).hits
    assert hit.chunk_id == "m2"
    assert (_ids(hit.before), _ids(hit.after)) == (["m0", "m1"], ["m3", "m4", "m5"])
    assert hit.after[0].contenido == "lo que sigue"
    assert hit.after[0].headings == ("Manual", "Pago")
    assert hit.section == ()


async def test_the_section_is_what_shares_the_heading_path(search: VectorSearchService) -> None:
    [hit] = (await search.search("acme", "feriado", section=True)).hits
    assert _ids(hit.section) == ["m2", "m3", "m4"]
    assert (hit.before, hit.after) == ((), ())


async def test_a_section_is_bounded_and_always_holds_its_hit(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        for index in range(60):
            await _chunk(connection, f"l{index:02}", "largo", index, f"palabra{index}", ["Largo"])
        for index in range(60):
            await _chunk(connection, f"z{index:02}", "sin orden", 0, f"suelta{index}", [])
    [hit] = (await search.search("acme", "palabra30", section=True)).hits
    assert _ids(hit.section) == [f"l{index}" for index in range(10, 51)]
    [hit] = (await search.search("acme", "suelta59", section=True)).hits
    assert len(hit.section) == 2 * passages.SECTION_REACH + 1
    assert "z59" in _ids(hit.section)


async def test_gaps_and_repeated_indexes_lose_no_neighbour(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        for chunk_id, index in [("a", 0), ("b", 0), ("c", 0), ("d", 40)]:
            await _chunk(connection, chunk_id, "raro", index, f"texto {chunk_id * 5}", [])
    [hit] = (await search.search("acme", "bbbbb", neighbours=2, mode="lexical")).hits
    assert (_ids(hit.before), _ids(hit.after)) == (["a"], ["c", "d"])


async def test_a_chunk_without_document_stands_alone(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        await _chunk(connection, "solo", None, 0, "palabra huérfana", [])
        await _chunk(connection, "solo2", None, 1, "otra cosa", [])
    [hit] = (await search.search("acme", "huérfana", neighbours=2, section=True)).hits
    assert (hit.before, hit.after, hit.section) == ((), (), ())


async def test_one_more_statement_for_all_hits_and_none_unasked(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        counting = VectorSearchService(connection, search.embedding)
        await counting.search("acme", "la primera vez lee la generación")
        counts = []
        for options in ({}, {"group_by_document": True}, {"neighbours": 2, "section": True}):
            statements: list[str] = []

            def seen(record: asyncpg.connection.LoggedQuery, into: list[str] = statements) -> None:
                into.append(record.query)

            connection.add_query_logger(seen)
            found = await counting.search("acme", "feriado portada despedida anexo", mode="lexical", **options)
            await asyncio.sleep(0)  # the last one is told in the loop's next turn
            connection.remove_query_logger(seen)
            assert len(found.hits) > 1
            # the company's transaction begins and ends in a round trip each
            counts.append(len([one for one in statements if not one.startswith(("BEGIN", "COMMIT"))]))
    assert counts == [1, 1, 2]


@pytest.mark.parametrize("neighbours", [-1, 11])
async def test_neighbours_out_of_range(search: VectorSearchService, neighbours: int) -> None:
    with pytest.raises(BadArgument, match="neighbours="):
        await search.search("acme", "feriado", neighbours=neighbours)


async def test_groups_are_in_the_order_of_their_best_hit(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        for index in range(6):
            await _chunk(connection, f"g{index}", "gatos", index, f"gato gato gato {index}", [])
        await _chunk(connection, "p0", "perros", 0, "gato y perro y mucho más que no viene al caso", [])
        await _chunk(connection, "s0", None, 0, "un gato suelto entre otras palabras largas", [])
        await _chunk(connection, "s1", None, 0, "otro gato suelto entre otras palabras bien largas", [])
    found = await search.search("acme", "gato", k=10, group_by_document=True)
    flat = await search.search("acme", "gato", k=50)
    assert [group.document_id for group in found.groups] == ["gatos", *(h.document_id for h in flat.hits[6:])]
    assert [len(group.hits) for group in found.groups] == [PER_DOCUMENT, 1, 1, 1]
    assert found.hits == tuple(hit for group in found.groups for hit in group.hits)
    assert found.groups[0].hits[0].score == max(hit.score for hit in found.hits)


async def test_pages_of_groups_are_stable(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        for index in range(12):
            await _chunk(connection, f"d{index}", f"doc{index}", 0, "gato " * (index + 1), [])
            await _chunk(connection, f"e{index}", f"doc{index}", 1, "gato " * (index + 1) + "negro", [])
    whole = await search.search("acme", "gato", k=12, group_by_document=True)
    pages = [await search.search("acme", "gato", k=5, skip=skip, group_by_document=True) for skip in (0, 5, 10)]
    assert [group for page in pages for group in page.groups] == list(whole.groups)
    assert [len(page.groups) for page in pages] == [5, 5, 2]


async def test_matched_words_are_marked_on_request(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        await _chunk(
            connection, "h", "h", 0, "Los FERIADOS de la Compañía, según la RG-4310/2021: se págan dobles.", []
        )
        await connection.execute("SELECT ateneo.refresh_stats('acme')")

    async def marked(query: str) -> list[str]:
        hit = (await search.search("acme", query, 1, filter={"document_id": "h"}, highlight=True)).hits[0]
        return [hit.contenido[start:end] for start, end in hit.highlights]

    assert await marked("¿cuándo se pagan los feriados?") == ["FERIADOS", "págan"]
    assert await marked("rg-4310-2021 de la compania") == ["Compañía", "RG-4310/2021"]
    assert (await search.search("acme", "feriados")).hits[0].highlights == ()


async def test_a_corrected_word_is_marked(search: VectorSearchService) -> None:
    async with search.db.acquire() as connection:
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
    found = await search.search("acme", "feriadp", highlight=True)
    assert found.corrected == {"feriadp": "feriado"}
    assert found.hits[0].highlights == ((0, 7),)


async def test_the_language_is_detected_and_filtered_by(database: Database, embedding: EmbeddingService) -> None:
    ingestion = IngestionService(database, embedding)
    texts = {
        "es.md": "La licencia por mudanza es de dos días y se pide con el formulario del portal.",
        "en.md": "The leave for mudanza is two days and it is to be asked for with the form.",
        "pt.md": "A licença por mudanza é de dois dias e não pode ser pedida com o formulário do portal.",
        "none.md": "mudanza 2 48",
    }
    for name, text in texts.items():
        await ingestion.process_document(text.encode(), "acme", name=name)
    french = "La licence de mudanza est de deux jours et on la demande avec le formulaire."
    await ingestion.process_document(french.encode(), "acme", name="fr.md", metadata={"language": "fr"})
    search = VectorSearchService(database, embedding)

    async def sources(**options: Any) -> set[str | None]:
        return {hit.source for hit in (await search.search("acme", "mudanza", **options)).hits}

    assert len(await sources()) == 5
    for language, source in [("es", "es.md"), ("en", "en.md"), ("pt", "pt.md"), ("unknown", "none.md")]:
        assert await sources(language=language) == {source}
    assert await sources(language="fr") == {"fr.md"}
    assert await sources(language="es", filter={"source": "en.md"}) == set()
    assert await sources(filter={"language": ["es", "pt"]}) == {"es.md", "pt.md"}
    with pytest.raises(BadArgument, match="language=es"):
        await sources(language="es", filter={"language": "en"})
