"""The backfill on a real database, with a real HTTP provider that fails as told."""

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.db import chunks, queue, usage
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.batch import Totals
from ateneo.embedding.generation import own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import (
    BadArgument,
    DatabaseUnavailable,
    GenerationMismatch,
    ProviderAnswerInvalid,
    ProviderRejected,
    ProviderUnavailable,
    UnknownEmpresa,
)
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.providers.tokens import count_tokens
from ateneo.search.service import VectorSearchService

DIMS = 8


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def service(server: ProviderServer, model: str = "text-embedding-3-small", dims: int | None = DIMS) -> EmbeddingService:
    embedder = OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=dims)
    return EmbeddingService(embedder, concurrency=4, retries=2, sleep=_no_sleep)


def text(number: int) -> str:
    return f"Pasaje número {number} sobre vacaciones"


async def fill(db: Database, n: int, empresa: str = "acme", first: int = 0) -> None:
    async with db.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, empresa_id, chunk_index, contenido) VALUES ($1, $2, $3, $4)",
            [(f"{empresa}-{k:04}", empresa, k, text(k)) for k in range(first, first + n)],
        )


async def value(db: Database, sql: str, *arguments: object) -> Any:
    async with db.acquire() as connection:
        return await connection.fetchval(sql, *arguments)


async def stored(db: Database) -> int:
    """How many chunks have their vector, in the column and in the index alike."""
    column: int = await value(db, "SELECT count(embedding) FROM knowledge_chunks")
    if await value(db, "SELECT to_regclass('ateneo.vec_g1') IS NOT NULL"):
        assert column == await value(db, "SELECT count(*) FROM ateneo.vec_g1")
    return column


async def rename(server_url: str, old: str, new: str) -> None:
    """Takes a database away from those who use it: their connections end, and its name leads nowhere."""
    renamer, poison_text = await asyncpg.connect(server_url), await asyncpg.connect(server_url)
    renaming = asyncio.create_task(renamer.execute(f"ALTER DATABASE {old} RENAME TO {new}"))
    while not renaming.done():  # who reconnects waits for the lock that the renaming holds
        await poison_text.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", old)
        await asyncio.sleep(0.01)
    await renaming
    await renamer.close()
    await poison_text.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_plan_counts_tokens_and_changes_nothing(database: Database) -> None:
    await fill(database, 25)
    await fill(database, 4, "otra")
    await value(database, "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', '0123456789')")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            plan = await Backfill(database, embedding, batch_size=10).plan("acme")
            limited = await Backfill(database, embedding, batch_size=10).plan(limit=12)
        assert server.calls == 0
    assert (plan.pending, plan.chunks, plan.skipped) == (25, 25, 1)
    assert plan.tokens == sum(count_tokens([text(k) for k in range(25)]))
    assert plan.cost_usd == pytest.approx(plan.tokens * 0.02 / 1e6)
    assert [chunk.chunk_id for chunk in plan.sample] == ["acme-0000", "acme-0001", "acme-0002"]
    assert (limited.pending, limited.chunks) == (29, 12)
    assert limited.tokens == sum(count_tokens([text(k) for k in range(12)]))
    assert await stored(database) == 0
    assert await value(database, "SELECT count(*) FROM ateneo.generation") == 0


async def test_limit_company_and_a_second_run(database: Database) -> None:
    await fill(database, 30)
    await fill(database, 7, "otra")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            work = Backfill(database, embedding, batch_size=8, concurrency=3)
            first = await work.run("acme", 11)
            assert first.stopped is None
            assert (first.processed, first.remaining, first.failed) == (11, 19, ())
            assert await value(database, "SELECT max(id) FROM knowledge_chunks WHERE embedding IS NOT NULL") == (
                "acme-0010"
            )
            seen: list[Totals] = []
            second = await work.run("acme", on_progress=seen.append)
            assert (second.processed, second.remaining) == (19, 0)
            assert (seen[-1].processed, seen[-1].failed, seen[-1].changed) == (19, 0, 0)
            assert await value(database, "SELECT count(embedding) FROM knowledge_chunks WHERE empresa_id = 'otra'") == 0
            assert (await work.run()).processed == 7
            calls = server.calls
            again = await work.run()
            assert (again.processed, again.remaining, server.calls) == (0, 0, calls)
    assert await stored(database) == 37


