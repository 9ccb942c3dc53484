"""The way to the one door, `ateneo.search(...)`: one statement, the tenant set for that statement alone."""

import asyncpg

from ateneo.errors import GenerationMismatch
from ateneo.store.pool import Connection, Database
from ateneo.types import Hit, Matrix

# The tenant goes through the setting, as it must, and comes back as an argument, so that search() runs after it.
_SEARCH = """
SELECT s.* FROM (SELECT set_config('ateneo.empresa_id', $1, true) AS empresa OFFSET 0) t
CROSS JOIN LATERAL ateneo.search($2, $3::real[]::{schema}.vector, $4, $5, $6::smallint, t.empresa, $7) s
"""
_VECTOR_SCHEMA = (
    "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
    " WHERE e.extname = 'vector'"
)


async def vector_schema(db: Database) -> str:
    """The schema that pgvector lives in."""
    async with db.acquire() as connection:
        return await connection.fetchval(_VECTOR_SCHEMA) or "public"


async def search(
    db: Database,
    *,
    schema: str,
    empresa_id: str,
    query: str | None,
    vector: Matrix | None,
    generation: int | None,
    k: int,
    dense_weight: float,
    pool: int,
) -> list[Hit]:
    """Hits of one company, best first. `query` None leaves words out, `vector` (dims,) None leaves meaning out.

    Raises GenerationMismatch where `generation` is gone or has other dimensions.
    """
    arguments = (
        empresa_id,
        query,
        None if vector is None else vector.tolist(),
        k,
        dense_weight,
        generation,
        pool,
    )
    async with db.acquire() as connection:
        rows = await _fetch(connection, _SEARCH.format(schema=schema), arguments)
    return [Hit(**{**row, "headings": tuple(row["headings"])}) for row in rows]


async def _fetch(connection: Connection, sql: str, arguments: tuple[object, ...]) -> list[asyncpg.Record]:
    try:
        return await connection.fetch(sql, *arguments)
    except asyncpg.PostgresError as error:
        if error.sqlstate == "AT001":
            raise GenerationMismatch(stored="?", asked=error.args[0]) from error
        raise
