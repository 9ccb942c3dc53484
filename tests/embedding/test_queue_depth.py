"""What a claim reads does not depend on how much waits: not for a worker whose plans were made on an empty queue, and
not where a text that is known waits, too."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from ateneo.db import chunks, generations, queue
from ateneo.db.pool import Connection, Database
from ateneo.types import Pending

GENERATION = 1
SIZE = 20
SHALLOW, DEEP = 300, 6000


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[Connection]:
    """A connection that has claimed from an empty queue, and keeps its plans."""
    await generations.create(database, "local", "a", 4)
    async with database.acquire() as connection:
        await pages_of_a_claim(connection)
        yield connection


async def add(database: Database, first: int, last: int) -> None:
    """Waiting chunks, past the triggers: their words are not what is looked at here."""
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
            " SELECT md5(n::text), 'acme', 'el pasaje que espera, número ' || n"
            " FROM generate_series($1::int, $2::int) n",
            first,
            last,
        )
    assert await queue.fill(database, GENERATION) == last - first + 1


async def pages_of_a_claim(connection: Connection) -> int:
    transaction = connection.transaction()
    await transaction.start()
    plan = await connection.fetchval(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
        f" SELECT * FROM ateneo.claim({GENERATION}::smallint, 'w', {SIZE}, '1 minute', NULL, NULL, false)"
    )
    await transaction.rollback()
    found: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return int(found["Shared Hit Blocks"]) + int(found["Shared Read Blocks"])


async def test_a_long_queue_costs_a_claim_no_more_than_a_short_one(database: Database, worker: Connection) -> None:
    read = []
    for first, last in ((1, SHALLOW), (SHALLOW + 1, DEEP)):
        await add(database, first, last)
        read.append(min([await pages_of_a_claim(worker) for _ in range(3)]))
    shallow, deep = read
    assert deep < 1.5 * shallow


async def test_copies_of_a_known_text_are_found_by_its_hash(database: Database, worker: Connection) -> None:
    read = []
    for first, last in ((1, SHALLOW), (SHALLOW + 1, DEEP)):
        await add(database, first, last)
        text = f"el pasaje que espera, número {first + 3}"
        known = Pending("acme", f"known-{first}", text, chunks.content_hash(text))
        await worker.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)", known.chunk_id, text
        )
        unit = np.array([[1, 0, 0, 0]], dtype=np.float32)
        assert await chunks.store_embeddings(database, GENERATION, [known], unit) == 1
        await worker.execute(
            "UPDATE ateneo.embedding_queue SET queued_at = '2020-01-01' WHERE content_hash = $1", known.content_hash
        )
        read.append(min([await pages_of_a_claim(worker) for _ in range(3)]))
        assert (await queue.claim(database, GENERATION, "w", 1, 0)).copied == 1
    shallow, deep = read
    assert deep < 1.5 * shallow
