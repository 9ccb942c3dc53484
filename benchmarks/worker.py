"""How soon is what a program writes found by meaning, and what do more workers bring?

Latency: a row at a time is inserted while a worker waits, and searched for by its own vector until it is the best hit.
Workers: 1, 2 and 4 processes drain the same queue with an embedder that takes no time (the database is the limit), and
with one that takes 100 ms a request of 100 texts (the provider is).
"""

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier

import asyncpg
import numpy as np
from rich.table import Table

from ateneo.db import queue
from ateneo.db.pool import Database
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.worker import Worker
from ateneo.types import Embedded, Kind, Matrix
from benchmarks import stage

INSERTS = 100
ROWS = {"embedder takes no time": 20_000, "100 ms a request": 8_000}
PROCESSES = (1, 2, 4)


class SlowEmbedder(stage.RandomEmbedder):
    """100 ms for each request, as a provider far away."""

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        await asyncio.sleep(0.1)
        return await super().embed(texts, kind)


class EchoEmbedder(stage.RandomEmbedder):
    """A text of its own has a vector of its own."""

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        return Embedded(np.stack([vector_of(text) for text in texts]), len(texts))


def vector_of(text: str) -> Matrix:
    made = np.random.default_rng(abs(hash(text))).standard_normal(stage.DIMS, dtype=np.float32)
    unit: Matrix = made / np.linalg.norm(made)
    return unit


def main() -> None:
    with stage.server() as url:
        waits = np.array(asyncio.run(_latency(url))) * 1000
        p50, p95, worst = np.percentile(waits, [50, 95, 100])
        stage.console.print(
            f"INSERT to found by meaning, idle worker, {INSERTS} inserts: p50 {p50:.0f} ms, p95 {p95:.0f} ms, "
            f"longest {worst:.0f} ms (aim: 2,000 ms)\n"
        )
        table = Table(title="Rows/s by worker processes, 384 dimensions, 4 batches in hand each")
        table.add_column("", no_wrap=True)
        for processes in PROCESSES:
            table.add_column(str(processes), justify="right")
        for name, rows in ROWS.items():
            rates = [asyncio.run(_scaling(url, name, processes, rows)) for processes in PROCESSES]
            table.add_row(name, *(f"{rate:,.0f} ({rate / rates[0]:.2f}x)" for rate in rates))
        stage.console.print(table)
        stage.console.print()


async def _latency(url: str) -> list[float]:
    database = await stage.new_database(url, "latency")
    waits = []
    async with EmbeddingService(EchoEmbedder()) as embedding, await Database.open(database, size=10) as db:
        worker = Worker(db, Models(embedding))
        task = asyncio.create_task(worker.run())
        connection = await asyncpg.connect(database)
        await asyncio.sleep(2)
        for number in range(INSERTS):
            text = f"pasaje recién escrito número {number}"
            vector = vector_of(text).tolist()
            await connection.execute(
                "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)", str(number), text
            )
            begun = time.perf_counter()
            while not await _found(connection, vector, str(number)):
                await asyncio.sleep(0.002)
            waits.append(time.perf_counter() - begun)
            await asyncio.sleep(0.05 + 0.1 * (number % 7) / 7)
        await connection.close()
        worker.stop()
        await task
    return waits


async def _found(connection: "asyncpg.Connection[asyncpg.Record]", vector: list[float], chunk_id: str) -> bool:
    async with connection.transaction():
        await connection.execute("SET LOCAL ateneo.empresa_id = 'acme'")
        row = await connection.fetchrow(
            "SELECT chunk_id, dense_score FROM ateneo.search(NULL, $1::real[]::vector, 1, 1.0, 1::smallint, 'acme')",
            vector,
        )
    return row is not None and row["chunk_id"] == chunk_id and row["dense_score"] > 0.99


async def _scaling(url: str, name: str, processes: int, rows: int) -> float:
    slow = "ms" in name
    database = await stage.new_database(url, f"scale_{int(slow)}_{processes}")
    await stage.fill(database, rows)
    async with stage.service() as embedding, await Database.open(database) as db:
        generation = await own_generation(db, embedding)
        await queue.fill(db, generation.number)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(processes + 1)
    children = [context.Process(target=_child, args=(database, slow, ready)) for _ in range(processes)]
    for child in children:
        child.start()
    await asyncio.to_thread(ready.wait)
    begun = time.perf_counter()
    for child in children:
        await asyncio.to_thread(child.join)
    return rows / (time.perf_counter() - begun)


def _child(database: str, slow: bool, ready: Barrier) -> None:
    async def work() -> None:
        embedding = EmbeddingService(SlowEmbedder() if slow else stage.RandomEmbedder())
        async with embedding, await Database.open(database, size=10) as db:
            await asyncio.to_thread(ready.wait)
            await Worker(db, Models(embedding), batch_size=100 if slow else 500).run(once=True)

    asyncio.run(work())


if __name__ == "__main__":
    main()
