"""What is derived from chunks goes with them: after TRUNCATE, after a DELETE, and after what no trigger saw."""

import numpy as np
import pytest

from ateneo.db import documents, generations, health, migrate, statistics
from ateneo.db.documents import NewDocument
from ateneo.db.pool import Database
from ateneo.indexing import maintenance
from ateneo.types import Chunk

_KEPT = {"ateneo.document"}
"""Who a document is, its title and metadata are not derived from its chunks."""
_DERIVED = """
SELECT c.oid::regclass::text AS name FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'empresa_id'
WHERE c.relnamespace = 'ateneo'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""


async def fill(database: Database) -> None:
    """Two companies with whatever the system derives of their chunks, some of them without a vector yet."""
    generation = await generations.create(database, "local", "m", 4)
    other = await generations.create(database, "local", "n", 4)
    assert other.number == 2
    for empresa in ("acme", "otra"):
        chunks = [Chunk(n, f"El pasaje número {n} dice algo de los feriados.", 9, 1, ("Título",)) for n in range(4)]
        vectors = np.eye(4, dtype=np.float32)
        new = NewDocument("a", "a", "text/plain", b"a", 1, metadata={"area": "rrhh"})
        await documents.save(database, empresa, new, chunks, vectors, generation.number)
        await statistics.refresh(database, empresa)
        assert await maintenance.measure_recall(database, empresa, generation.number) is not None


async def left(database: Database) -> set[str]:
    """Tables of Ateneo's with rows of some company."""
    async with database.acquire() as connection:
        names = [row["name"] for row in await connection.fetch(_DERIVED)]
        return {name for name in names if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})")}


@pytest.mark.parametrize("triggers", ["origin", "replica"])
@pytest.mark.parametrize("statement", ["TRUNCATE knowledge_chunks", "DELETE FROM knowledge_chunks"])
async def test_nothing_stays_behind(database: Database, statement: str, triggers: str) -> None:
    await fill(database)
    filled = await left(database)
    assert filled > {"ateneo.chunk_lex", "ateneo.chunk_meta", "ateneo.embedding_queue", "ateneo.tenant_stats",
                     "ateneo.term_stats", "ateneo.vec_g1", "ateneo.vocabulary", "ateneo.vocabulary_key"}  # fmt: skip
    async with database.transaction() as connection:
        await connection.execute(f"SET LOCAL session_replication_role = {triggers}")
        await connection.execute(statement)
    if triggers == "replica":
        assert (await health.index_faults(database)).orphans == 8
    if triggers == "replica" or statement.startswith("DELETE"):
        await migrate.reconcile(database)
    assert await left(database) == _KEPT
    faults = await health.index_faults(database)
    assert (faults.orphans, faults.emptied) == (0, 2)


async def test_maintenance_forgets_the_words_of_a_company_that_has_no_chunk_left(database: Database) -> None:
    await fill(database)
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM knowledge_chunks WHERE empresa_id = 'acme'")
        assert await statistics.stale(database) == ["acme"]
        done = [tuned.target async for tuned in maintenance.tune(database) if tuned.action == "statistics"]
        assert done == ["acme"]
        words = await connection.fetch("SELECT DISTINCT empresa_id FROM ateneo.vocabulary")
        assert [row["empresa_id"] for row in words] == ["otra"]
    assert await statistics.stale(database) == []
