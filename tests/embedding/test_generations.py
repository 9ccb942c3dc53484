"""The life of generations: one is searched, others fill or are kept, and processes follow without mixing models."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.db import chunks, generations, migrate, switch
from ateneo.db.pool import Database
from ateneo.embedding.current_model import CurrentModel, Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import GenerationMismatch, SwitchRefused
from ateneo.ingestion.service import IngestionService
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService
from ateneo.types import Generation

TEXTS = [f"Texto número {n} sobre un asunto de la empresa." for n in range(12)]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as one:
        yield one


def _service(server: ProviderServer, model: str, dims: int) -> EmbeddingService:
    embedder = OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=dims, timeout_s=10)
    return EmbeddingService(embedder, retries=0)


@pytest.fixture
async def old(server: ProviderServer) -> AsyncIterator[EmbeddingService]:
    async with _service(server, "viejo", 8) as service:
        yield service


@pytest.fixture
async def new(server: ProviderServer) -> AsyncIterator[EmbeddingService]:
    async with _service(server, "nuevo", 16) as service:
        yield service


async def _fill(db: Database, generation: Generation, service: EmbeddingService) -> int:
    waiting = await switch.missing_texts(db, generation.number, None, 1000)
    vectors = (await service.embed_matrix([one.contenido for one in waiting])).vectors
    return await chunks.store_embeddings(db, generation.number, waiting, vectors)


@pytest.fixture
async def two(database: Database, old: EmbeddingService, new: EmbeddingService) -> tuple[Generation, Generation]:
    """The old model's generation, active, and the new one's, filling; both have all vectors."""
    first = await generations.create(database, "openai", "viejo", 8)
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)",
            [(f"c{n:02}", text) for n, text in enumerate(TEXTS)],
        )
    assert await _fill(database, first, old) == len(TEXTS)
    second = await generations.create(database, "openai", "nuevo", 16, 16)
    assert await _fill(database, second, new) == len(TEXTS)
    return first, second


def _both(old: EmbeddingService, new: EmbeddingService) -> Models:
    return Models(old, lambda generation: new if generation.model == "nuevo" else None)


async def _found_by(search: VectorSearchService) -> int:
    """The generation that answered; the nearest passage to its own text is itself, whichever it is."""
    found = await search.search("acme", TEXTS[3], 1, mode="dense", explain=True)
    assert found.plan is not None
    assert found.hits[0].contenido == TEXTS[3]
    assert found.hits[0].dense_score == pytest.approx(1, abs=1e-3)
    return int(found.plan["generation"])


async def test_the_first_is_active_and_the_next_fills(two: tuple[Generation, Generation], database: Database) -> None:
    first, second = await generations.all_generations(database)
    assert (first.state, first.active, first.legacy) == ("active", True, True)
    assert (second.state, second.active, second.legacy, second.asked_dims) == ("filling", False, False, 16)
    assert [one.vectors for one in await switch.filled(database)] == [len(TEXTS), len(TEXTS)]
    async with database.acquire() as connection:
        dims = "SELECT DISTINCT vector_dims(embedding) FROM knowledge_chunks"
        assert await connection.fetchval(dims) == 8, "the column holds the first one's"


async def test_only_one_fills_at_a_time(two: tuple[Generation, Generation], database: Database) -> None:
    with pytest.raises(SwitchRefused, match="openai/nuevo"):
        await generations.create(database, "openai", "tercero", 4)


async def test_a_running_search_follows_the_switch_and_the_way_back(
    two: tuple[Generation, Generation], database: Database, old: EmbeddingService, new: EmbeddingService
) -> None:
    search = VectorSearchService(database, _both(old, new))
    search._current = CurrentModel(database, _both(old, new), fresh_s=0)
    assert await _found_by(search) == 1
    await generations.activate(database, 2)
    async with asyncio.timeout(30):
        while await _found_by(search) != 2:
            await asyncio.sleep(0.01)
    await generations.activate(database, 1)
    async with asyncio.timeout(30):
        while await _found_by(search) != 1:
            await asyncio.sleep(0.01)
    await search.close()


@pytest.mark.parametrize("answers", [True, False])
async def test_many_first_searches_at_once_try_the_new_model_once(
    two: tuple[Generation, Generation],
    database: Database,
    old: EmbeddingService,
    new: EmbeddingService,
    server: ProviderServer,
    answers: bool,
) -> None:
    await generations.activate(database, 2)
    search = VectorSearchService(database, _both(old, new))
    if not answers:
        server.script(Fault.UNAUTHORIZED)  # the trial's; the old model goes on
    found = await asyncio.gather(*(_found_by(search) for _ in range(16)), return_exceptions=True)
    assert set(found) == ({2} if answers else {1})
    trials = [request for request in server.requests if request["input"] == ["prueba"]]
    assert len(trials) == 1
    await search.close()


async def test_a_server_with_the_old_settings_goes_on_until_the_old_one_is_gone(
    two: tuple[Generation, Generation], database: Database, old: EmbeddingService
) -> None:
    search = VectorSearchService(database, old)
    search._current = CurrentModel(database, Models(old), fresh_s=0)
    assert await _found_by(search) == 1
    await generations.activate(database, 2)
    assert await _found_by(search) == 1
    fresh = VectorSearchService(database, old)
    assert await _found_by(fresh) == 1, "one that starts after the switch, too"
    ingestion = IngestionService(database, old)
    await ingestion.process_document(b"Un documento nuevo de la empresa.", "acme", name="nuevo.txt")
    assert (await switch.filled(database))[0].missing == 0, "what it takes in it also finds"
    await switch.mark_column(database, 2)
    await switch.retire(database, 1)
    with pytest.raises(GenerationMismatch) as error:
        await _found_by(search)
    assert "nuevo" in error.value.message


async def test_a_new_model_that_does_not_answer_is_not_trusted_with_searches(
    two: tuple[Generation, Generation],
    database: Database,
    server: ProviderServer,
    old: EmbeddingService,
    new: EmbeddingService,
) -> None:
    search = VectorSearchService(database, _both(old, new))
    search._current = CurrentModel(database, _both(old, new), fresh_s=0)
    await _found_by(search)
    await generations.activate(database, 2)
    server.otherwise = Fault.NOT_FOUND  # the old model's query is remembered and asks nobody
    for _ in range(20):
        assert await _found_by(search) == 1
        await asyncio.sleep(0.005)
    await search.close()


async def test_a_generation_that_goes_in_the_same_moment_is_replaced(
    two: tuple[Generation, Generation], database: Database, old: EmbeddingService, new: EmbeddingService
) -> None:
    search = VectorSearchService(database, _both(old, new))  # looks again after two seconds only
    assert await _found_by(search) == 1
    await generations.activate(database, 2)
    await switch.mark_column(database, 2)
    await switch.retire(database, 1)
    assert await switch.drop(database, 1)
    assert await _found_by(search) == 2
    await search.close()


async def test_the_active_one_and_the_columns_one_cannot_end(
    two: tuple[Generation, Generation], database: Database
) -> None:
    with pytest.raises(GenerationMismatch):
        await switch.retire(database, 1)
    await generations.activate(database, 2)
    with pytest.raises(GenerationMismatch):
        await switch.retire(database, 1)
    await switch.mark_column(database, None)
    await switch.retire(database, 1)


async def test_an_end_leaves_nothing_but_its_number(two: tuple[Generation, Generation], database: Database) -> None:
    await switch.retire(database, 2)
    assert await switch.undropped(database) == [2]
    assert await switch.settled(database, 10)
    assert await switch.drop(database, 2)
    assert await switch.undropped(database) == []
    async with database.acquire() as connection:
        left = await connection.fetchval(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'ateneo'::regnamespace AND relname LIKE 'vec_g2%'"
        )
        assert left == 0
        await connection.execute("UPDATE knowledge_chunks SET contenido = contenido || ' (editado)'")
        await connection.execute("DELETE FROM knowledge_chunks WHERE id = 'c01'")
    again = await generations.create(database, "openai", "nuevo", 16)
    assert (again.number, again.state) == (3, "filling")


async def test_a_writer_who_began_before_the_end_is_waited_for(
    two: tuple[Generation, Generation], database: Database, database_url: str
) -> None:
    """Its trigger may be about to touch the table: dropped now, the legacy write would fail."""
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE knowledge_chunks SET contenido = 'Un texto escrito antes del final.' WHERE id = 'c00'")
    await switch.retire(database, 2)
    assert not await switch.settled(database, 0.2)
    assert not await switch.drop(database, 2)
    await transaction.commit()
    assert await switch.settled(database, 30)
    assert await switch.drop(database, 2)
    await writer.close()


async def test_the_column_follows_the_mark(
    two: tuple[Generation, Generation], database: Database, new: EmbeddingService, server: ProviderServer
) -> None:
    async with database.acquire() as connection:
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'corto' WHERE id = 'c02'")
        await connection.execute("UPDATE knowledge_chunks SET embedding = '[1,0,0,0,0,0,0,0]' WHERE id = 'c02'")
    await generations.activate(database, 2)
    await switch.mark_column(database, None)
    done, after = 0, None
    while (page := await switch.refill_page(database, 2, after, 5)) is not None:
        done, after = done + page.changed, page.last_id
        assert page.busy == 0
    assert done == len(TEXTS)
    await switch.mark_column(database, 2)
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT id, contenido, embedding FROM knowledge_chunks ORDER BY id")
    for row in rows:
        if row["id"] == "c02":
            assert row["embedding"] is None, "it has no vector of this model"
        else:
            near = float(row["embedding"] @ vector_for(row["contenido"], 16))
            assert near == pytest.approx(1, abs=1e-5)
    page = await switch.refill_page(database, 2, None, 100)
    assert page is not None
    assert page.changed == 0, "what is right is not written again"


async def test_rows_that_a_writer_holds_are_passed_over(
    two: tuple[Generation, Generation], database: Database, database_url: str
) -> None:
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE knowledge_chunks SET chunk_index = 7 WHERE id IN ('c00', 'c01')")
    page = await switch.refill_page(database, 2, None, 100)
    assert page is not None
    assert (page.changed, page.busy) == (len(TEXTS) - 2, 2)
    await transaction.rollback()
    await writer.close()


async def test_what_the_triggers_did_not_see_waits_for_every_model(
    two: tuple[Generation, Generation], database: Database
) -> None:
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " VALUES ('a', 'acme', 'Una fila restaurada sin vector.', NULL),"
            " ('b', 'acme', 'Una fila restaurada con su vector.', '[1,0,0,0,0,0,0,0]')"
        )
    for _ in range(2):
        await migrate.reconcile(database)
        async with database.acquire() as connection:
            rows = await connection.fetch("SELECT chunk_id, generation FROM ateneo.embedding_queue ORDER BY 1, 2")
        assert [tuple(row) for row in rows] == [("a", 1), ("a", 2), ("b", 2)]
