"""The queue in the database: what the triggers put in, who may claim what, and what takes it out."""

from typing import Any

import numpy as np
import pytest

from ateneo.db import chunks, dead_letters, generations, queue, usage
from ateneo.db.pool import Database
from ateneo.types import Matrix, Pending

DIMS = 4


@pytest.fixture
async def generation(database: Database) -> int:
    return (await generations.create(database, "local", "a", DIMS)).number


async def run(db: Database, sql: str, *arguments: object) -> Any:
    async with db.acquire() as connection:
        return await connection.fetch(sql, *arguments)


async def insert(db: Database, empresa: str, *ids: str, text: str = "un pasaje largo, el ") -> None:
    for one in ids:
        await run(db, "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)", one, empresa,
                  text + one)  # fmt: skip


async def queued(db: Database, state: str = "pending") -> list[tuple[str, str]]:
    rows = await run(
        db, "SELECT empresa_id, chunk_id FROM ateneo.embedding_queue WHERE state = $1 ORDER BY 1, 2", state
    )
    return [tuple(row) for row in rows]


async def claim(*arguments: Any, **named: Any) -> list[Pending]:
    return (await queue.claim(*arguments, **named)).chunks


def vectors(n: int) -> Matrix:
    made = np.random.default_rng(3).standard_normal((n, DIMS)).astype(np.float32)
    unit: Matrix = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


async def test_every_kind_of_write_keeps_the_queue(database: Database, generation: int) -> None:
    await insert(database, "acme", "a", "b", "c")
    await insert(database, "acme", "short", text="")
    await run(database, "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
                        " VALUES ('given', 'acme', 'con su vector desde el principio', '[1,0,0,0]')")  # fmt: skip
    assert await queued(database) == [("acme", "a"), ("acme", "b"), ("acme", "c")]
    await run(database, "UPDATE knowledge_chunks SET embedding = '[1,0,0,0]' WHERE id = 'a'")
    assert await queued(database) == [("acme", "b"), ("acme", "c")]
    await run(database, "UPDATE knowledge_chunks SET contenido = 'otro texto que es más largo' WHERE id = 'a'")
    await run(database, "UPDATE knowledge_chunks SET contenido = 'corto' WHERE id = 'b'")
    await run(database, "DELETE FROM knowledge_chunks WHERE id = 'c'")
    assert await queued(database) == [("acme", "a")]
    await run(database, "UPDATE knowledge_chunks SET embedding = NULL WHERE id = 'given'")
    assert await queued(database) == [("acme", "a"), ("acme", "given")]
    await run(database, "UPDATE knowledge_chunks SET empresa_id = 'otra' WHERE id = 'a'")
    assert await queued(database) == [("acme", "given"), ("otra", "a")]
    await run(database, "TRUNCATE knowledge_chunks")
    assert await queued(database) == []


async def test_a_new_text_is_a_new_entry(database: Database, generation: int) -> None:
    await insert(database, "acme", "a")
    [held] = await claim(database, generation, "w", 10, 60)
    await queue.mark_dead(database, generation, "w", [held], "no se pudo")
    assert await queued(database, "dead") == [("acme", "a")]
    await run(database, "UPDATE knowledge_chunks SET contenido = 'corregido y bastante largo' WHERE id = 'a'")
    [again] = await claim(database, generation, "w", 10, 60)
    assert (again.contenido, again.attempts) == ("corregido y bastante largo", 1)


async def test_shares_are_even_and_nobody_gets_a_leased_row(database: Database, generation: int) -> None:
    await insert(database, "big", *(f"b{k:03}" for k in range(60)))
    await insert(database, "mid", *(f"m{k}" for k in range(9)))
    await insert(database, "tiny", "t")
    first = await claim(database, generation, "one", 30, 60)
    count = {e: sum(chunk.empresa_id == e for chunk in first) for e in ("big", "mid", "tiny")}
    assert count == {"big": 20, "mid": 9, "tiny": 1}
    second = await claim(database, generation, "two", 100, 60)
    assert {chunk.empresa_id for chunk in second} == {"big"}
    assert len({chunk.chunk_id for chunk in [*first, *second]}) == 70
    assert await claim(database, generation, "three", 100, 60) == []


async def test_more_companies_than_a_batch_take_turns(database: Database, generation: int) -> None:
    for number in range(7):
        await insert(database, f"e{number}", "x", "y")
    seen: list[str] = []
    after = None
    while batch := await claim(database, generation, "w", 3, 60, after=after):
        seen += [chunk.empresa_id for chunk in batch]
        after = batch[-1].empresa_id
    assert seen[:7] == [f"e{number}" for number in range(7)]
    assert len(seen) == 14