async def test_what_is_stored_is_the_vector_of_its_own_text(database: Database) -> None:
    await fill(database, 23)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            report = await Backfill(database, embedding, batch_size=5).run()
            assert report.tokens == sum(count_tokens([text(k) for k in range(23)]))
            found = await VectorSearchService(database, embedding).semantic_search("acme", text(17), 3)
    assert found[0].chunk_id == "acme-0017"
    assert found[0].dense_score == pytest.approx(1.0, abs=1e-3)
    assert await value(database, "SELECT count(*) FROM ateneo.tenant_stats") == 0  # no text has changed
    literal = await value(database, "SELECT embedding::real[] FROM knowledge_chunks WHERE id = 'acme-0004'")
    assert literal == pytest.approx(vector_for(text(4), DIMS).tolist(), abs=1e-6)


async def test_one_bad_text_does_not_fail_its_page(database: Database) -> None:
    await fill(database, 40)
    await value(database, "UPDATE knowledge_chunks SET contenido = 'texto con VENENO' WHERE id = 'acme-0013'")
    await value(database, "UPDATE knowledge_chunks SET contenido = repeat(' ', 20) WHERE id = 'acme-0030'")
    with ProviderServer(dims=DIMS) as server:
        server.poison = "VENENO"
        async with service(server) as embedding:
            report = await Backfill(database, embedding, batch_size=20).run()
    assert report.stopped is None
    assert (report.processed, report.remaining) == (38, 2)
    assert sorted((chunk.chunk_id, chunk.empresa_id) for chunk in report.failed) == [
        ("acme-0013", "acme"),
        ("acme-0030", "acme"),
    ]
    reasons = {chunk.chunk_id: chunk.reason for chunk in report.failed}
    assert "this text cannot be embedded" in reasons["acme-0013"]
    assert "texto" in reasons["acme-0030"]
    assert await stored(database) == 38


async def test_bad_answers_now_and_then_are_survived(database: Database) -> None:
    await fill(database, 16)
    with ProviderServer(dims=DIMS) as server:
        server.script(Fault.NAN, Fault.TOO_FEW, Fault.ZERO, Fault.OK, Fault.WRONG_DIMS)
        async with service(server) as embedding:
            report = await Backfill(database, embedding, batch_size=16, concurrency=1).run()
    assert (report.processed, report.failed, report.stopped) == (16, (), None)
    assert await stored(database) == 16


@pytest.mark.parametrize(
    ("fault", "error", "most_calls"),
    [
        (Fault.UNAUTHORIZED, ProviderRejected, 4),
        (Fault.NO_QUOTA, ProviderRejected, 4),
        (Fault.SERVER_ERROR, ProviderUnavailable, 4 * 3),
        (Fault.NAN, ProviderAnswerInvalid, 4 * 3 * 2),
    ],
)
async def test_a_provider_that_fails_for_all_ends_the_run_with_few_calls(
    database: Database, fault: Fault, error: type[Exception], most_calls: int
) -> None:
    await fill(database, 300)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            done = await Backfill(database, embedding, batch_size=5, concurrency=1).run(limit=10)
            before = server.calls
            server.otherwise = fault
            report = await Backfill(database, embedding, batch_size=5).run()
        assert server.calls - before <= most_calls
    assert done.processed == 10
    assert isinstance(report.stopped, error)
    assert report.stopped_at is not None and report.stopped_at.startswith("acme-")
    assert (report.processed, report.failed, report.remaining) == (0, (), 290)
    assert await stored(database) == 10


async def test_a_database_that_goes_away_keeps_what_was_stored(database: Database, server_url: str) -> None:
    await fill(database, 60)
    name = await value(database, "SELECT current_database()")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            work = Backfill(database, embedding, batch_size=10, concurrency=1, lease_s=1)
            run = asyncio.create_task(work.run(on_progress=lambda _: server.gate.clear()))
            await until(lambda: server.calls == 2 or run.done())
            await rename(server_url, name, f"{name}_away")
            server.gate.set()
            report = await run
            await rename(server_url, f"{name}_away", name)
            assert isinstance(report.stopped, DatabaseUnavailable)
            assert (report.processed, report.stopped_at, report.remaining) == (10, "acme-0010", None)
            assert await stored(database) == 10
            assert (await Backfill(database, embedding).run()).processed == 50


