"""The one search function, `ateneo.search`, and the triggers that keep its index in step with the chunks table."""

import math
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np
import pytest

from ateneo.db import generations, statistics
from ateneo.db import search as db_search
from ateneo.db.pool import Connection, Database
from ateneo.errors import GenerationMismatch
from ateneo.types import Hit

TEXTS = {
    "feriado": "El trabajo en feriado nacional se paga con un recargo del cien por ciento.",
    "vacaciones": "Las vacaciones se piden con treinta días de anticipación por escrito.",
    "ano": "El informe del año pasado está archivado en la montaña de papeles.",
    "clave": "La contraseña se cambia cada noventa días desde el portal interno.",
}
# The guide's own statement (step 9), verbatim but for the names of its arguments.
GUIDE_INSERT = """
                INSERT INTO knowledge_chunks 
                (document_id, empresa_id, chunk_index, contenido, tokens_count, embedding)
                VALUES ($1, $2, $3, $4, $5, $6::vector)
            """
GUIDE_UPDATE = """
            UPDATE knowledge_chunks
            SET embedding = $1::vector
            WHERE id = $2
        """
GUIDE_PENDING = """
        SELECT id, contenido, empresa_id
        FROM knowledge_chunks
        WHERE embedding IS NULL
        AND contenido IS NOT NULL
        AND LENGTH(contenido) > 10
     AND empresa_id = $1 ORDER BY id LIMIT $2"""


async def _fill(connection: Connection, empresa_id: str = "acme", texts: Sequence[str] = tuple(TEXTS.values())) -> None:
    for index, text in enumerate(texts):
        await connection.execute(GUIDE_INSERT, "doc", empresa_id, index, text, 12, None)


async def _search(db: Database, query: str | None, empresa_id: str = "acme", **options: Any) -> list[Hit]:
    return list((await db_search.search(db, db_search.Query(empresa_id, query, **options), schema="public")).hits)


async def test_what_the_guides_sql_writes_is_found(database: Database) -> None:
    await generations.create(database, "local", "m", 3)
    async with database.acquire() as connection:
        await _fill(connection)
        pending = await connection.fetch(GUIDE_PENDING, "acme", 50)
        assert len(pending) == len(TEXTS)
        for number, row in enumerate(pending):
            await connection.execute(GUIDE_UPDATE, f"[{number},1,0]", row["id"])
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == len(TEXTS)
    hits = await _search(database, "cuánto pagan el feriado")
    assert hits[0].contenido == TEXTS["feriado"]
    assert (hits[0].document_id, hits[0].chunk_index, hits[0].tokens_count) == ("doc", 0, 12)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("FERIADO", "feriado"),
        ("feriados nacionales", "feriado"),
        ("contrasena", "clave"),
        ("contraseña", "clave"),
        ("ano montana", "ano"),
        ("AÑO", "ano"),
        ("año\u0303", "ano"),
        ("informe que no existe en ninguna parte xyzzy", "ano"),
    ],
)
async def test_words_meet_without_accents_and_case(database: Database, query: str, found: str) -> None:
    async with database.acquire() as connection:
        await _fill(connection)
    assert (await _search(database, query))[0].contenido == TEXTS[found]


async def test_one_word_of_many_is_enough(database: Database) -> None:
    """Never an AND query."""
    async with database.acquire() as connection:
        await _fill(connection)
    assert await _search(database, "si trabajo durante la primavera, ¿hay recargo extraordinario?")


async def test_bm25_equals_the_formula(database: Database) -> None:
    async with database.acquire() as connection:
        await _fill(connection)
        await connection.execute("SELECT ateneo.refresh_stats('acme')")
        lengths = {r["chunk_id"]: r["dl"] for r in await connection.fetch("SELECT chunk_id, dl FROM ateneo.chunk_lex")}
    average = sum(lengths.values()) / len(lengths)
    hits = await _search(database, "días feriado")
    n = len(TEXTS)
    document_frequency = {"dias": 2, "feriado": 1}
    for hit in hits:
        words = [w for w, form in (("dias", "días"), ("feriado", "feriado")) if form in hit.contenido]
        norm = 1.2 * (0.25 + 0.75 * lengths[hit.chunk_id] / average)
        expected = sum(
            math.log(1 + (n - document_frequency[w] + 0.5) / (document_frequency[w] + 0.5)) * 2.2 / (1 + norm)
            for w in words
        )
        assert hit.lexical_score == pytest.approx(expected, abs=1e-4)
    assert len(hits) == 3


async def test_meaning_and_words_score_each_others_candidates(database: Database) -> None:
    generation = await generations.create(database, "local", "m", 3)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "palabra rara", 2, "[0,1,0]")
        await connection.execute(GUIDE_INSERT, "d", "acme", 1, "otra cosa distinta", 2, "[1,0,0]")
    vector = np.array([1, 0.1, 0], dtype=np.float32)
    hits = await _search(database, "rara", vector=vector, generation=generation.number, pool=1, k=1)
    assert len(hits) == 1
    hits = await _search(database, "rara", vector=vector, generation=generation.number)
    assert all(hit.dense_score is not None and hit.lexical_score is not None for hit in hits)
    by_text = {hit.contenido: hit for hit in hits}
    assert by_text["otra cosa distinta"].dense_score == pytest.approx(0.995, abs=1e-2)
    assert by_text["otra cosa distinta"].lexical_rank is None


