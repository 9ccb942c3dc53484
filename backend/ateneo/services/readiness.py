"""Whether a database can be served from: reachable, upgraded, and with vectors of our own model."""

from ateneo.errors import NotUpgraded
from ateneo.services.embedding import EmbeddingService
from ateneo.services.generation import refuse_other_model
from ateneo.store import generations, migrate
from ateneo.store.pool import Database
from ateneo.types import Generation


async def check_ready(db: Database, embedding: EmbeddingService) -> Generation | None:
    """The active generation, None while there are no vectors yet. No provider is called.

    Raises DatabaseUnavailable, PgvectorMissing, AdoptionRefused, NotUpgraded, GenerationMismatch.
    """
    if await migrate.plan(db):
        raise NotUpgraded(where=db.where)
    active = await generations.active(db)
    if active is not None:
        refuse_other_model(active, embedding)
    return active
