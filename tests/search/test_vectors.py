"""Vectors go in the same over a pool of our own (binary) and over a connection of the caller's (flat)."""

import asyncpg
import numpy as np
import pytest

from ateneo.db import chunks, generations
from ateneo.db.pool import Database
from ateneo.types import Pending


@pytest.mark.parametrize("own", [True, False])
async def test_both_ways_in_store_the_same(database: Database, database_url: str, own: bool) -> None:
    vectors = np.array([[1.5, -2.25, 1e-20], [0.1, 0.2, 0.3]], dtype=np.float32)
    await generations.create(database, "local", "m", 3)
    rows = [Pending("acme", f"c{n}", f"texto {n}", chunks.content_hash(f"texto {n}")) for n in range(2)]
    caller = await asyncpg.connect(database_url)
    await caller.executemany(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)",
        [(row.chunk_id, row.contenido) for row in rows],
    )
    db = database if own else Database.wrap(caller)
    assert db.binary_vectors == own
    assert await chunks.store_embeddings(db, 1, rows, vectors) == 2
    stored = await caller.fetch("SELECT embedding::real[] AS v FROM knowledge_chunks ORDER BY id")
    assert [[np.float32(x) for x in row["v"]] for row in stored] == vectors.tolist()
    assert isinstance(await caller.fetchval("SELECT embedding FROM knowledge_chunks LIMIT 1"), str)
    await caller.close()


async def test_our_pool_reads_vectors_as_arrays(database: Database) -> None:
    async with database.acquire() as connection:
        read = await connection.fetchval("SELECT '[1,2.5]'::vector")
        assert read.tolist() == [1, 2.5]
        assert await connection.fetchval("SELECT $1::vector::text", "[3,4]") == "[3,4]"
