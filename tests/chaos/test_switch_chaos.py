"""A change of model in the middle of everything: workers at work, a provider at random, rows edited, and the switch
itself interrupted again and again. In the end both models have the vector of every present text, and nothing else."""

import asyncio
import random
import time
from contextlib import suppress

import asyncpg
import numpy as np
import pytest
from tests.chaos.test_chaos import COMPANIES, FAULTS, drained, write
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding import legacy_column, switch
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.embedding.worker import Worker
from ateneo.errors import AteneoError, ProviderError
from ateneo.providers.openai import OpenAIEmbedder

SEED = 15
OLD, NEW = 8, 12


def _service(server: ProviderServer, model: str, dims: int) -> EmbeddingService:
    embedder = OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=dims, timeout_s=0.5)
    return EmbeddingService(embedder, retries=1)


async def _switch(db: Database, new: EmbeddingService) -> None:
    """All steps, from wherever it is. Forced, because of the texts that nobody can embed."""
    work = Switch(db, new, asked_dims=NEW)
    async with switch.alone(db):
        generation = await work.begin()
        await work.fill(generation)
        await work.activate(generation, force=True)
        await legacy_column.refill(db)


@pytest.mark.parametrize(
    ("texts", "seconds", "interruptions"),
    [pytest.param(80, 1.5, 2, id="short"), pytest.param(200, 7, 6, id="long", marks=pytest.mark.long)],
)
async def test_a_switch_in_the_middle_of_everything(
    database_url: str, texts: int, seconds: float, interruptions: int
) -> None:
    chance = random.Random(SEED)
    async with await Database.open(database_url, size=16) as db:
        async with db.acquire() as connection:
            await connection.executemany(
                "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)",
                [
                    (chance.choice(COMPANIES), f"Pasaje inicial {n}{' VENENO' if n % 97 == 5 else ''}")
                    for n in range(texts)
                ],
            )
        with ProviderServer(dims=OLD) as server:
            server.poison = "VENENO"
            server.retry_headers = {"Retry-After": "0.1"}
            async with _service(server, "viejo", OLD) as old, _service(server, "nuevo", NEW) as new:
                await Backfill(db, old).run()
                models = Models(old, lambda generation: new if generation.model == "nuevo" else None)
                workers = [Worker(db, models, batch_size=10, concurrency=2, maintenance_s=0, lease_s=2) for _ in "ab"]
                tasks = [asyncio.create_task(worker.run()) for worker in workers]
                server.script(
                    *(chance.choice(FAULTS) if chance.random() < 0.2 else Fault.OK for _ in range(texts * 3 // 4))
                )
                writer = asyncio.create_task(write(database_url, random.Random(SEED + 1), time.monotonic() + seconds))
                for _ in range(interruptions):
                    attempt = asyncio.create_task(_switch(db, new))
                    await asyncio.wait([attempt], timeout=chance.uniform(0.2, 1.5))
                    attempt.cancel()
                    with suppress(asyncio.CancelledError, AteneoError):
                        await attempt
                await writer
                server.forget_script()
                await _to_the_end(db, new)
                await drained(database_url)
                await _every_row_is_right(database_url, texts, legacy=NEW)
                await switch.rollback(db)
                await legacy_column.refill(db)
                await _every_row_is_right(database_url, texts, legacy=OLD)
                assert await switch.prune(db, await switch.prunable(db))
                for worker in workers:
                    worker.stop()
                await asyncio.gather(*tasks)
        assert [one.number for one in await generations.all_generations(db)] == [1]
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT to_regclass('ateneo.vec_g2')") is None
            assert await connection.fetchval("SELECT count(*) FROM ateneo.embedding_queue WHERE generation = 2") == 0


async def _to_the_end(db: Database, new: EmbeddingService) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(ProviderError):  # the last of the faults
                await _switch(db, new)
                return


async def _every_row_is_right(url: str, texts: int, *, legacy: int) -> None:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT k.contenido, k.embedding::real[] AS kept, a.embedding::vector::real[] AS old,"
        " b.embedding::vector::real[] AS new FROM knowledge_chunks k"
        " LEFT JOIN ateneo.vec_g1 a ON a.empresa_id = k.empresa_id AND a.chunk_id = k.id"
        " LEFT JOIN ateneo.vec_g2 b ON b.empresa_id = k.empresa_id AND b.chunk_id = k.id"
    )
    counts = [await connection.fetchval(f"SELECT count(*) FROM ateneo.vec_g{one}") for one in (1, 2)]
    await connection.close()
    sound = [row for row in rows if "VENENO" not in row["contenido"]]
    assert len(sound) > texts * 3 / 4
    assert counts == [len(sound), len(sound)], "a vector for every text, and no other"
    for row in rows:
        if "VENENO" in row["contenido"]:
            assert (row["kept"], row["old"], row["new"]) == (None, None, None), row
        else:
            np.testing.assert_allclose(row["old"], vector_for(row["contenido"], OLD), atol=2e-3)
            np.testing.assert_allclose(row["new"], vector_for(row["contenido"], NEW), atol=2e-3)
            np.testing.assert_allclose(row["kept"], vector_for(row["contenido"], legacy), atol=2e-3)
