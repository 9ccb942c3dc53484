"""The worker on a real database, with a real HTTP provider: what any program writes is found by meaning soon."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.providers.server import Fault, ProviderServer

from ateneo.db import chunks, dead_letters, generations, queue, usage, workers
from ateneo.db.pool import Database
from ateneo.embedding import switch
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import own_generation
from ateneo.embedding.queue import EmbeddingQueue
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.embedding.worker import Worker
from ateneo.errors import AteneoError, GenerationMismatch, ProviderRejected, ProviderUnavailable
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService

DIMS = 8


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def service(server: ProviderServer, model: str = "text-embedding-3-small") -> EmbeddingService:
    embedder = OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=DIMS)
    return EmbeddingService(embedder, concurrency=4, retries=1, sleep=_no_sleep)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url, size=8) as db:
        yield db


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        async with asyncio.timeout(30):
            await task


async def execute(db: Database, sql: str, *arguments: object) -> None:
    async with db.acquire() as connection:
        await connection.execute(sql, *arguments)


async def insert(db: Database, chunk_id: str, text: str, empresa: str = "acme") -> None:
    await execute(db, "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)", chunk_id, empresa,
                  text)  # fmt: skip


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_what_other_programs_write_is_found_by_meaning(pool: Database) -> None:
    await insert(pool, "before", "Escrito antes de que hubiera un trabajador")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding, working(Worker(pool, Models(embedding))):
            search = VectorSearchService(pool, embedding)

            async def finds(text: str, chunk_id: str) -> bool:
                hits = await search.semantic_search("acme", text, 1)
                return bool(hits) and hits[0].chunk_id == chunk_id and (hits[0].dense_score or 0) > 0.99

            await until(lambda: finds("Escrito antes de que hubiera un trabajador", "before"))
            await insert(pool, "later", "Escrito por cualquier programa, sin avisar")
            await until(lambda: finds("Escrito por cualquier programa, sin avisar", "later"))
            await execute(pool, "UPDATE knowledge_chunks SET contenido = 'Y después corregido' WHERE id = 'later'")
            await until(lambda: finds("Y después corregido", "later"))
            await execute(pool, "DELETE FROM knowledge_chunks WHERE id = 'later'")
            assert not await finds("Y después corregido", "later")
            [row] = await workers.alive(pool)
            assert (row.state, row.pid > 0) == ("idle", True)
    assert await workers.alive(pool) == []


@pytest.mark.direct
async def test_an_idle_worker_is_told_at_once(pool: Database) -> None:
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            worker = Worker(pool, Models(embedding))
            heard: list[str] = []
            async with working(worker), pool.acquire() as ear:

                def hear(*_: object) -> None:
                    heard.append("row")

                await ear.add_listener(queue.CHANNEL, hear)

                async def idle() -> bool:
                    return any(row.state == "idle" for row in await workers.alive(pool))

                await until(idle)
                await insert(pool, "a", "Un pasaje que despierta al trabajador")

                async def told() -> bool:
                    return bool(heard)

                await until(told)
                await ear.remove_listener(queue.CHANNEL, hear)


async def test_once_ends_when_there_is_nothing_to_do(pool: Database) -> None:
    for number in range(25):
        await insert(pool, f"c{number:02}", f"Pasaje número {number} de la prueba", f"e{number % 3}")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            worker = Worker(pool, Models(embedding), batch_size=7, concurrency=2)
            await worker.run(once=True)
            assert (worker.totals.processed, server.inputs) == (25, 25)
            await Worker(pool, Models(embedding)).run(once=True)
        assert server.inputs == 25
    assert await chunks.count_pending(pool, None) == 0


async def test_poison_is_isolated_and_parked_with_its_reason(pool: Database) -> None:
    for number in range(40):
        await insert(pool, f"c{number:02}", f"Pasaje {'VENENO' if number == 13 else ''} número {number}")
    await insert(pool, "blank", " " * 20)
    with ProviderServer(dims=DIMS) as server:
        server.poison = "VENENO"
        async with service(server) as embedding:
            await Worker(pool, Models(embedding)).run(once=True)
            dead = await dead_letters.listing(pool, None, "dead", 10)
            assert sorted(dead_letter.chunk_id for dead_letter in dead) == ["blank", "c13"]
            reasons = {dead_letter.chunk_id: dead_letter.error or "" for dead_letter in dead}
            assert "cannot be embedded" in reasons["c13"] and "blanco" in reasons["blank"]
            calls = server.calls
            await Worker(pool, Models(embedding)).run(once=True)
            assert server.calls == calls  # dead letters are nobody's work
            assert await dead_letters.drop(pool, "acme", "blank") == 1
            server.poison = None
            assert await dead_letters.retry(pool, "acme", "c13") == 1
            await Worker(pool, Models(embedding)).run(once=True)
    [left] = await dead_letters.listing(pool, None, None, 10)
    assert (left.chunk_id, left.state) == ("blank", "dropped")
    assert await chunks.count_pending(pool, None) == 1


async def test_a_text_that_breaks_the_server_is_found_out_in_the_end(pool: Database) -> None:
    for number in range(4):
        await insert(pool, f"c{number}", f"Pasaje {'BOMBA' if number == 2 else 'sano'} número {number}")
    with ProviderServer(dims=DIMS) as server:
        server.bomb = "BOMBA"
        async with service(server) as embedding:
            for _ in range(12):
                with contextlib.suppress(ProviderUnavailable):
                    await Worker(pool, Models(embedding)).run(once=True)
                await execute(pool, "UPDATE ateneo.embedding_queue SET next_try_at = now()")
    [dead] = await dead_letters.listing(pool, None, "dead", 10)
    assert dead.chunk_id == "c2"
    assert await chunks.count_pending(pool, None) == 1


async def test_an_outage_pauses_and_does_not_count_against_the_texts(pool: Database) -> None:
    for number in range(10):
        await insert(pool, f"c{number}", f"Pasaje sano número {number}")
    with ProviderServer(dims=DIMS) as server:
        server.otherwise = Fault.UNAUTHORIZED
        async with service(server) as embedding:
            with pytest.raises(ProviderRejected):
                await Worker(pool, Models(embedding)).run(once=True)
            assert {dead_letter.attempts for dead_letter in await dead_letters.listing(pool, None, "pending", 20)} == {
                0
            }
            pauses: list[str] = []
            worker = Worker(pool, Models(embedding), on_pause=lambda error, _: pauses.append(error.code))
            async with working(worker):

                async def paused() -> bool:
                    return any(row.state == "paused" and "401" in (row.note or "") for row in await workers.alive(pool))

                await until(paused)
            assert set(pauses) == {"provider-rejected"}
    assert await chunks.count_pending(pool, None) == 10


async def test_two_workers_share_the_rows(pool: Database) -> None:
    for number in range(60):
        await insert(pool, f"c{number:02}", f"Pasaje número {number}", f"e{number % 2}")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            both = [Worker(pool, Models(embedding), batch_size=5, concurrency=1) for _ in range(2)]
            await asyncio.gather(*(worker.run(once=True) for worker in both))
        assert server.inputs == 60
        billed = server.tokens
    assert sum(worker.totals.processed for worker in both) == 60
    assert sum(one.tokens for one in await usage.month(pool)) == billed


async def test_a_model_that_is_not_the_databases_is_refused(pool: Database) -> None:
    await generations.create(pool, "openai", "otro-modelo", DIMS)
    await execute(
        pool,
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
        " VALUES ('de-otro', 'otra', 'Un texto de otro modelo', array_fill(1.0::real, ARRAY[8])::vector)",
    )
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            with pytest.raises(GenerationMismatch):
                await Worker(pool, Models(embedding)).run(once=True)
        assert server.calls == 0


async def test_cut_off_at_any_moment_it_keeps_no_lease(pool: Database) -> None:
    chance = random.Random(8)
    for number in range(60):
        await insert(pool, f"c{number:02}", f"Pasaje número {number} de la prueba")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            generation = await own_generation(pool, embedding)
            await queue.fill(pool, generation.number)
            server.gate.clear()
            for _ in range(25):
                engine = EmbeddingQueue(pool, embedding, generation, batch_size=5, concurrency=4)
                run = asyncio.create_task(engine.drain())
                await asyncio.sleep(chance.uniform(0, 0.04))
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)
                async with pool.acquire() as connection:
                    assert not await connection.fetchval(
                        "SELECT count(*) FROM ateneo.embedding_queue WHERE leased_by IS NOT NULL OR attempts <> 0"
                    )
            server.gate.set()


async def test_a_budget_is_met_within_a_few_texts(pool: Database) -> None:
    chance = random.Random(4)
    for number in range(400):
        await insert(pool, f"c{number:03}", f"Pasaje {number}: " + "palabras " * chance.randrange(1, 60))
    await usage.set_budget(pool, "acme", 5000, None)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            await Worker(pool, Models(embedding), batch_size=100, concurrency=4).run(once=True)
            assert 5000 <= server.tokens <= 5250
            [account] = await usage.month(pool)
            assert account.tokens == server.tokens
            figures = await dead_letters.figures(pool)
            assert figures.pending == figures.over_budget == 400 - account.texts
            await usage.set_budget(pool, "acme", None, 1.0)
            await execute(pool, "UPDATE ateneo.embedding_usage SET usd = 0")  # a model whose price nobody knows
            await Worker(pool, Models(embedding), batch_size=100, concurrency=4).run(once=True)
    assert await chunks.count_pending(pool, None) == 0


async def test_every_generation_is_kept_up_to_date(pool: Database) -> None:
    await insert(pool, "a", "Un pasaje para los dos modelos")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as first, service(server, "modelo-nuevo") as second:
            await Worker(pool, Models(first)).run(once=True)
            await generations.create(pool, "openai", "modelo-nuevo", DIMS)
            both = Models(first, lambda generation: second if generation.model == "modelo-nuevo" else None)
            await insert(pool, "b", "Otro pasaje para los dos")
            await Worker(pool, both).run(once=True)
    async with pool.acquire() as connection:
        counts = await connection.fetchrow(
            "SELECT (SELECT count(*) FROM ateneo.vec_g1) AS a, (SELECT count(*) FROM ateneo.vec_g2) AS b,"
            " (SELECT count(*) FROM ateneo.embedding_queue) AS q"
        )
    assert counts is not None and tuple(counts) == (2, 2, 0)


async def test_with_the_old_settings_alone_it_says_which_model_it_lacks(pool: Database) -> None:
    """After a switch in `status`; after the prune it pauses for it, and not for tables that are missing: those went
    with their generation."""
    told: list[AteneoError] = []

    async def embedded() -> bool:
        async with pool.acquire() as connection:
            return bool(await connection.fetchval("SELECT count(embedding) FROM knowledge_chunks"))

    async def noted() -> bool:
        return any("openai/nuevo" in (one.note or "") for one in await workers.alive(pool))

    async def paused() -> bool:
        return len(told) >= 2

    with ProviderServer(dims=DIMS) as server:
        async with service(server) as old, service(server, "nuevo") as new:
            await insert(pool, "a", "Un texto cualquiera")
            async with working(Worker(pool, Models(old), on_pause=lambda error, _: told.append(error))):
                await until(embedded)
                switched = Switch(pool, new, asked_dims=DIMS)
                generation = await switched.begin()
                await switched.fill(generation)
                await switched.activate(generation)
                await until(noted)
                assert await switch.prune(pool, await switch.prunable(pool))
                await insert(pool, "b", "Otro texto, para quien ya no puede")
                await until(paused)
    assert {type(error) for error in told} == {GenerationMismatch}
