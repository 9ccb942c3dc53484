"""How many rows a second does the backfill write, beside the guide's script, when embedding takes no time?

The guide's script is given its own world: a plain table without our triggers and indexes. Its statements, its batches
of 50 and its half second between them are transcribed; what it prints is left out.
"""

import asyncio
import statistics
import time

import asyncpg
from rich.table import Table

from ateneo.services.backfill import Backfill
from ateneo.services.embedding import EmbeddingService
from ateneo.store.pool import Database
from benchmarks import stage

ROUNDS = 3
GUIDE_ROWS, GUIDE_ROWS_UNSLEPT, OUR_ROWS = 300, 1000, 20_000
BATCH_SIZE = 50

_PLAIN = """
CREATE EXTENSION vector;
CREATE TABLE knowledge_chunks (
  id text PRIMARY KEY DEFAULT gen_random_uuid()::text, document_id text, empresa_id text, chunk_index int,
  contenido text, tokens_count int, embedding vector(384));
"""


def main() -> None:
    with stage.server() as url:
        rates = asyncio.run(_measure(url))
    guide, unslept, ours = (statistics.median(rates[name]) for name in ("guide", "unslept", "ours"))
    table = Table(title="Backfill with a zero-latency embedder, 384 dimensions, no ANN index")
    for heading in ("", "rows", "rows/s (median)", "rows/s (each round)", "x the guide", "target"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, title, rows, target in (
        ("guide", "the guide's script", GUIDE_ROWS, ""),
        ("unslept", "the same without its sleep", GUIDE_ROWS_UNSLEPT, ""),
        ("ours", "ateneo backfill", OUR_ROWS, ">= 100"),
    ):
        rate = statistics.median(rates[name])
        each = " ".join(f"{value:,.0f}" for value in rates[name])
        table.add_row(title, f"{rows:,}", f"{rate:,.0f}", each, f"{rate / guide:,.1f}", target)
    stage.console.print(table)
    stage.console.print(f"ateneo backfill / guide without sleep: {ours / unslept:.1f}x (target >= 20)\n")


async def _measure(url: str) -> dict[str, list[float]]:
    plain, upgraded = await stage.new_database(url, "plain", upgraded=False), await stage.new_database(url, "ours")
    connection = await asyncpg.connect(plain)
    await connection.execute(_PLAIN)
    rates: dict[str, list[float]] = {"guide": [], "unslept": [], "ours": []}
    async with stage.service() as embedder, await Database.open(upgraded) as db:
        for _ in range(ROUNDS):
            for name, rows, pause in (("guide", GUIDE_ROWS, 0.5), ("unslept", GUIDE_ROWS_UNSLEPT, 0.0)):
                await connection.execute("TRUNCATE knowledge_chunks")
                await stage.fill(plain, rows)
                begun = time.perf_counter()
                await _guide(connection, embedder, pause)
                rates[name].append(rows / (time.perf_counter() - begun))
            async with db.acquire() as ours:
                await ours.execute("TRUNCATE knowledge_chunks")
            await stage.fill(upgraded, OUR_ROWS)
            begun = time.perf_counter()
            report = await Backfill(db, embedder).run()
            rates["ours"].append(OUR_ROWS / (time.perf_counter() - begun))
            assert report.processed == OUR_ROWS
    await connection.close()
    return rates


async def _guide(db: "asyncpg.Connection[asyncpg.Record]", embedder: EmbeddingService, pause: float) -> None:
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


if __name__ == "__main__":
    main()
