"""Which hnsw.ef_search does a company of n chunks need? recall@10 and p50 of the dense leg (LIMIT 100) against the
exact scan, by size and ef_search, on clustered made-up vectors; half of the questions lie between a chunk and a
stranger, far from both. `python -m benchmarks.recall [SIZE ...]`; 100,000 take
minutes. `python -m benchmarks.recall vectors.npy queries.npy` takes real ones: two float arrays (n, 384), unit rows.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import asyncpg
import numpy as np
from rich.table import Table

from ateneo.types import Matrix
from benchmarks import stage

SIZES = (5_000, 20_000, 100_000)
EF = (40, 100, 200, 400, 700)
K, POOL, QUERIES = 10, 100, 200
_STRANGE = 0.8

_TABLE = """
CREATE TABLE v (empresa_id text NOT NULL, chunk_id text NOT NULL, embedding halfvec(384) NOT NULL,
  PRIMARY KEY (empresa_id, chunk_id));
ALTER TABLE v ALTER embedding SET STORAGE PLAIN;
CREATE UNLOGGED TABLE loading (chunk_id text, v real[]);
"""
_KNN = "SELECT chunk_id FROM v WHERE empresa_id = 'a' ORDER BY embedding <=> $1::real[]::halfvec LIMIT $2"


def main() -> None:
    files = [Path(name) for name in sys.argv[1:] if name.endswith(".npy")]
    sizes = [int(name) for name in sys.argv[1:] if name.isdigit()] or SIZES
    vectors, queries = (
        (np.load(file).astype(np.float32) for file in files) if files else clustered(max(sizes) + QUERIES)
    )
    table = Table("chunks", *(f"ef {ef}" for ef in EF), title="recall@10 (p50, ms) of the dense leg, 384 dimensions")
    with stage.server() as url:
        for size in sizes:
            cells = asyncio.run(_measure(url, vectors[:size], queries[:QUERIES]))
            table.add_row(f"{size:,}", *(f"{recall:.4f} ({ms:.1f})" for recall, ms in cells))
    stage.console.print(table)


def clustered(count: int) -> tuple[Matrix, Matrix]:
    """Vectors of few effective dimensions in clusters of uneven size, as texts have; the last QUERIES apart."""
    random = np.random.default_rng(5)
    centres = random.standard_normal((300, 24), dtype=np.float32)
    weights = 1 / np.arange(1, 301)
    latent = centres[random.choice(300, count, p=weights / weights.sum())]
    latent = latent + 0.5 * random.standard_normal(latent.shape, dtype=np.float32)
    vectors = latent @ random.standard_normal((24, 384), dtype=np.float32)
    vectors += 0.5 * random.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[:-QUERIES], vectors[-QUERIES:]


async def _measure(server: str, vectors: Matrix, queries: Matrix) -> list[tuple[float, float]]:
    url = await stage.new_database(server, f"recall{len(vectors)}", upgraded=False)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE EXTENSION vector")
    await connection.execute(_TABLE)
    for first in range(0, len(vectors), 5000):
        rows = [(str(first + number), v.tolist()) for number, v in enumerate(vectors[first : first + 5000])]
        await connection.copy_records_to_table("loading", records=rows)
    await connection.execute("INSERT INTO v SELECT 'a', chunk_id, v::halfvec FROM loading ORDER BY chunk_id")
    await connection.execute(f"SET maintenance_work_mem = '{len(vectors) * 1700 // 1024 + 16_000}kB'")
    await connection.execute(
        "CREATE INDEX ON v USING hnsw (embedding halfvec_cosine_ops)"
        " WITH (ef_construction = 200) WHERE empresa_id = 'a'"
    )
    await connection.execute("VACUUM ANALYZE v")
    await connection.execute("SET random_page_cost = 1.1; SET hnsw.iterative_scan = 'strict_order'")
    half = len(queries) // 2
    queries = np.concatenate([queries[:half], queries[half:] + _STRANGE * vectors[: len(queries) - half]])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    cosines = queries @ vectors.astype(np.float16).astype(np.float32).T
    cells = []
    for ef in EF:
        await connection.execute(f"SET hnsw.ef_search = {ef}")
        cells.append(await _recall(connection, queries, cosines))
    await connection.close()
    return cells


async def _recall(
    connection: "asyncpg.Connection[asyncpg.Record]", queries: Matrix, cosines: Matrix
) -> tuple[float, float]:
    hits, times = 0, []
    for query, cosine in zip(queries, cosines, strict=True):
        begun = time.perf_counter()
        rows = await connection.fetch(_KNN, query.tolist(), POOL)
        times.append((time.perf_counter() - begun) * 1000)
        tenth = np.partition(cosine, -K)[-K]
        # what halfvec rounds away must not count as a miss
        hits += sum(cosine[int(row["chunk_id"])] >= tenth - 2e-4 for row in rows[:K])
    return hits / K / len(queries), statistics.median(times)


if __name__ == "__main__":
    main()
