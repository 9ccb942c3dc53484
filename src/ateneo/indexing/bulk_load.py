"""Large fills of companies that have an HNSW index: it is dropped before, and built anew behind. Their searches read
all vectors meanwhile, which is slower and never wrong. See docs/adr/0028-bulk.md.

What is dropped stays noted in the database: whoever is interrupted in between leaves it to the next fill, or to
`ateneo index tune`.
"""

from collections.abc import AsyncIterator

from ateneo.db import indexes
from ateneo.db.indexes import Outgrown
from ateneo.db.pool import Database
from ateneo.errors import DirectConnectionNeeded, MaintenanceRunning, RightsMissing
from ateneo.indexing import maintenance
from ateneo.indexing.maintenance import Tuned

REBUILD_FROM = 0.5
"""Chunks that wait, by vectors in the graph, from which dropping and building anew is the shorter way: the break-even
that `python -m benchmarks bulk` measures (docs/adr/0028-bulk.md)."""
_WAIT_S = 10.0


async def set_aside(
    db: Database,
    generation: int,
    *,
    share: float = REBUILD_FROM,
    empresa_id: str | None = None,
    limit: int | None = None,
) -> list[Outgrown]:
    """Drops the indexes that a fill of at most `limit` chunks had better do without, and returns them. None where a
    maintenance is at work, a pooler stands between or the login may not drop them: then the graphs are filled."""
    found = await indexes.outgrown(db, generation, share, empresa_id=empresa_id, limit=limit)
    if not found:
        return []
    try:
        async with indexes.alone(db) as own:
            for one in found:
                # kept waiting, it is out of use all the same, and cleaned up before its successor is built
                await indexes.carry_out(own, generation, one.task, wait_s=_WAIT_S, watcher=db)
    except (MaintenanceRunning, RightsMissing, DirectConnectionNeeded):
        return []
    return found


async def build_again(db: Database, generation: int, *, threshold: int) -> AsyncIterator[Tuned]:
    """Builds what was set aside, now or by a fill that was interrupted, of companies of at least `threshold` vectors.

    Raises MaintenanceRunning.
    """
    names = await left(db, generation)
    if names:
        async for tuned in maintenance.index_generation(db, generation, threshold=threshold, only=names):
            yield tuned


async def left(db: Database, generation: int) -> set[str]:
    """Names of the indexes that are to come back and have not yet."""
    return await indexes.set_aside(db, generation)
