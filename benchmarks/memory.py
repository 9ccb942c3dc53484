"""Does a backfill of ten times as many chunks need more memory, or more time a chunk? Peak RSS of a process of its own
for each. No words are indexed: what is measured is the queue."""

import asyncio
import json
import resource
import subprocess
import sys
import time

from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from benchmarks import stage

SIZES = (20_000, 200_000)


def main() -> None:
    table = Table(title="Peak memory of a backfill, 384 dimensions, pages of 500, 4 under way")
    for heading in ("pending chunks", "peak RSS (MiB)", "x the first", "rows/s"):
        table.add_column(heading, justify="right")
    first = 0.0
    with stage.server() as url:
        for size in SIZES:
            database = asyncio.run(_prepare(url, size))
            child = subprocess.run(
                [sys.executable, "-m", "benchmarks.memory", database], stdout=subprocess.PIPE, check=True, text=True
            )
            seen = json.loads(child.stdout)
            assert seen["processed"] == size
            first = first or seen["mib"]
            table.add_row(f"{size:,}", f"{seen['mib']:.0f}", f"{seen['mib'] / first:.2f}", f"{seen['rate']:,.0f}")
    stage.console.print(table)
    stage.console.print()


async def _prepare(url: str, size: int) -> str:
    database = await stage.new_database(url, f"memory_{size}")
    async with stage.service() as embedding, await Database.open(database) as db:
        await own_generation(db, embedding)
    await stage.fill(database, size)
    return database


async def _child(database: str) -> None:
    begun = time.perf_counter()
    async with stage.service() as embedding, await Database.open(database) as db:
        report = await Backfill(db, embedding).run()
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2
    print(json.dumps({"processed": report.processed, "mib": peak, "rate": report.processed / seconds}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_child(sys.argv[1]))
    else:
        main()
