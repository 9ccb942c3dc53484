"""How many rows a second get their vector, beside langchain-postgres and llama-index-vector-stores-postgres that add
the same texts with given vectors? Rounds in turn, one database, no ANN index anywhere.

The peers insert rows by their own asynchronous calls, all of a round in one. Ateneo's texts come by INSERT, which
indexes their words and queues them (triggers); the backfill then leases, asks an embedder that takes no time, and
writes column and index. `python -m benchmarks.adding PYTHON` names the interpreter that has the peers
(benchmarks/peers/requirements.txt).
"""

import asyncio
import json
import statistics
import sys
import time
from typing import Any

import asyncpg
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from benchmarks import stage
from benchmarks.peers import remote

ROUNDS, ROWS = 3, 3_000
_WHOLE, _VECTORS = "ateneo: texts, words and vectors", "ateneo: the vectors alone"


def main(python: str = sys.executable) -> None:
    with stage.server() as url:
        rates = asyncio.run(_measure(url, python))
    table = Table(title=f"Adding {ROWS:,} texts with vectors, {stage.DIMS} dimensions: rows/s, median of {ROUNDS}")
    for heading in ("", "rows/s", "each round", "vectors alone are"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    ours = statistics.median(rates[_VECTORS])
    for name, each in rates.items():
        rate = statistics.median(each)
        table.add_row(name, f"{rate:,.0f}", " ".join(f"{value:,.0f}" for value in each), f"{ours / rate:,.1f}x")
    stage.console.print(table)
    stage.console.print()


async def _measure(url: str, python: str) -> dict[str, list[float]]:
    database = await stage.new_database(url, "adding")
    await _give(database)
    rates: dict[str, list[float]] = {_WHOLE: [], _VECTORS: []}
    peers = {}
    for name in remote.MODULES:
        why = await remote.missing(python, name)
        if why is None:
            peers[name] = await _start(python, name, database)
            rates[name] = []
        else:
            stage.console.print(f"[yellow]{name} is left out: {why}[/] (see benchmarks/peers/requirements.txt)")
    async with stage.service() as embedding, await Database.open(database) as db:
        await own_generation(db, embedding)
        for first in range(0, ROUNDS * ROWS, ROWS):
            copied, filled = await _ours(db, Backfill(db, embedding), first)
            rates[_WHOLE].append(ROWS / (copied + filled))
            rates[_VECTORS].append(ROWS / filled)
            for name, peer in peers.items():
                await _ask(peer, do="prepare", first=first, count=ROWS)
                rates[name].append(ROWS / ((await _ask(peer, do="add"))["ms"] / 1000))
    for peer in peers.values():
        assert peer.stdin is not None
        peer.stdin.close()
        await peer.wait()
    return rates


async def _give(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE given (n int PRIMARY KEY, contenido text)")
    await connection.copy_records_to_table("given", records=enumerate(stage.passages(ROUNDS * ROWS)))
    await connection.close()


async def _ours(db: Database, backfill: Backfill, first: int) -> tuple[float, float]:
    """Seconds to write the texts, and to give them their vectors."""
    begun = time.perf_counter()
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (empresa_id, chunk_index, contenido)"
            " SELECT 'acme', n, contenido FROM given WHERE n >= $1 AND n < $2",
            first,
            first + ROWS,
        )
    written = time.perf_counter()
    report = await backfill.run()
    assert report.processed == ROWS
    return written - begun, time.perf_counter() - written


async def _start(python: str, name: str, database: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        python, "-m", "benchmarks.peers.adding", name, database,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await _ask(process, do="open")
    return process


async def _ask(process: asyncio.subprocess.Process, **question: Any) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(question).encode() + b"\n")
    await process.stdin.drain()
    answer: dict[str, Any] = json.loads(await process.stdout.readline())
    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])