async def test_a_lease_ends_by_itself_unless_it_is_extended(database: Database, generation: int) -> None:
    await insert(database, "acme", "a", "b")
    held = await claim(database, generation, "dead", 2, 0.0)
    assert await queue.claim(database, generation, "alive", 2, 60) == queue.Claimed([], 0, retry_alone=True)
    taken = await queue.claim(database, generation, "alive", 2, 60, exclusive=True)
    assert ([chunk.chunk_id for chunk in taken.chunks], taken.deaths, taken.retry_alone) == (["a", "b"], 1, False)
    assert {chunk.attempts for chunk in taken.chunks} == {1}  # a death is counted as such
    assert await queue.extend(database, generation, "dead", held, 60) == 0
    assert await queue.release(database, generation, "dead", held) == 0
    assert await queue.extend(database, generation, "alive", taken.chunks, 60) == 2
    assert await queue.release(database, generation, "alive", taken.chunks[:1], delay_s=3600) == 1
    assert await queue.claim(database, generation, "third", 2, 60, exclusive=True) == queue.Claimed([], 0)


async def test_groups_of_suspects_get_smaller_with_every_death(database: Database, generation: int) -> None:
    await insert(database, "acme", *(f"c{number:02}" for number in range(70)))
    await claim(database, generation, "dead", 100, 0.0)
    assert await claim(database, generation, "v", 100, 60) == []
    sizes: dict[int, list[int]] = {}
    while (claimed := await queue.claim(database, generation, "w", 100, 0.0, exclusive=True)).deaths <= 5:
        sizes.setdefault(claimed.deaths, []).append(len(claimed.chunks))
    assert (sizes[1], sizes[2]) == ([64, 6], [16, 16, 16, 16, 6])
    assert (set(sizes[3]), set(sizes[4]), set(sizes[5])) == ({4, 2}, {1}, {1})
    assert all(sum(of_them) == 70 for of_them in sizes.values())


async def test_copies_of_a_suspect_wait_for_it_and_are_parked_with_it(database: Database, generation: int) -> None:
    for one in ("a", "b"):
        await run(database, "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
                            " VALUES ($1, 'acme', 'el mismo texto de siempre')", one)  # fmt: skip
    await claim(database, generation, "dead", 10, 0.0)
    assert await claim(database, generation, "v", 10, 60) == []
    found = await queue.claim(database, generation, "w", 10, 60, exclusive=True)
    assert [chunk.chunk_id for chunk in found.chunks] == ["a"]
    assert sorted(await queue.mark_fatal(database, generation, found.chunks, "mata")) == [("acme", "a"), ("acme", "b")]
    assert await queued(database, "dead") == [("acme", "a"), ("acme", "b")]
    assert await queue.fill(database, generation, revive=True) == 0  # they kill: only who names them tries them again
    assert await dead_letters.retry(database, "acme", "a") == 1
    assert [chunk.chunk_id for chunk in await claim(database, generation, "w", 10, 60)] == ["a"]


async def test_a_text_is_embedded_once_a_company(database: Database, generation: int) -> None:
    for empresa in ("acme", "otra"):
        for one in ("a", "b", "c"):
            await run(database, "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
                                " VALUES ($1, $2, 'el mismo texto de siempre')", one, empresa)  # fmt: skip
    held = await claim(database, generation, "w", 10, 60)
    assert sorted(chunk.empresa_id for chunk in held) == ["acme", "otra"]
    assert await claim(database, generation, "v", 10, 60) == []
    await chunks.store_embeddings(database, generation, held, vectors(2))
    assert await queue.claim(database, generation, "v", 10, 60) == queue.Claimed([], 4)
    assert await queue.claim(database, generation, "v", 10, 60) == queue.Claimed([], 0)
    assert await queued(database) == []
    [row] = await run(
        database, "SELECT count(DISTINCT embedding::text) AS a, count(embedding) AS b FROM knowledge_chunks"
    )
    assert (row["a"], row["b"]) == (2, 6)
    assert (await run(database, "SELECT count(*) FROM ateneo.vec_g1"))[0][0] == 6


