"""What a comparison asks without a file: people's questions, once there are enough, and sentences."""

import json
from collections import Counter

from ateneo.services.evaluation.side_by_side import ENOUGH, sampled
from ateneo.store import conversations, questions
from ateneo.store.pool import Database


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
    found = await questions.sample(database, None, 10, "s")
    assert found == await questions.sample(database, None, 10, "s")
    assert {(one.empresa_id, one.text.lower(), one.liked) for one in found} == {
        ("acme", "¿cuántos días de licencia hay?", frozenset({"c7"})),
        ("acme", "¿quién firma?", frozenset()),
        ("otra", "¿quién firma?", frozenset()),
    }
    assert [one.empresa_id for one in await questions.sample(database, "otra", 10, "s")] == ["otra"]
    assert len(await questions.sample(database, None, 2, "s")) == 2


async def test_half_of_a_sample_is_people_s_once_they_are_enough(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', $1)",
            [(f"El expediente {number} se archiva durante diez años en la oficina.",) for number in range(60)],
        )
    await ask(database, "acme", *(f"¿Pregunta {number}?" for number in range(ENOUGH - 1)))
    assert Counter(one.origin for one in await sampled(database, None, 50)) == {"sentence": 50}
    await ask(database, "acme", *(f"¿Otra pregunta {number}?" for number in range(ENOUGH)))
    drawn = await sampled(database, None, 50)
    assert Counter(one.origin for one in drawn) == {"conversation": 25, "sentence": 25}
    assert all(one.answers for one in drawn if one.origin == "sentence")
    assert Counter(one.origin for one in await sampled(database, "otra", 50)) == {}
    assert Counter(one.origin for one in await sampled(database, None, 5)) == {"sentence": 5}
