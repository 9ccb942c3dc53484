"""Generations: which embedding model's vectors this database holds (table `ateneo.generation`)."""

from ateneo.store.pool import Database
from ateneo.types import Generation

_COLUMNS = "generation, provider, model, dims, legacy, active"


async def all_generations(db: Database) -> list[Generation]:
    async with db.acquire() as connection:
        rows = await connection.fetch(f"SELECT {_COLUMNS} FROM ateneo.generation ORDER BY generation")  # noqa: S608
    return [Generation(*row) for row in rows]


async def active(db: Database) -> Generation | None:
    """The generation that search uses; None in a database that has no vectors yet."""
    return next((g for g in await all_generations(db) if g.active), None)


async def create(db: Database, provider: str, model: str, dims: int) -> Generation:
    """Makes the generation (the first one becomes active and owns the guide's column), or returns the one there is."""
    async with db.transaction() as connection:
        number = await connection.fetchval("SELECT ateneo.create_generation($1, $2, $3)", provider, model, dims)
    return next(g for g in await all_generations(db) if g.number == number)


async def begin(db: Database, provider: str, model: str, dims: int) -> Generation | None:
    """The first generation, with the vectors that the guide's column holds already, in one transaction: what an
    application may do. None where there are others and none is of this model."""
    async with db.transaction() as connection:
        number = await connection.fetchval("SELECT ateneo.begin_generation($1, $2, $3)", provider, model, dims)
    return next((g for g in await all_generations(db) if g.number == number), None)


async def forget(db: Database) -> int:
    """Discards every vector and generation; texts and words stay. Returns how many chunks are pending now."""
    async with db.transaction() as connection:
        for row in await connection.fetch("SELECT generation FROM ateneo.generation"):
            await connection.execute(f"DROP TABLE ateneo.vec_g{int(row['generation'])}")
        await connection.execute("DELETE FROM ateneo.embedding_queue")
        await connection.execute("DELETE FROM ateneo.generation")
        await connection.execute("UPDATE public.knowledge_chunks SET embedding = NULL WHERE embedding IS NOT NULL")
        return int(
            await connection.fetchval("SELECT count(*) FROM public.knowledge_chunks WHERE contenido IS NOT NULL")
        )
