"""Whether a database can be served from: reachable, upgraded, and with vectors of our own model."""

from ateneo.db import generations, versions
from ateneo.db.pool import Database
from ateneo.embedding.current_model import Model, Models
from ateneo.embedding.generation import gives_way, mismatch


async def check_ready(db: Database, models: Models) -> Model | None:
    """The generation that can be searched with the models at hand: the active one, or else one that was and is kept.
    None while there are no vectors yet. No provider is called.

    Raises DatabaseUnavailable, NotUpgraded, SchemaNewer, GenerationMismatch.
    """
    await versions.check(db)
    kept = await generations.searchable(db)
    found = (Model(one, service) for one in kept if (service := models.of(one)) is not None)
    model = next(found, None)
    if model is None and kept and not await gives_way(db, kept[0], models.main):
        raise mismatch(kept[0], models.main)
    return model
