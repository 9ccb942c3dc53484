"""What does a search cost beyond the bare SQL? p50 of VectorSearchService.search, of `ateneo.search(...)` and of the
nearest neighbours alone, the last two on a raw asyncpg connection."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.search.service import VectorSearchService
from benchmarks import stage

SIZES = (100, 2_000, 20_000)
QUERIES, ROUNDS = 20, 5

_KNN = """
SELECT chunk_id, 1 - (embedding <=> $2::real[]::halfvec) AS score FROM ateneo.vec_g1
WHERE empresa_id = $1 ORDER BY (embedding <=> $2::real[]::halfvec) + 0 LIMIT 10
"""
_SEARCH = """
SELECT s.* FROM (SELECT set_config('ateneo.empresa_id', $1, true) AS empresa OFFSET 0) t
CROSS JOIN LATERAL ateneo.search($2, $3::real[]::vector, 10, 0.4, 1::smallint, t.empresa, 100) s
"""


def main() -> None:
    table = Table(title=f"Hybrid search, k = 10, 384 dimensions, query vector cached: p50 of {QUERIES * ROUNDS}, ms")
    for heading in (
        "chunks",
        "KNN alone",
        "ateneo.search SQL",
        "VectorSearchService",
        "service - SQL",
        "service / SQL",
    ):
        table.add_column(heading, justify="right")
    with stage.server() as url:
        for size, (knn, function, whole) in asyncio.run(_measure(url)).items():
            table.add_row(
                f"{size:,}",
                f"{knn:.2f}",
                f"{function:.2f}",
                f"{whole:.2f}",
                f"{whole - function:+.2f}",
                f"{whole / function:.2f}",
            )
    stage.console.print(table)
    stage.console.print()


async def _measure(url: str) -> dict[int, list[float]]:
    database = await stage.new_database(url, "search")
    found: dict[int, list[float]] = {}
    async with stage.service() as embedding, await Database.open(database) as db:
        for size in SIZES:
            await stage.fill(database, size, f"e{size}", words=True)
        report = await Backfill(db, embedding).run()
        assert report.remaining == 0
        async with db.acquire() as connection:
            await connection.execute("VACUUM ANALYZE")
        search = VectorSearchService(db, embedding, dense_weight=0.4)
        raw = await asyncpg.connect(database)
        for size in SIZES:
            found[size] = await _p50s(raw, search, f"e{size}")
        await raw.close()
    return found


async def _p50s(raw: "asyncpg.Connection[asyncpg.Record]", search: VectorSearchService, empresa: str) -> list[float]:
    """Milliseconds of the three, in turn for each query; the first round warms up."""
    questions = [" ".join(text.split()[:6]) for text in stage.passages(QUERIES)]
    times: list[list[float]] = [[], [], []]
    for round_number in range(ROUNDS + 1):
        for question in questions:
            vector = (await search.embedding.embed_query(question)).tolist()
            asked: list[Callable[[], Awaitable[object]]] = [
                lambda v=vector: raw.fetch(_KNN, empresa, v),  # type: ignore[misc]
                lambda q=question, v=vector: raw.fetch(_SEARCH, empresa, q, v),  # type: ignore[misc]
                lambda q=question: search.search(empresa, q),  # type: ignore[misc]
            ]
            for kept, ask in zip(times, asked, strict=True):
                begun = time.perf_counter()
                await ask()
                if round_number:
                    kept.append((time.perf_counter() - begun) * 1000)
    return [statistics.median(kept) for kept in times]


if __name__ == "__main__":
    main()
