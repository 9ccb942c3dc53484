"""What a comparison asks without a file: people's questions, once there are enough, and sentences."""

import json
from collections import Counter

from tests.db.test_isolation_database import put

from ateneo.access import erasure
from ateneo.db import conversations, query_log
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery
from ateneo.evaluation.side_by_side import ENOUGH, sample_questions
from ateneo.search.query_log import QueryLog


async def ask(db: Database, empresa: str, *asked: str, rating: int | None = None, cites: str = "") -> None:
    conversation = await conversations.begin(db, empresa, "soporte", "hola")
    citations = [{"chunk_id": cites, "label": "", "quote": "q"}] if cites else []
    async with db.acquire() as connection:
        await connection.executemany(
            "INSERT INTO ateneo.turn (empresa_id, conversation_id, position, question, answer, state, queries,"
            " citations, provider, model, rating)"
            " VALUES ($1, $2, $3, $4, 'a', 'complete', $5, $6::jsonb, 'p', 'm', $7)",
            [
                (empresa, conversation, place, "¿y eso?", [text], json.dumps(citations), rating)
                for place, text in enumerate(asked)
            ],
        )


async def test_what_people_asked_once_with_what_they_liked(database: Database) -> None:
    await ask(database, "acme", "¿Cuántos días de licencia hay?", "¿Quién firma?")
    await ask(database, "acme", "¿cuántos días de licencia hay?", rating=1, cites="c7")
    await ask(database, "otra", "¿Quién firma?", rating=-1, cites="c9")
    found = await query_log.sample(database, None, 10, "s")
    assert found == await query_log.sample(database, None, 10, "s")
    assert {(one.empresa_id, one.text.lower(), one.liked) for one in found} == {
        ("acme", "¿cuántos días de licencia hay?", frozenset({"c7"})),
        ("acme", "¿quién firma?", frozenset()),
        ("otra", "¿quién firma?", frozenset()),
    }
    assert [one.empresa_id for one in await query_log.sample(database, "otra", 10, "s")] == ["otra"]
    assert len(await query_log.sample(database, None, 2, "s")) == 2


async def test_half_of_a_sample_is_people_s_once_they_are_enough(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', $1)",
            [(f"El expediente {number} se archiva durante diez años en la oficina.",) for number in range(60)],
        )
    await ask(database, "acme", *(f"¿Pregunta {number}?" for number in range(ENOUGH - 1)))
    assert Counter(one.origin for one in await sample_questions(database, None, 50)) == {"sentence": 50}
    await ask(database, "acme", *(f"¿Otra pregunta {number}?" for number in range(ENOUGH)))
    drawn = await sample_questions(database, None, 50)
    assert Counter(one.origin for one in drawn) == {"conversation": 25, "sentence": 25}
    assert all(one.answers for one in drawn if one.origin == "sentence")
    assert Counter(one.origin for one in await sample_questions(database, "otra", 50)) == {}
    assert Counter(one.origin for one in await sample_questions(database, None, 5)) == {"sentence": 5}


async def texts(db: Database, empresa: str | None = None) -> list[str]:
    return sorted(one.text for one in await query_log.sample(db, empresa, 5000, "s") if one.source == "search")


async def test_searches_are_kept_only_where_that_is_asked_for(database: Database) -> None:
    off, on = QueryLog(database, 0), QueryLog(database, 7)
    for kept in (off, on):
        kept.note("acme", f"¿quién firma? {kept is on}")
        kept.note("acme", f"¿quién firma? {kept is on}")
        kept.note("otra", "¿y acá?")
        await kept.close()
    assert await texts(database, "acme") == ["¿quién firma? True"]
    assert await texts(database) == ["¿quién firma? True", "¿y acá?"]


async def test_kept_searches_are_bounded_end_and_go_with_their_company(database: Database) -> None:
    await put(database, "acme", "a.md", "Un documento cualquiera de la empresa.")
    await query_log.keep(database, "otra", [KeptQuery("¿de otra?")], 7)
    await query_log.keep(database, "acme", [KeptQuery("la más vieja")], 7)
    many = [KeptQuery(f"pregunta {number:04}") for number in range(query_log.MOST_KEPT)]
    await query_log.keep(database, "acme", many, 7)
    kept = await texts(database, "acme")
    assert (len(kept), kept[0]) == (query_log.MOST_KEPT, "pregunta 0000")
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE ateneo.kept_query SET until = now() WHERE empresa_id = 'acme' AND query < 'pregunta 0990'"
        )
    assert len(await texts(database, "acme")) == 10
    await query_log.forget_expired(database)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.kept_query") == 11
    assert (await erasure.erase(database, "acme", actor="cli:ana")).clean
    assert await texts(database) == ["¿de otra?"]