async def test_what_a_writer_holds_stays_in_the_queue(database: Database, generation: int) -> None:
    await insert(database, "acme", "a", "b")
    held = await claim(database, generation, "w", 2, 60)
    async with database.transaction() as writer:
        await writer.execute("UPDATE knowledge_chunks SET chunk_index = 5 WHERE id = 'a'")
        assert await chunks.store_embeddings(database, generation, held, vectors(2)) == 1
    assert await queued(database) == [("acme", "a")]
    assert await chunks.store_embeddings(database, generation, held, vectors(2)) == 2
    assert await queued(database) == []


async def test_a_chunk_that_is_gone_does_not_come_back(database: Database, generation: int) -> None:
    await insert(database, "acme", "a", "b")
    held = await claim(database, generation, "w", 2, 60)
    await run(database, "DELETE FROM knowledge_chunks WHERE id = 'a'")
    await run(database, "UPDATE knowledge_chunks SET contenido = 'editado mientras tanto' WHERE id = 'b'")
    assert await chunks.store_embeddings(database, generation, held, vectors(2)) == 0
    assert await queued(database) == [("acme", "b")]
    assert (await run(database, "SELECT count(*) FROM ateneo.vec_g1"))[0][0] == 0
    [again] = await claim(database, generation, "v", 2, 60)
    assert again.contenido == "editado mientras tanto"


async def test_rows_that_no_trigger_saw(database: Database, generation: int) -> None:
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
            " VALUES ('a', 'acme', 'nadie vio este pasaje'), ('b', 'otra', 'ni este otro')"
        )
    assert await queue.fill(database, generation, "acme") == 1
    assert await queue.fill(database, generation) == 1
    assert await queue.fill(database, generation) == 0
    async with database.transaction() as connection:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute("DELETE FROM knowledge_chunks WHERE id = 'a'")
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'cambiado a escondidas' WHERE id = 'b'")
    [left] = await claim(database, generation, "w", 5, 60)
    assert left.contenido == "cambiado a escondidas"
    assert await chunks.store_embeddings(database, generation, [left], vectors(1)) == 1
    assert await queued(database) == []


async def test_dead_letters_are_revived(database: Database, generation: int) -> None:
    await insert(database, "acme", "a", "b")
    first, second = await claim(database, generation, "w", 2, 60)
    await queue.mark_dead(database, generation, "w", [first], "ilegible")
    await queue.release(database, generation, "w", [second], delay_s=3600, counted=True, error="500")
    assert await claim(database, generation, "w", 2, 60) == []
    assert await queue.fill(database, generation, "otra", revive=True) == 0
    assert await queue.fill(database, generation, "acme", revive=True) == 2
    assert [chunk.attempts for chunk in await claim(database, generation, "w", 2, 60)] == [1, 1]


async def test_a_company_over_its_budget_waits(database: Database, generation: int) -> None:
    await insert(database, "acme", "a")
    await insert(database, "otra", "b")
    await run(database, "INSERT INTO ateneo.embedding_budget (empresa_id, tokens) VALUES ('acme', 100)")
    await run(database, "INSERT INTO ateneo.embedding_usage VALUES"
                        " ('acme', 'p', 'm', (now() AT TIME ZONE 'UTC')::date, 1, 100, 0),"
                        " ('otra', 'p', 'm', (now() AT TIME ZONE 'UTC')::date, 1, 100, 0)")  # fmt: skip
    assert [chunk.empresa_id for chunk in await claim(database, generation, "w", 5, 60)] == ["otra"]
    assert await claim(database, generation, "w", 5, 60, empresa_id="acme") == []
    await run(database, "UPDATE ateneo.embedding_usage SET day = day - 40")
    assert [chunk.empresa_id for chunk in await claim(database, generation, "w", 5, 60)] == ["acme"]


async def test_each_row_is_counted_once(database: Database, generation: int) -> None:
    await insert(database, "acme", *(f"c{number}" for number in range(6)))
    await insert(database, "otra", "a", "b", "c")
    held = await claim(database, generation, "w", 3, 60, empresa_id="acme")
    await queue.release(database, generation, "w", held[:1], delay_s=60)
    await queue.mark_dead(database, generation, "w", held[1:2], "x")
    await usage.set_budget(database, "otra", 0, None)
    await claim(database, generation, "dead", 1, 0.0, empresa_id="acme")
    await claim(database, generation, "v", 1, 60, empresa_id="acme")
    found = await dead_letters.figures(database)
    assert found.suspects == 1
    assert (found.pending, found.leased, found.later, found.over_budget, found.dead) == (8, 2, 1, 3, 1)


def test_pending_says_how_often_it_was_tried() -> None:
    assert Pending("e", "c", "t", b"").attempts == 0