async def test_a_text_edited_meanwhile_gets_the_vector_of_its_new_text(database: Database) -> None:
    await fill(database, 6)
    with ProviderServer(dims=DIMS) as server:
        server.gate.clear()
        async with service(server) as embedding:
            run = asyncio.create_task(Backfill(database, embedding).run())
            await until(lambda: server.in_flight)
            await value(database, "UPDATE knowledge_chunks SET contenido = 'Otra cosa distinta' WHERE id = 'acme-0002'")
            await value(database, "DELETE FROM knowledge_chunks WHERE id = 'acme-0003'")
            server.gate.set()
            report = await run
            assert (report.processed, report.changed, report.remaining) == (5, 2, 0)
            literal = await value(database, "SELECT embedding::real[] FROM knowledge_chunks WHERE id = 'acme-0002'")
            assert literal == pytest.approx(vector_for("Otra cosa distinta", DIMS).tolist(), abs=1e-6)
            assert await stored(database) == 5
            assert (await Backfill(database, embedding).run()).processed == 0


async def test_other_vectors_than_those_stored_are_refused(database: Database) -> None:
    await fill(database, 5)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            await Backfill(database, embedding).run(limit=2)
        async with service(server, model="otro-modelo", dims=None) as other:
            with pytest.raises(GenerationMismatch, match="text-embedding-3-small"):
                await Backfill(database, other).plan()
            with pytest.raises(GenerationMismatch):
                await Backfill(database, other).run()
    assert await stored(database) == 2


async def test_an_unknown_model_that_changes_its_size_is_refused(database: Database) -> None:
    await fill(database, 5)
    with ProviderServer(dims=DIMS) as server:
        async with service(server, model="propio", dims=None) as embedding:
            await Backfill(database, embedding).run(limit=2)
    with ProviderServer(dims=2 * DIMS) as server:
        async with service(server, model="propio", dims=None) as embedding:
            report = await Backfill(database, embedding).run()
    assert isinstance(report.stopped, GenerationMismatch)
    assert "(8)" in str(report.stopped) and "(16)" in str(report.stopped)
    assert await stored(database) == 2


async def test_a_generation_forgotten_meanwhile_is_named(database: Database) -> None:
    await fill(database, 3)
    with ProviderServer(dims=DIMS) as server:
        server.gate.clear()
        async with service(server) as embedding:
            run = asyncio.create_task(Backfill(database, embedding).run())
            await until(lambda: server.in_flight)
            await value(database, "DELETE FROM ateneo.generation")
            server.gate.set()
            report = await run
    assert isinstance(report.stopped, GenerationMismatch)
    assert await value(database, "SELECT count(embedding) FROM knowledge_chunks") == 0


async def test_stop_finishes_what_is_in_hand(database: Database) -> None:
    await fill(database, 50)
    with ProviderServer(dims=DIMS) as server:
        server.gate.clear()
        async with service(server) as embedding:
            work = Backfill(database, embedding, batch_size=10, concurrency=2)
            run = asyncio.create_task(work.run())
            await until(lambda: server.in_flight == 2)
            work.stop()
            server.gate.set()
            report = await run
            assert (report.interrupted, report.processed, report.remaining) == (True, 20, 30)
            assert await stored(database) == 20
            rest = await Backfill(database, embedding).run()
            assert (rest.interrupted, rest.processed) == (False, 30)


async def test_statements_are_counted_by_pages_not_by_chunks(database_url: str) -> None:
    statements: list[str] = []

    async def logged(connection: Any) -> None:
        connection.add_query_logger(lambda record: statements.append(record.query))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=4, init=logged) as pool:
        db = Database.wrap(pool)
        with ProviderServer(dims=DIMS) as server:
            async with service(server) as embedding:
                await own_generation(db, embedding)
                counts = []
                for size, empresa in ((10, "chica"), (100, "grande")):
                    await fill(db, 2 * size, empresa)
                    statements.clear()
                    await Backfill(db, embedding, batch_size=size, concurrency=1).run(empresa)
                    counts.append(len([sql for sql in statements if "knowledge_chunks" in sql or "ateneo." in sql]))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("options", "limit"),
    [({}, 0), ({}, -1), ({"batch_size": 0}, None), ({"batch_size": 5001}, None), ({"concurrency": 0}, None)],
)
async def test_bad_arguments(database: Database, options: dict[str, int], limit: int | None) -> None:
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            with pytest.raises(BadArgument):
                await Backfill(database, embedding, **options).run(limit=limit)
            with pytest.raises(UnknownEmpresa):
                await Backfill(database, embedding).run("nadie")
        assert server.calls == 0


