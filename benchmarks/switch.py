"""What do searches notice of a change of model? p50 and p95 of a server in a process of its own, step by step.

The new model answers at once, as no provider does: more load at a time than a real switch makes, for a shorter time.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import numpy as np
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding import legacy_column
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.indexing import maintenance
from ateneo.search.service import VectorSearchService
from ateneo.types import Generation, Matrix
from benchmarks import stage

CHUNKS = 20_000
_THRESHOLD = 5_000
_QUIET_S = 6.0


class NewEmbedder(stage.RandomEmbedder):
    """Another model by name; its vectors are as random."""

    model = "random-2"


def models() -> Models:
    new = EmbeddingService(NewEmbedder())
    return Models(stage.service(), lambda generation: new if generation.model == NewEmbedder.model else None)


def main() -> None:
    with stage.server() as url:
        asyncio.run(_run(url))


async def _run(server: str) -> None:
    url = await stage.new_database(server, "switch")
    await stage.fill(url, CHUNKS, words=True)
    async with await Database.open(url, size=8) as db:
        await Backfill(db, stage.service()).run()
        async for _ in maintenance.tune(db, threshold=_THRESHOLD):
            pass
        with _searches(url) as end:
            steps = {"before": time.time()}
            await asyncio.sleep(_QUIET_S)
            steps |= await _switch(db)
            steps["after"] = time.time()
            await asyncio.sleep(_QUIET_S)
            steps["end"] = time.time()
            taken = end()
    _show(taken, steps)


async def _switch(db: Database) -> dict[str, float]:
    """When each step began, in seconds of the clock."""
    known = models()
    new = known.of(Generation(0, NewEmbedder.provider, NewEmbedder.model, stage.DIMS, False, False))
    assert new is not None
    work, begun = Switch(db, new), {}
    generation = await work.begin()
    begun["fills"] = time.time()
    await work.fill(generation)
    begun["builds the HNSW index"] = time.time()
    async for _ in work.index(generation, threshold=_THRESHOLD):
        pass
    begun["switches"] = time.time()
    await work.activate(generation)
    begun["refills the column"] = time.time()
    await legacy_column.refill(db)
    return begun


@contextmanager
def _searches(url: str) -> Iterator[Callable[[], Matrix]]:
    """Searches in another process; the function given ends it, and returns rows of (clock, ms, generation)."""
    spawned = multiprocessing.get_context("spawn")
    here, there = spawned.Pipe()
    process = spawned.Process(target=_search_forever, args=(url, there))
    process.start()
    here.recv()

    def end() -> Matrix:
        here.send("enough")
        return np.array(here.recv())

    yield end
    process.join(60)


def _search_forever(url: str, pipe: Connection) -> None:
    asyncio.run(_search(url, pipe))


async def _search(url: str, pipe: Connection) -> None:
    texts = list(stage.passages(500))
    taken: list[tuple[float, float, int]] = []
    async with await Database.open(url, size=2) as db:
        search = VectorSearchService(db, models())
        number = 0
        while not pipe.poll():
            question = " ".join(texts[number % len(texts)].split()[:6]) + f" {number}"
            begun = time.perf_counter()
            found = await search.search("acme", question, 10, explain=True)
            assert found.plan is not None and found.hits
            taken.append((time.time(), (time.perf_counter() - begun) * 1000, found.plan["generation"]))
            number += 1
            if number == 20:
                pipe.send("ready")
        await search.close()
    pipe.send(taken)


def _show(taken: Matrix, steps: dict[str, float]) -> None:
    names, times = list(steps), list(steps.values())
    table = Table(title=f"One client's hybrid searches while {CHUNKS:,} chunks change their model")
    for heading in ("step", "seconds", "searches", "p50 ms", "p95 ms", "max ms", "by the new model"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    for name, begun, ended in zip(names, times, times[1:], strict=False):
        rows = taken[(taken[:, 0] >= begun) & (taken[:, 0] < ended)]
        if len(rows):
            ms = rows[:, 1]
            p50, p95 = np.percentile(ms, [50, 95])
            share = f"{(rows[:, 2] == 2).mean():.0%}"
            table.add_row(
                name, f"{ended - begun:.1f}", f"{len(rows):,}", f"{p50:.1f}", f"{p95:.1f}", f"{ms.max():.0f}", share
            )
        else:
            table.add_row(name, f"{ended - begun:.1f}", "0", "", "", "", "")
    stage.console.print(table)
    stage.console.print(f"{len(taken):,} searches, none failed.")
