"""Many chunks of one text in a company (a page's footer, a form's boilerplate): each text is embedded once, and what a
claim reads grows with their number, not with its square."""

import json
from typing import Any

import numpy as np
import pytest

from ateneo.db import chunks, dead_letters, generations, queue
from ateneo.db.pool import Connection, Database
from ateneo.types import Matrix, Pending

GENERATION = 1
FOOTER = "Sin contenido disponible en este documento."
FEW, MANY = 300, 2400
SIZE = 3000
INSERT = "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)"


@pytest.fixture
async def connection(database: Database) -> Any:
    await generations.create(database, "local", "a", 4)
    async with database.acquire() as connection:
        yield connection


async def add_copies(connection: Connection, first: int, last: int) -> None:
    await connection.execute(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
        " SELECT md5(n::text), 'acme', $3 FROM generate_series($1::int, $2::int) n",
        first,
        last,
        FOOTER,
    )


def unit(n: int) -> Matrix:
    return np.tile(np.array([[1, 0, 0, 0]], dtype=np.float32), (n, 1))


async def pages_of_a_claim(connection: Connection, size: int = SIZE) -> int:
    transaction = connection.transaction()
    await transaction.start()
    plan = await connection.fetchval(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
        f" SELECT * FROM ateneo.claim({GENERATION}::smallint, 'w', {size}, '1 minute', NULL, NULL, false)"
    )
    await transaction.rollback()
    found: dict[str, Any] = json.loads(plan)[0]["Plan"]
    return int(found["Shared Hit Blocks"]) + int(found["Shared Read Blocks"])


async def test_a_claim_is_linear_in_copies_that_nobody_has(database: Database, connection: Connection) -> None:
    read = []
    for first, last in ((1, FEW), (FEW + 1, MANY)):
        await add_copies(connection, first, last)
        read.append(min([await pages_of_a_claim(connection) for _ in range(3)]))
    assert read[1] < 1.5 * MANY / FEW * read[0]


async def test_a_claim_is_linear_in_copies_of_a_text_in_hand_and_reaches_what_is_behind_them(
    database: Database, connection: Connection
) -> None:
    read = []
    for first, last in ((1, FEW), (FEW + 1, MANY)):
        await add_copies(connection, first, last)
        await connection.execute(
            "UPDATE ateneo.embedding_queue SET leased_by = CASE WHEN last THEN 'v' END,"
            " lease_until = CASE WHEN last THEN now() + interval '1 hour' END"
            " FROM (SELECT chunk_id AS id, ctid = max(ctid) OVER () AS last FROM ateneo.embedding_queue) q"
            " WHERE id = chunk_id"
        )
        read.append(min([await pages_of_a_claim(connection) for _ in range(3)]))
        assert await queue.claim(database, GENERATION, "v", 10, 60) == queue.Claimed([], 0)
    assert read[1] < 1.5 * MANY / FEW * read[0]
    await connection.execute(INSERT, "behind", "Otro texto, detrás de todos.")
    assert [chunk.chunk_id for chunk in (await queue.claim(database, GENERATION, "v", 10, 60)).chunks] == ["behind"]


async def test_a_claim_looks_texts_up_one_by_one_for_a_company_that_statistics_do_not_know(
    connection: Connection,
) -> None:
    """To begin with all of the company's chunks looks cheap then."""
    read = []
    for empresa, first, last in (("known", 1, 1000), ("new", 1, FEW), ("new", FEW + 1, MANY)):
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
            " SELECT md5($1 || n), $1, CASE $1 WHEN 'known' THEN $4 ELSE 'el pasaje que espera, número ' || n END"
            " FROM generate_series($2::int, $3::int) n",
            empresa,
            first,
            last,
            FOOTER,
        )
        if empresa == "known":
            await connection.execute("ANALYZE knowledge_chunks, ateneo.chunk_lex")
            await connection.execute("DELETE FROM ateneo.embedding_queue")
        else:
            read.append(min([await pages_of_a_claim(connection, 20) for _ in range(3)]))
    assert read[1] < 1.5 * read[0]


async def test_copies_get_the_vector_a_part_a_claim(database: Database, connection: Connection) -> None:
    await add_copies(connection, 1, MANY)
    held = (await queue.claim(database, GENERATION, "w", 50, 60)).chunks
    assert len(held) == 1
    assert await chunks.store_embeddings(database, GENERATION, held, unit(1)) == 1
    copied = []
    while (claimed := await queue.claim(database, GENERATION, "w", 50, 60)).copied:
        assert claimed.chunks == []
        copied.append(claimed.copied)
    assert copied == [2001, MANY - 2002]
    assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == MANY
    assert await connection.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 0


async def test_a_refused_text_is_buried_with_its_copies(database: Database, connection: Connection) -> None:
    await add_copies(connection, 1, 20)
    await connection.execute(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ('o', 'otra', $1)", FOOTER
    )
    await connection.execute(INSERT, "a", "Otro texto, también largo.")
    held = (await queue.claim(database, GENERATION, "w", 50, 60)).chunks
    [footer] = [chunk for chunk in held if chunk.empresa_id == "acme" and chunk.contenido == FOOTER]
    [other] = [chunk for chunk in held if chunk.chunk_id == "a"]
    assert await queue.mark_dead(database, GENERATION, "w", [other], "ilegible") == [("acme", "a")]
    assert len(await queue.mark_dead(database, GENERATION, "w", [footer], "rechazado")) == 20
    states = await connection.fetch(
        "SELECT empresa_id, state, error, count(*) AS n FROM ateneo.embedding_queue GROUP BY 1, 2, 3 ORDER BY 1, 3"
    )
    assert [tuple(row) for row in states] == [
        ("acme", "dead", "ilegible", 1),
        ("acme", "dead", "rechazado", 20),
        ("otra", "pending", None, 1),
    ]
    assert await dead_letters.retry(database, "acme", footer.chunk_id) == 1
    assert [chunk.chunk_id for chunk in await again(database)] == [footer.chunk_id]


async def again(database: Database) -> list[Pending]:
    return (await queue.claim(database, GENERATION, "x", 50, 60, empresa_id="acme")).chunks


async def test_copies_wait_for_the_next_try_of_their_text(database: Database, connection: Connection) -> None:
    await add_copies(connection, 1, 20)
    held = (await queue.claim(database, GENERATION, "w", 50, 60)).chunks
    await queue.release(database, GENERATION, "w", held, delay_s=3600, counted=True, error="500")
    assert await again(database) == []
    await connection.execute("UPDATE ateneo.embedding_queue SET next_try_at = now()")
    assert len(await again(database)) == 1
