"""What nobody could answer: from searches that are kept, from conversations, of one company, until it is answered."""

from dataclasses import replace

import numpy as np
import pytest

from ateneo.agents.gaps import Gap, Gaps, gaps
from ateneo.db import conversations, query_log
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.query_log import QueryLog
from ateneo.types import Answer, Citation, Hit

UNKNOWN = Answer("No lo sé.", (), "p", "m", False, state="unknown")
ANSWERED = Answer("Dos días [1].", (Citation("c", "l", "Dos días", "d"),), "p", "m", False)


async def said(db: Database, question: str, answer: Answer, rating: int | None = None, empresa: str = "acme") -> str:
    talk = await conversations.begin(db, empresa, "asistente", question)
    await conversations.add(db, empresa, talk, question, answer)
    if rating is not None:
        await conversations.rate(db, empresa, talk, 0, rating, None)
    return talk


async def listed(db: Database, **how: object) -> dict[str, Gap]:
    found = await gaps(db, "acme", **{"keep_queries": 7, **how})  # type: ignore[arg-type]
    return {one.question: one for one in found.gaps}


async def test_conversations_without_an_answer(database: Database) -> None:
    await said(database, "¿Hay guardería?", UNKNOWN)
    last = await said(database, "hay GUARDERIA", UNKNOWN)
    await said(database, "¿Cuántos días por mudanza?", ANSWERED)
    await said(database, "¿Quién firma?", ANSWERED, rating=-1)
    await said(database, "¿Dónde queda?", UNKNOWN, rating=1)
    await said(database, "Hola", replace(ANSWERED, citations=()))
    await said(database, "¿Y se cortó?", replace(UNKNOWN, state="interrupted"))
    await said(database, "¿Hay guardería?", UNKNOWN, empresa="otra")
    found = await listed(database)
    assert {name: (one.times, one.reasons, one.also) for name, one in found.items()} == {
        "hay GUARDERIA": (2, ("unknown",), ("¿Hay guardería?",)),
        "¿Quién firma?": (1, ("disliked",), ()),
    }
    assert found["hay GUARDERIA"].conversation_id == last
    assert list(found) == ["hay GUARDERIA", "¿Quién firma?"]


async def test_what_was_answered_since_is_no_gap(database: Database) -> None:
    await said(database, "¿Hay guardería?", UNKNOWN)
    await said(database, "hay guardería", ANSWERED)
    await said(database, "¿Cuántos días?", ANSWERED)
    await said(database, "¿Cuántos días?", UNKNOWN)
    assert list(await listed(database)) == ["¿Cuántos días?"]
    await query_log.keep(database, "acme", [KeptQuery("cuántos días", found=3, best=0.9)], 7)
    assert await listed(database) == {}


async def test_searches_by_what_they_found(database: Database) -> None:
    log = QueryLog(database, 7)
    hit = Hit("c", "d", 0, "texto", 1.0, 0.2, None, 1, None, relevance=0.2)
    log.note("acme", "nada", [])
    log.note("acme", "nada", [])
    log.note("acme", "lejos", [hit, replace(hit, relevance=None)])
    log.note("acme", "cerca", [hit, replace(hit, relevance=0.9)])
    log.note("acme", "sin relevancia", [replace(hit, relevance=None)])
    log.note("acme", "con filtro")
    await log.close()
    assert {name: (one.times, one.reasons) for name, one in (await listed(database, below=0.5)).items()} == {
        "nada": (2, ("nothing_found",)),
        "lejos": (1, ("weak_match",)),
    }
    assert set(await listed(database, below=0.1)) == {"nada"}
    again = QueryLog(database, 7)
    again.note("acme", "nada", [])
    await again.close()
    assert (await listed(database))["nada"].times == 3


async def test_only_the_last_days_and_the_most_frequent(database: Database) -> None:
    for question in ("a1", "b1", "b1"):
        await said(database, question, UNKNOWN)
    assert list(await listed(database, limit=1)) == ["b1"]
    async with database.acquire() as connection:
        await connection.execute("UPDATE ateneo.turn SET created_at = now() - interval '9 days' WHERE question = 'b1'")
    assert list(await listed(database, days=8)) == ["a1"]
    for wrong in ({"days": 0}, {"limit": 0}):
        with pytest.raises(BadArgument):
            await listed(database, **wrong)


async def test_it_says_that_searches_are_not_kept(database: Database) -> None:
    assert await gaps(database, "acme", keep_queries=7) == Gaps(())
    [warning] = (await gaps(database, "acme", keep_queries=0)).warnings
    assert "ATENEO_KEEP_QUERIES" in warning


async def test_near_questions_are_one(database: Database) -> None:
    texts = (
        "¿Tienen guardería para los hijos?",
        "¿Hay guardería para hijos del personal?",
        "¿Venden repuestos de motos?",
    )
    for text in texts:
        await said(database, text, UNKNOWN)
    async with EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1)) as embedding:
        vectors = (await embedding.embed_matrix(texts, "query")).vectors
        alike, apart = float(vectors[0] @ vectors[1]), float(np.max(vectors[:2] @ vectors[2]))
        assert apart < alike
        found = await listed(database, embedding=embedding, near=(alike + apart) / 2)
    assert sorted(one.times for one in found.values()) == [1, 2]
    assert len(await listed(database)) == 3
