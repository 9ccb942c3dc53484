"""The guide's column after a change of model: whoever is there brings it up to date, one at a time, and for the model
that is active then."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.embedding.test_switch import check, load, service
from tests.embedding.test_worker import until, working
from tests.providers.server import ProviderServer, words_vector

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding import legacy_column, switch
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.embedding.worker import Worker

Both = tuple[EmbeddingService, EmbeddingService]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url, size=12) as db:
        yield db


@pytest.fixture
async def switched(pool: Database) -> AsyncIterator[Both]:
    """Searches use the new model, and whoever switched has gone: the column still has the old one's vectors."""
    with ProviderServer(dims=8, vector_of=words_vector) as server:
        async with service(server, "viejo", 8) as old, service(server, "nuevo", 16) as new:
            await load(pool, old, 20)
            work = Switch(pool, new, asked_dims=16)
            await work.activate(await work.begin())
            yield old, new


def both(old: EmbeddingService, new: EmbeddingService) -> Models:
    return Models(old, lambda generation: new if generation.model == "nuevo" else None)


async def marked(db: Database) -> list[int]:
    return [one.number for one in await generations.all_generations(db) if one.legacy]


async def test_a_running_worker_ends_what_a_switch_began(switched: Both, pool: Database) -> None:
    old, new = switched
    async with working(Worker(pool, both(old, new), maintenance_s=0)):

        async def true() -> bool:
            return await marked(pool) == [2]

        await until(true)
    await check(pool, 2, new, column=True)


async def test_once_brings_the_column_up_to_date_too(switched: Both, pool: Database) -> None:
    old, new = switched
    await Worker(pool, both(old, new)).run(once=True)
    await check(pool, 2, new, column=True)


async def test_one_at_a_time_and_the_other_waits(switched: Both, pool: Database) -> None:
    _, new = switched
    async with pool.transaction() as writer:
        await writer.execute("SELECT FROM knowledge_chunks WHERE id = 'c003' FOR UPDATE")
        at_work = asyncio.create_task(legacy_column.refill(pool))

        async def begun() -> bool:
            return (await switch.status(pool, Models(new)))[1].at_work

        await until(begun)
        assert await legacy_column.refill(pool, wait=False) == legacy_column.Refilled(0, 0)
        waiting = asyncio.create_task(legacy_column.refill(pool))
    assert (await at_work).busy == 0
    assert await waiting == legacy_column.Refilled(0, 0)
    await check(pool, 2, new, column=True)


async def test_a_way_back_meanwhile_is_followed(switched: Both, pool: Database) -> None:
    old, _ = switched
    async with pool.transaction() as writer:
        await writer.execute("SELECT FROM knowledge_chunks WHERE id = 'c003' FOR UPDATE")
        at_work = asyncio.create_task(legacy_column.refill(pool))

        async def begun() -> bool:
            return await marked(pool) == []

        await until(begun)
        await switch.rollback(pool)
    await at_work
    await check(pool, 1, old, column=True)
    assert await marked(pool) == [1]
