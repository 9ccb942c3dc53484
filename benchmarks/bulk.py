"""From which share on is it faster to drop a company's HNSW index before a large fill, and to build it anew behind it?

Each share is filled both ways, in turn, from a copy of the same database, by the backfill with an embedder that takes
no time; the clock stops when the new vectors are in the graph. Others: `python -m benchmarks.bulk SIZE SHARE...`.
"""

import asyncio
import sys
import time

import asyncpg
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from ateneo.indexing import maintenance
from benchmarks import stage

SIZE, SHARES = 10_000, (0.3, 0.6, 1.0)
_COPY = "CREATE DATABASE {name} TEMPLATE bulk STRATEGY FILE_COPY"


def main(size: int = SIZE, shares: tuple[float, ...] = SHARES) -> None:
    table = Table(title=f"Seconds to fill a company of {size:,} vectors with a graph of its own, {stage.DIMS} dims")
    for heading in ("more", "through the graph", "dropped and rebuilt", "rebuilt / through"):
        table.add_column(heading, justify="right")
    with stage.server() as url:
        asyncio.run(_prepare(url, size))
        for share in shares:
            through = asyncio.run(_fill(url, round(size * share), None))
            rebuilt = asyncio.run(_fill(url, round(size * share), 0.0))
            table.add_row(f"{share:.0%}", f"{through:.1f}", f"{rebuilt:.1f}", f"{rebuilt / through:.2f}")
    stage.console.print(table)
    stage.console.print()


async def _prepare(url: str, size: int) -> None:
    database = await stage.new_database(url, "bulk")
    await stage.fill(database, size)
    async with stage.service() as embedding, await Database.open(database) as db:
        await Backfill(db, embedding).run()
        async for _ in maintenance.index_generation(db, 1, threshold=1):
            pass


async def _fill(url: str, rows: int, rebuild_from: float | None) -> float:
    name = f"bulk_{rows}_{int(rebuild_from is None)}"
    connection = await asyncpg.connect(url)
    await connection.execute(_COPY.format(name=name))
    database = url.replace("/postgres?", f"/{name}?")
    await stage.fill(database, rows)
    async with stage.service() as embedding, await Database.open(database) as db:
        await own_generation(db, embedding)
        begun = time.perf_counter()
        report = await Backfill(db, embedding, threshold=1, rebuild_from=rebuild_from).run()
        seconds = time.perf_counter() - begun
    assert report.processed == rows
    assert report.indexed == (() if rebuild_from is None else ("acme",))
    await connection.execute(f"DROP DATABASE {name}")
    await connection.close()
    return seconds


if __name__ == "__main__":
    main(int(sys.argv[1]), tuple(map(float, sys.argv[2:])))
