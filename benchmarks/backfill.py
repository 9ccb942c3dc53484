"""How many rows a second does the backfill write, beside the guide's script, when embedding takes no time?

The guide's statements, its batches of 50 and its half second between them are transcribed; what it prints is left
out. It runs twice over: on the upgraded database, as its users would now, where our trigger also carries every vector
to the search index, as the backfill does; and on a plain table, where it does less work than the backfill.
"""

import asyncio
import statistics
import time

import asyncpg
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from benchmarks import stage

ROUNDS = 3
ROWS = {
    "guide's script": 300,
    "guide's script, no sleep": 1000,
    "guide's script, plain table": 300,
    "guide's script, plain table, no sleep": 1000,
    "ateneo backfill": 20_000,
}
BATCH_SIZE = 50

_PLAIN = """
CREATE EXTENSION vector;
CREATE TABLE knowledge_chunks (
  id text PRIMARY KEY DEFAULT gen_random_uuid()::text, document_id text, empresa_id text, chunk_index int,
  contenido text, tokens_count int, embedding vector(384));
"""
_ALL_DONE = """
DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM knowledge_chunks WHERE embedding IS NULL); END $$
"""


def main() -> None:
    with stage.server() as url:
        rates = asyncio.run(_measure(url))
    table = Table(title="Backfill, zero-latency embedder, 384 dimensions, no ANN index: rows/s, median of 3")
    for heading in ("", "rows", "rows/s", "each round", "backfill is"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    ours = statistics.median(rates["ateneo backfill"])
    for name, each in rates.items():
        rate = statistics.median(each)
        rounds = " ".join(f"{value:,.0f}" for value in each)
        table.add_row(name, f"{ROWS[name]:,}", f"{rate:,.0f}", rounds, f"{ours / rate:,.1f}x")
    stage.console.print(table)
    stage.console.print("Aims: 100x the guide, 20x the guide without its sleep.\n")


async def _measure(url: str) -> dict[str, list[float]]:
    plain, upgraded = await stage.new_database(url, "plain", upgraded=False), await stage.new_database(url, "ours")
    await _execute(plain, _PLAIN)
    rates: dict[str, list[float]] = {name: [] for name in ROWS}
    async with stage.service() as embedder, await Database.open(upgraded) as db:
        await own_generation(db, embedder)
        for _ in range(ROUNDS):
            for name, rows in ROWS.items():
                database = plain if "plain" in name else upgraded
                await _execute(database, "TRUNCATE knowledge_chunks")
                await stage.fill(database, rows)
                begun = time.perf_counter()
                if name == "ateneo backfill":
                    await Backfill(db, embedder).run()
                else:
                    await _guide(database, embedder, 0.0 if "no sleep" in name else 0.5)
                rates[name].append(rows / (time.perf_counter() - begun))
                await _execute(database, _ALL_DONE)
    return rates


async def _execute(database: str, sql: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(sql)
    await connection.close()


async def _guide(database: str, embedder: EmbeddingService, pause: float) -> None:
    db = await asyncpg.connect(database)
    chunks = await db.fetch(
        """
        SELECT id, contenido, empresa_id
        FROM knowledge_chunks
        WHERE embedding IS NULL
        AND contenido IS NOT NULL
        AND LENGTH(contenido) > 10
     ORDER BY id"""
    )
    for i in range(0, len(chunks), BATCH_SIZE):
        batch = chunks[i : i + BATCH_SIZE]
        results = await embedder.generate_batch_embeddings([chunk["contenido"] for chunk in batch])
        for chunk, result in zip(batch, results, strict=True):
            embedding_str = "[" + ",".join(map(str, result.embedding)) + "]"
            await db.execute(
                """
            UPDATE knowledge_chunks
            SET embedding = $1::vector
            WHERE id = $2
        """,
                embedding_str,
                chunk["id"],
            )
        if i + BATCH_SIZE < len(chunks) and pause:
            await asyncio.sleep(pause)
    await db.close()


if __name__ == "__main__":
    main()