async def test_the_guides_own_statements_feed_the_search(database: Database) -> None:
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            await own_generation(database, embedding)
            await fill(database, 20)
            async with database.acquire() as connection:
                rows = await connection.fetch(
                    """
        SELECT id, contenido, empresa_id
        FROM knowledge_chunks
        WHERE embedding IS NULL
        AND contenido IS NOT NULL
        AND LENGTH(contenido) > 10
     AND empresa_id = $1 ORDER BY id LIMIT $2""",
                    "acme",
                    10,
                )
                results = await embedding.generate_batch_embeddings([row["contenido"] for row in rows])
                for row, result in zip(rows, results, strict=True):
                    embedding_str = "[" + ",".join(map(str, result.embedding)) + "]"
                    await connection.execute(
                        """
            UPDATE knowledge_chunks
            SET embedding = $1::vector
            WHERE id = $2
        """,
                        embedding_str,
                        row["id"],
                    )
                remaining = await connection.fetchval(
                    """
        SELECT COUNT(*) FROM knowledge_chunks
        WHERE embedding IS NULL
        AND contenido IS NOT NULL
        AND LENGTH(contenido) > 10
    """
                )
            assert remaining == 10 == await chunks.count_pending(database, None)
            [first, *_] = await VectorSearchService(database, embedding).semantic_search("acme", text(7))
            assert first.chunk_id == "acme-0007"
            report = await Backfill(database, embedding).run()
            assert report.processed == 10
    assert await stored(database) == 20


async def test_a_text_that_occurs_often_is_sent_once(database: Database) -> None:
    await fill(database, 6)
    await value(
        database, "UPDATE knowledge_chunks SET contenido = 'Siempre el mismo aviso legal' WHERE id > 'acme-0001'"
    )
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            work = Backfill(database, embedding, batch_size=2, concurrency=1)
            plan = await work.plan()
            report = await work.run()
            assert (report.processed, report.copied, server.inputs) == (6, 3, 3)
            assert plan.tokens == report.tokens == server.tokens
            await value(
                database,
                "UPDATE knowledge_chunks SET contenido = 'Siempre el mismo aviso legal' WHERE id = 'acme-0000'",
            )
            assert (await work.plan()).tokens == 0
            assert ((await work.run()).copied, server.inputs) == (1, 3)
    assert await stored(database) == 6


async def test_two_backfills_at_once_share_the_work(database: Database) -> None:
    await fill(database, 60)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            works = [Backfill(database, embedding, batch_size=5, concurrency=2) for _ in range(2)]
            one, other = await asyncio.gather(*(work.run() for work in works))
        assert server.inputs == 60
    assert one.processed + other.processed == 60
    assert await stored(database) == 60


async def test_what_was_billed_is_on_the_companies_accounts(database: Database) -> None:
    await fill(database, 5)
    await fill(database, 3, "otra")
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            report = await Backfill(database, embedding).run()
        assert report.tokens == server.tokens
    spent = {one.empresa_id: (one.texts, one.tokens) for one in await usage.month(database)}
    assert spent == {
        "acme": (5, sum(count_tokens([text(k) for k in range(5)]))),
        "otra": (3, sum(count_tokens([text(k) for k in range(3)]))),
    }


async def test_a_budget_stops_the_queue_without_an_error(database: Database) -> None:
    await fill(database, 30)
    await fill(database, 5, "otra")
    await usage.set_budget(database, "acme", 1, None)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            work = Backfill(database, embedding, batch_size=10, concurrency=1)
            report = await work.run("acme")
            assert (report.processed, report.remaining, report.stopped) == (10, 20, None)
            assert report.over_budget == ("acme",)
            assert (await work.run()).processed == 5
            await usage.set_budget(database, "acme", None, None)
            last = await work.run()
            assert (last.processed, last.over_budget) == (20, ())


async def test_what_a_killed_run_had_in_hand_is_taken_over(database: Database) -> None:
    await fill(database, 10)
    with ProviderServer(dims=DIMS) as server:
        async with service(server) as embedding:
            generation = await own_generation(database, embedding)
            await queue.claim(database, generation.number, "killed", 4, 0.5)
            report = await Backfill(database, embedding).run()
    assert (report.processed, report.remaining) == (10, 0)
