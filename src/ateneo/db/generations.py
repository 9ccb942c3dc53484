"""Generations: which embedding models' vectors this database holds (table `ateneo.generation`)."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import ConstraintViolated, GenerationMismatch, SwitchRefused
from ateneo.i18n import tr
from ateneo.types import Generation

_SELECT = "SELECT generation, provider, model, dims, legacy, active, state, asked_dims FROM ateneo.generation"


async def all_generations(db: Database) -> list[Generation]:
    """Every generation that is kept, oldest first."""
    async with db.acquire() as connection:
        rows = await connection.fetch(f"{_SELECT} WHERE state <> 'retired' ORDER BY generation")
    return [Generation(*row) for row in rows]


async def searchable(db: Database) -> list[Generation]:
    """What may be searched, best first: the active generation, then those that were, the last one first."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            f"{_SELECT} WHERE state IN ('active', 'previous') ORDER BY active DESC, activated_at DESC, generation DESC"
        )
    return [Generation(*row) for row in rows]


async def active(db: Database) -> Generation | None:
    """The generation that search uses; None in a database that has no vectors yet."""
    return next((g for g in await all_generations(db) if g.active), None)


async def create(db: Database, provider: str, model: str, dims: int, asked_dims: int | None = None) -> Generation:
    """Makes the generation (the first one becomes active and owns the guide's column, a later one begins to fill), or
    returns the one there is. Raises SwitchRefused where another one fills."""
    try:
        async with db.transaction() as connection:
            number = await connection.fetchval(
                "SELECT ateneo.create_generation($1, $2, $3, $4)", provider, model, dims, asked_dims
            )
    except ConstraintViolated as error:
        filling = next((one for one in await all_generations(db) if one.state == "filling"), None)
        if filling is None:
            raise
        raise another_fills(filling) from error
    return next(g for g in await all_generations(db) if g.number == number)


async def begin(db: Database, provider: str, model: str, dims: int) -> Generation | None:
    """The first generation, with the vectors that the guide's column holds already, in one transaction: what an
    application may do. None where there are others and none is of this model."""
    async with db.transaction() as connection:
        number = await connection.fetchval("SELECT ateneo.begin_generation($1, $2, $3)", provider, model, dims)
    return next((g for g in await all_generations(db) if g.number == number), None)


async def is_open(db: Database) -> bool:
    """Whether another model may still take over without a loss: no generation is kept, or one alone without vectors."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval("SELECT ateneo.model_is_open()"))


async def column_dims(db: Database) -> int | None:
    """How long the vectors in the guide's column are, of whichever company; None where it holds none."""
    async with db.acquire() as connection:
        dims: int | None = await connection.fetchval("SELECT ateneo.column_dims()")
    return dims


async def retire_empty(db: Database, number: int) -> bool:
    """Ends the active generation if it is the only one and holds no vector; returns whether it did."""
    async with db.transaction() as connection:
        return bool(await connection.fetchval("SELECT ateneo.retire_empty($1::smallint)", number))


async def activate(db: Database, number: int) -> None:
    """Makes it the one that is searched, in one transaction; the one before can be returned to.

    Raises GenerationMismatch where it is gone.
    """
    async with db.transaction() as connection:
        with telling_gone():
            await connection.execute("SELECT ateneo.activate_generation($1::smallint)", number)


async def forget(db: Database) -> int:
    """Discards every vector and generation; texts and words stay. Returns how many chunks are pending now."""
    async with db.transaction() as connection:
        await connection.execute(
            "UPDATE ateneo.generation SET state = 'retired', legacy = false, retired_at = now()"
            " WHERE state <> 'retired'"
        )
        await connection.execute("SELECT ateneo.drop_generation(g) FROM ateneo.undropped_generations() g")
        await connection.execute("UPDATE public.knowledge_chunks SET embedding = NULL WHERE embedding IS NOT NULL")
        return int(
            await connection.fetchval("SELECT count(*) FROM public.knowledge_chunks WHERE contenido IS NOT NULL")
        )


def another_fills(filling: Generation) -> SwitchRefused:
    """What is said where a switch to `filling` was begun and another one is asked for."""
    drop = f"ateneo embeddings prune --generation {filling.number}"
    return SwitchRefused(
        detail=tr(
            f"Ya hay un cambio en marcha a {filling.label}.", f"A switch to {filling.label} is under way already."
        ),
        remedy=tr(
            f"Seguilo con `ateneo embeddings switch`, o dejalo: `{drop}`.",
            f"Go on with `ateneo embeddings switch`, or drop it: `{drop}`.",
        ),
    )


@contextmanager
def telling_gone() -> Iterator[None]:
    """Turns AT001, with which our functions say that a generation is gone, into GenerationMismatch."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate == "AT001":
            raise GenerationMismatch(stored="?", asked=error.args[0]) from error
        raise
