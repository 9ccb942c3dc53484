"""What the nearest-neighbours search of a company finds of what an exact scan finds."""

import numpy as np

from ateneo.db.pool import Database
from ateneo.types import Matrix


async def sample_vectors(db: Database, generation: int, empresa_id: str, sample: int) -> Matrix:
    """Vectors of the company's chunks, drawn at random: (up to `sample`, dims), empty where it has none."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT v FROM ateneo.sample_vectors($1::smallint, $2, $3) v", generation, empresa_id, sample
        )
    return np.array([row["v"] for row in rows], dtype=np.float32)


async def measure(
    db: Database, generation: int, empresa_id: str, queries: Matrix, k: int, *, ef_search: int | None = None
) -> float:
    """Share of the exact k nearest that search finds, over `queries` (n, dims), n >= 1, with `ef_search` or the
    company's own. Kept for `index status`."""
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.recall_of($1::smallint, $2, $3, $4, ef => $5)",
            generation,
            empresa_id,
            queries.ravel().tolist(),
            k,
            ef_search,
        )
        assert row is not None
        recall = row["hits"] / max(row["expected"], 1)
        await connection.execute(
            "INSERT INTO ateneo.recall_measured (generation, empresa_id, recall, k, queries)"
            " VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (generation, empresa_id) DO UPDATE SET recall = excluded.recall, k = excluded.k,"
            " queries = excluded.queries, measured_at = now()",
            generation,
            empresa_id,
            recall,
            k,
            len(queries),
        )
    return float(recall)


async def keep_ef_search(db: Database, generation: int, empresa_id: str, ef_search: int) -> None:
    """What searches of this company take from now on, until its graph is built anew."""
    async with db.transaction() as connection:
        await connection.execute(
            "SELECT ateneo.keep_ef_search($1::smallint, $2, $3)", generation, empresa_id, ef_search
        )
