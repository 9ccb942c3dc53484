"""`ateneo db upgrade`: the schema of this version, and the index of what was there before."""

from collections.abc import Callable
from contextlib import suppress

from ateneo.db import migrate, statistics
from ateneo.db.migrate import Step
from ateneo.db.pool import Database
from ateneo.embedding.generation import settle_model
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import MaintenanceRunning
from ateneo.indexing import maintenance


async def upgrade_database(
    db: Database,
    embedding: EmbeddingService,
    on_page: Callable[[int, int], None],
    on_rebuilt: Callable[[int, int], None] | None = None,
    *,
    allow_downgrade: bool = False,
) -> list[Step]:
    """Brings the database to this version and indexes what was there before; returns the steps done.

    `on_page` is told (words, vectors) of every page indexed; `on_rebuilt` (chunks done, in all) where words have to be
    made anew, since this version analyses them in another way. No provider is called: a model whose dimensions nobody
    knows gets its generation with the first embedding.
    """
    steps = await migrate.upgrade(db, allow_downgrade=allow_downgrade)
    await settle_model(db, embedding)
    await migrate.reconcile(db, on_page=on_page)
    await statistics.refresh_moved(db)
    with suppress(MaintenanceRunning):  # then whoever is at it ends them
        await maintenance.finish_rebuilds(db, on_page=on_rebuilt)
    return steps
