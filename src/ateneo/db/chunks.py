"""The chunks table, `public.knowledge_chunks`: which chunks wait for an embedding, and how embeddings are written."""

import hashlib
from collections.abc import AsyncIterator, Sequence

import asyncpg
import numpy as np

from ateneo.db.pool import Connection, Database, packed_vectors
from ateneo.errors import GenerationMismatch
from ateneo.types import Matrix, Pending

SHORTEST = 10
"""Chunks of this many characters or fewer get no embedding: the guide's rule."""

# $1: one company, or NULL for all
_MINE = "($1::text IS NULL OR empresa_id = $1)"
_PENDING = f"{_MINE} AND embedding IS NULL AND contenido IS NOT NULL AND length(contenido) > {SHORTEST}"


async def count_pending(db: Database, empresa_id: str | None) -> int:
    """Chunks that wait for an embedding."""
    async with db.acquire() as connection:
        return int(
            await connection.fetchval(
                f"SELECT count(*) FROM public.knowledge_chunks WHERE {_PENDING}",  # noqa: S608
                empresa_id,
            )
        )


async def count_skipped(db: Database, empresa_id: str | None) -> int:
    """Chunks without an embedding that are too short (or empty) to get one."""
    async with db.acquire() as connection:
        return int(
            await connection.fetchval(
                f"SELECT count(*) FROM public.knowledge_chunks WHERE {_MINE} AND embedding IS NULL"  # noqa: S608
                f" AND (contenido IS NULL OR length(contenido) <= {SHORTEST})",
                empresa_id,
            )
        )


async def pending_page(db: Database, empresa_id: str | None, after: tuple[str, str] | None, size: int) -> list[Pending]:
    """The next `size` waiting chunks after the key `(chunk_id, empresa_id)`, in the order of that key."""
    chunk_id, owner = after or (None, None)
    async with db.transaction() as connection:
        # How many chunks wait is badly estimated: left to itself the planner may sort all that is left for every page.
        await connection.execute("SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan")
        rows = await connection.fetch(
            "SELECT empresa_id, id, contenido FROM public.knowledge_chunks"  # noqa: S608
            f" WHERE {_PENDING} AND ($2::text IS NULL OR (id >= $2 AND (id, empresa_id) > ($2, $3::text)))"
            " ORDER BY id, empresa_id LIMIT $4",
            empresa_id,
            chunk_id,
            owner,
            size,
        )
    return [Pending(row["empresa_id"], row["id"], row["contenido"], content_hash(row["contenido"])) for row in rows]


async def texts_to_embed(
    db: Database, generation: int | None, empresa_id: str | None, limit: int | None, size: int
) -> AsyncIterator[list[str]]:
    """The texts that a provider would be sent for the first `limit` waiting chunks, in pages: each text once a company,
    and none that the company has a vector of `generation` of already."""
    known = (
        "false"
        if generation is None
        else "EXISTS (SELECT FROM ateneo.chunk_lex c"
        f" JOIN ateneo.vec_g{int(generation)} v ON v.empresa_id = c.empresa_id AND v.chunk_id = c.chunk_id"
        " WHERE c.empresa_id = p.empresa_id AND c.content_hash = p.hash)"
    )
    async with db.transaction() as connection:
        # asyncpg's own cursor has a named statement, which outlives the transaction
        await connection.execute(
            "DECLARE texts CURSOR FOR SELECT DISTINCT ON (p.empresa_id, p.hash) p.contenido FROM ("  # noqa: S608
            " SELECT empresa_id, contenido, sha256(convert_to(contenido, 'UTF8')) AS hash FROM public.knowledge_chunks"
            f" WHERE {_PENDING} ORDER BY id, empresa_id LIMIT $2) p WHERE NOT {known} ORDER BY p.empresa_id, p.hash",
            empresa_id,
            limit,
        )
        while rows := await connection.fetch(f"FETCH {size} FROM texts"):
            yield [row["contenido"] for row in rows]


async def known_vectors(db: Database, empresa_id: str, generation: int, hashes: Sequence[bytes]) -> dict[bytes, Matrix]:
    """Of these texts, by their `content_hash`: the vectors (dims,) that the company has of them already."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT hash, embedding FROM ateneo.known_vectors($1::smallint, $2::bytea[])", generation, list(hashes)
        )
    return {row["hash"]: np.array(row["embedding"], dtype=np.float32) for row in rows}


def content_hash(contenido: str) -> bytes:
    """sha256 of the text as UTF-8; SQL's `sha256(convert_to(contenido, 'UTF8'))` is the same."""
    return hashlib.sha256(contenido.encode("utf-8")).digest()


async def store_embeddings(db: Database, generation: int, chunks: Sequence[Pending], vectors: Matrix) -> int:
    """Writes the vectors (n, dims) of `chunks` in one statement: the guide's column and the index.

    A vector is kept only where the text is still the one that was embedded. Returns how many were. Raises
    GenerationMismatch where the generation is gone or has other dimensions.
    """
    async with db.transaction() as connection:
        return await write_vectors(connection, generation, chunks, vectors, binary=db.binary_vectors)


async def write_vectors(
    connection: Connection, generation: int, chunks: Sequence[Pending], vectors: Matrix, *, binary: bool
) -> int:
    """`store_embeddings` inside the caller's transaction; `binary` as in `Database.binary_vectors`."""
    sent, arguments = _sent(vectors, 5, binary=binary)
    return await _kept(
        connection,
        f"SELECT ateneo.store_embeddings($1, $2::text[], $3::text[], $4::bytea[], {sent})",
        generation,
        [chunk.empresa_id for chunk in chunks],
        [chunk.chunk_id for chunk in chunks],
        [chunk.content_hash for chunk in chunks],
        *arguments,
    )


async def write_own_vectors(
    connection: Connection, generation: int, chunks: Sequence[Pending], vectors: Matrix, *, binary: bool
) -> int:
    """The same for the company of the connection's transaction (`Database.tenant`), whose chunks they all are."""
    sent, arguments = _sent(vectors, 4, binary=binary)
    return await _kept(
        connection,
        f"SELECT ateneo.store_own_embeddings($1, $2::text[], $3::bytea[], {sent})",
        generation,
        [chunk.chunk_id for chunk in chunks],
        [chunk.content_hash for chunk in chunks],
        *arguments,
    )


def _sent(vectors: Matrix, first: int, *, binary: bool) -> tuple[str, tuple[object, ...]]:
    """Vectors as a piece of SQL whose first parameter is number `first`, and its arguments."""
    if binary:
        return f"${first}", (packed_vectors(vectors),)
    return f"ateneo.cut_vectors(${first}::real[], ${first + 1})", (vectors.ravel().tolist(), vectors.shape[1])


async def _kept(connection: Connection, sql: str, *arguments: object) -> int:
    try:
        kept = await connection.fetchval(sql, *arguments)
    except asyncpg.PostgresError as error:
        if error.sqlstate == "AT001":
            raise GenerationMismatch(stored="?", asked=error.args[0]) from error
        raise
    return int(kept)


async def any_embedding(db: Database) -> bool:
    """Whether the guide's column holds any vector, of whichever company."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval("SELECT ateneo.any_embedding()"))


async def knows(db: Database, empresa_id: str) -> bool:
    """Whether the company has any chunk or document."""
    async with db.tenant(empresa_id) as connection:
        return bool(await connection.fetchval("SELECT ateneo.own_content_exists($1)", empresa_id))