@pytest.mark.parametrize(
    ("query", "whole"),
    [
        ("palabra rara", True),  # a passage has all of it
        ("palabra suelta sin parientes conocidos cercanos aquí dentro", False),  # one word in many
    ],
)
async def test_words_count_by_the_cube_of_what_the_best_passage_has_of_them(
    database: Database, query: str, whole: bool
) -> None:
    generation = await generations.create(database, "local", "m", 3)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "palabra rara", 2, "[0,1,0]")
        await connection.execute(GUIDE_INSERT, "d", "acme", 1, "otra cosa distinta", 2, "[1,0,0]")
    vector = np.array([1, 0.1, 0], dtype=np.float32)
    asked = db_search.Query("acme", query, vector=vector, generation=generation.number, dense_weight=0.4, explain=True)
    found = await db_search.search(database, asked, schema="public")
    assert found.plan
    share = max(hit.lexical_score or 0 for hit in found.hits) / found.plan["ideal"]
    trust = min(1.0, share / 0.85) ** 3
    assert found.plan["words_trusted"] == pytest.approx(trust)
    assert (trust == 1) is whole
    scores = {hit.contenido: hit.score for hit in found.hits}
    assert scores == pytest.approx({"palabra rara": 0.6 * trust * share, "otra cosa distinta": 0.4}, abs=1e-3)


@pytest.mark.direct
async def test_no_tenant_is_an_error_and_another_tenant_too(database: Database) -> None:
    async with database.acquire() as connection:
        await _fill(connection)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no tenant"):
            await connection.fetch("SELECT * FROM ateneo.search('feriado')")
        async with connection.transaction():
            await connection.execute("SET LOCAL ateneo.empresa_id = 'acme'")
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="another tenant"):
                async with connection.transaction():
                    await connection.fetch("SELECT * FROM ateneo.search('feriado', empresa => 'otra')")


@pytest.mark.direct
async def test_the_tenant_of_one_search_does_not_stay_behind(database: Database) -> None:
    async with database.acquire() as connection:
        await _fill(connection)
        wrapped = Database.wrap(connection)
        assert await _search(wrapped, "feriado")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no tenant"):
            await connection.fetch("SELECT * FROM ateneo.search('feriado')")


async def test_companies_are_strangers(database: Database) -> None:
    async with database.acquire() as connection:
        await _fill(connection)
        await _fill(connection, "otra", ["El feriado en la otra empresa se paga triple."])
    assert {hit.contenido for hit in await _search(database, "feriado", "otra")} == {
        "El feriado en la otra empresa se paga triple."
    }
    assert await _search(database, "feriado", "nadie") == []


async def test_new_text_loses_its_vector_everywhere(database: Database) -> None:
    await generations.create(database, "local", "m", 2)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "texto original largo", 3, "[1,0]")
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'algo nuevo de verdad'")
        assert await connection.fetchval("SELECT embedding IS NULL FROM knowledge_chunks")
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 0
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'y más nuevo', embedding = '[0,1]'")
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 1
    assert await _search(database, "original") == []
    assert len(await _search(database, "nuevo")) == 1


@pytest.mark.parametrize("statement", ["DELETE FROM knowledge_chunks", "TRUNCATE knowledge_chunks"])
async def test_deleted_chunks_leave_nothing_behind(database: Database, statement: str) -> None:
    await generations.create(database, "local", "m", 2)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "un texto cualquiera", 3, "[1,0]")
        await connection.execute(statement)
        left = "SELECT (SELECT count(*) FROM ateneo.chunk_lex) + (SELECT count(*) FROM ateneo.vec_g1)"
        assert await connection.fetchval(left) == 0


@pytest.mark.parametrize("vector", ["[1,2,3]", "[0,0]", "[1e30,1e30]"])
async def test_a_vector_that_cannot_be_indexed_never_fails_the_write(database: Database, vector: str) -> None:
    await generations.create(database, "local", "m", 2)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "un texto cualquiera", 3, vector)
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 0
    assert len(await _search(database, "texto")) == 1


async def test_a_huge_text_never_fails_the_write(database: Database) -> None:
    words = " ".join(f"palabra{n}" for n in range(60_000))
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, words, 3, None)
    assert len(await _search(database, "palabra7")) == 1


async def test_a_change_of_company_or_id_moves_the_index(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "un texto cualquiera", 3, None)
        await connection.execute("UPDATE knowledge_chunks SET empresa_id = 'otra', id = 'nuevo'")
    assert await _search(database, "texto") == []
    assert [hit.chunk_id for hit in await _search(database, "texto", "otra")] == ["nuevo"]


async def test_a_generation_that_is_gone_is_told(database: Database) -> None:
    vector = np.ones(2, dtype=np.float32)
    await generations.create(database, "local", "m", 3)
    with pytest.raises(GenerationMismatch):
        await _search(database, "x", vector=vector, generation=7)
    with pytest.raises(GenerationMismatch):
        await _search(database, "x", vector=vector, generation=1)


async def test_statistics_follow_growth_and_length(database: Database) -> None:
    async with database.acquire() as connection:
        await _fill(connection, texts=["corto texto"] * 4)
    assert await statistics.refresh_moved(database) == 1
    assert await statistics.refresh_moved(database) == 0
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT avgdl FROM ateneo.tenant_stats") == 2
        await _fill(connection, texts=["este texto tiene bastantes palabras más que los otros"] * 8)
    assert await statistics.refresh_moved(database) == 1


async def test_forget_makes_everything_pending(database: Database) -> None:
    await generations.create(database, "local", "m", 2)
    async with database.acquire() as connection:
        await connection.execute(GUIDE_INSERT, "d", "acme", 0, "un texto cualquiera", 3, "[1,0]")
    assert await generations.forget(database) == 1
    assert await generations.all_generations(database) == []
    again = await generations.create(database, "local", "otro", 5)
    assert (again.number, again.legacy, again.active) == (2, True, True), "a number is never given twice"
