"""Which model the vectors in a database belong to, and whether it is ours."""

from contextlib import suppress

from ateneo.db import generations, migrate
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ForeignVectors, GenerationMismatch
from ateneo.types import Generation


async def own_generation(db: Database, embedding: EmbeddingService) -> Generation:
    """The active generation, made where there is none yet or nothing in it. Raises GenerationMismatch where it is
    another model's, ForeignVectors where other programs left vectors of another length in the guide's column.

    A model whose dimensions nobody knows is asked for them with one short text. Vectors of the right length that
    other programs left in the guide's column are taken over by a new generation.
    """
    active = await generations.active(db)
    if active is not None and not await gives_way(db, active, embedding):
        refuse_other_model(active, embedding)
        return active
    if embedding.dims is None:
        await embedding.generate_embedding("dimensiones")
    assert embedding.dims is not None
    await refuse_foreign_vectors(db, embedding)
    if db.guarded:
        begun = await generations.begin(db, embedding.provider, embedding.model, embedding.dims)
        return begun or await own_generation(db, embedding)
    if active is not None:
        await generations.retire_empty(db, active.number)
    made = await generations.create(db, embedding.provider, embedding.model, embedding.dims)
    await migrate.reconcile(db)
    return made


async def settle_model(db: Database, embedding: EmbeddingService) -> None:
    """At an upgrade, by the owner: the first generation, where it can be told without asking a provider. One without
    vectors ends where the settings name another model, or where the guide's column holds another's."""
    active = await generations.active(db)
    if active is not None and await generations.is_open(db):
        found = await generations.column_dims(db)
        if found not in (None, active.dims) and await generations.retire_empty(db, active.number):
            active = None
    if embedding.dims is not None and (active is None or await gives_way(db, active, embedding)):
        with suppress(ForeignVectors):  # `model_in_use` reports it
            await own_generation(db, embedding)


async def gives_way(db: Database, active: Generation, embedding: EmbeddingService) -> bool:
    """Whether the service's model takes the place of the active one: another, whose generation is the only one and
    empty."""
    return not is_of(active, embedding) and await generations.is_open(db)


async def refuse_foreign_vectors(db: Database, embedding: EmbeddingService) -> None:
    """Raises ForeignVectors where the guide's column holds vectors that are not as long as the service's. To be asked
    where there is no generation that these could be of."""
    found = await generations.column_dims(db)
    if found is not None and found != embedding.dims:
        raise ForeignVectors(stored=found, asked=label(embedding))


def is_of(stored: Generation, embedding: EmbeddingService) -> bool:
    """Whether the service's vectors are those of the generation."""
    same = (stored.provider, stored.model) == (embedding.provider, embedding.model)
    return same and embedding.dims in (None, stored.dims)


def label(embedding: EmbeddingService) -> str:
    """The service's model as a generation of it is called."""
    return f"{embedding.provider}/{embedding.model} ({embedding.dims or '?'})"


def mismatch(stored: Generation, embedding: EmbeddingService) -> GenerationMismatch:
    return GenerationMismatch(stored=stored.label, asked=label(embedding))


def refuse_other_model(stored: Generation, embedding: EmbeddingService) -> None:
    """Raises GenerationMismatch where the stored vectors are not of the embedding service's model."""
    if not is_of(stored, embedding):
        raise mismatch(stored, embedding)
