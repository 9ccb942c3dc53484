"""Which model the vectors in a database belong to, and whether it is ours."""

from ateneo.errors import GenerationMismatch
from ateneo.services.embedding import EmbeddingService
from ateneo.store import generations, migrate
from ateneo.store.pool import Database
from ateneo.types import Generation


async def own_generation(db: Database, embedding: EmbeddingService) -> Generation:
    """The active generation, made where there is none yet. Raises GenerationMismatch where it is another model's.

    A model whose dimensions nobody knows is asked for them with one short text. Vectors of the right size that
    other programs left in the guide's column are taken over by a new generation.
    """
    active = await generations.active(db)
    if active is not None:
        refuse_other_model(active, embedding)
        return active
    if embedding.dims is None:
        await embedding.generate_embedding("dimensiones")
    assert embedding.dims is not None
    if db.guarded:
        begun = await generations.begin(db, embedding.provider, embedding.model, embedding.dims)
        return begun or await own_generation(db, embedding)
    made = await generations.create(db, embedding.provider, embedding.model, embedding.dims)
    await migrate.reconcile(db)
    return made


def refuse_other_model(stored: Generation, embedding: EmbeddingService) -> None:
    """Raises GenerationMismatch where the stored vectors are not of the embedding service's model."""
    same = (stored.provider, stored.model) == (embedding.provider, embedding.model)
    if not same or embedding.dims not in (None, stored.dims):
        raise GenerationMismatch(
            stored=f"{stored.provider}/{stored.model} ({stored.dims})",
            asked=f"{embedding.provider}/{embedding.model} ({embedding.dims or '?'})",
        )
