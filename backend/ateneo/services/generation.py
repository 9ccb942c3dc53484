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


def is_of(stored: Generation, embedding: EmbeddingService) -> bool:
    """Whether the service's vectors are those of the generation."""
    same = (stored.provider, stored.model) == (embedding.provider, embedding.model)
    return same and embedding.dims in (None, stored.dims)


def mismatch(stored: Generation, embedding: EmbeddingService) -> GenerationMismatch:
    asked = f"{embedding.provider}/{embedding.model} ({embedding.dims or '?'})"
    return GenerationMismatch(stored=stored.label, asked=asked)


def refuse_other_model(stored: Generation, embedding: EmbeddingService) -> None:
    """Raises GenerationMismatch where the stored vectors are not of the embedding service's model."""
    if not is_of(stored, embedding):
        raise mismatch(stored, embedding)
