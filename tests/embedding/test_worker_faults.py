"""A worker whose provider or database fails in ways that nobody foresaw: it says so, goes on, no text is charged."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from tests.providers.server import vector_for

from ateneo.db import chunks, usage, workers
from ateneo.db.pool import Connection, Database
from ateneo.embedding import engine, heartbeat, queue, worker
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import own_generation
from ateneo.embedding.queue import EmbeddingQueue
from ateneo.embedding.service import HARMLESS, EmbeddingService
from ateneo.embedding.worker import Worker
from ateneo.types import Embedded, Kind, Limits

DIMS = 4


class OwnModel:
    """An Embedder of a third party's, through the public port; `raises` what its client does, of the texts sent."""

    provider, model, dims, dense_weight, price = "propio", "modelo", DIMS, 0.5, 0.0
    limits = Limits(inputs=8, tokens=1000, tokens_per_input=500)

    def __init__(self, raises: Callable[[Sequence[str]], Exception | None] = lambda _: None) -> None:
        self.raises = raises

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def truncate(self, text: str) -> str:
        return text[:500]

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        if (error := self.raises(texts)) is not None:
            raise error
        return Embedded(np.array([vector_for(text, DIMS) for text in texts]), len(texts))

    async def close(self) -> None:
        pass


class Breaking(Database):
    """At the `at`-th connection that is taken from now on, `how` happens to it."""

    at: int | None = None
    how: Callable[[Connection], Any]

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        async with super().acquire() as connection:
            if self.at is not None:
                self.at -= 1
                if self.at < 0:
                    self.at = None
                    await self.how(connection)
            yield connection


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits in a test."""
    monkeypatch.setattr(engine, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(engine, "_LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(worker, "_LOOK_FOR_GENERATIONS_S", 0.05)
    monkeypatch.setattr(worker, "BEAT_S", 0.1)
    monkeypatch.setattr(queue, "POLL_S", 0.05)
    monkeypatch.setattr(queue, "_AFTER_UNEXPECTED_S", 0.05)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.1)


@pytest.fixture
def unretrieved() -> Iterator[list[str]]:
    """What asyncio says of exceptions that nobody took."""
    said: list[str] = []
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda _, context: said.append(str(context.get("exception") or context["message"])))
    yield said
    loop.set_exception_handler(None)


async def insert(db: Database, count: int, prefix: str = "c") -> None:
    async with db.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)",
            [(f"{prefix}{n:02}", f"Pasaje número {n} de la tanda {prefix}") for n in range(count)],
        )


async def queue_rows(db: Database) -> list[Any]:
    async with db.acquire() as connection:
        return await connection.fetch("SELECT * FROM ateneo.embedding_queue ORDER BY chunk_id")


@asynccontextmanager
async def working(db: Database, embedder: OwnModel) -> AsyncIterator[Worker]:
    async with EmbeddingService(embedder, retries=0) as embedding:
        at_work = Worker(db, Models(embedding), batch_size=10, concurrency=2)
        task = asyncio.create_task(at_work.run())
        try:
            yield at_work
        finally:
            at_work.stop()
            async with asyncio.timeout(30):
                await task


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_client_that_raises_what_nobody_foresaw_pauses_the_lane_and_costs_no_text_anything(
    database: Database, unretrieved: list[str]
) -> None:
    await insert(database, 25)
    broken = True
    embedder = OwnModel(lambda _: KeyError("sk-secreto Pasaje") if broken else None)

    async def paused() -> bool:
        return any(row.state == "paused" and "KeyError" in (row.note or "") for row in await workers.alive(database))

    async def done() -> bool:
        return await chunks.count_pending(database, None) == 0 and at_work.totals.processed == 25

    with capture_logs() as logs:
        async with working(database, embedder) as at_work:
            await until(paused)
            rows = await queue_rows(database)
            assert {row["state"] for row in rows} == {"pending"}
            assert {(row["attempts"], row["deaths"]) for row in rows if row["leased_by"] is None} <= {(0, 0)}
            assert {"KeyError" in row["error"] for row in rows if row["error"]} == {True}
            broken = False
            await until(done)
    assert unretrieved == []
    assert "unexpected" in {entry["event"] for entry in logs}
    assert "secreto" not in str(logs) and "Pasaje" not in str(logs)


async def test_one_text_that_breaks_us_waits_and_the_others_go_on(database: Database, unretrieved: list[str]) -> None:
    await insert(database, 25)
    embedder = OwnModel(lambda texts: RuntimeError() if any("número 7 " in text for text in texts) else None)

    async def one_left() -> bool:
        return await chunks.count_pending(database, None) == 1

    async with working(database, embedder):
        await until(one_left)
    [row] = await queue_rows(database)
    assert (row["chunk_id"], row["state"], row["attempts"], row["deaths"]) == ("c07", "pending", 0, 0)
    assert "RuntimeError" in row["error"] and row["leased_by"] is None
    assert unretrieved == []


async def _terminated(connection: Connection) -> None:
    """The server ends the session, as in a restart; whatever comes next on it fails."""
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def _raised(_: Connection) -> None:
    raise LookupError("nadie lo previó")


@pytest.mark.parametrize("how", [_terminated, _raised])
async def test_a_database_that_fails_at_any_step_is_worked_on_again(
    database_url: str, unretrieved: list[str], how: Callable[[Connection], Any]
) -> None:
    async with await Breaking.open(database_url, size=9) as db, await Database.open(database_url, size=2) as look:
        db.how = how

        async def done() -> bool:
            return await chunks.count_pending(look, None) == 0 and db.at is None

        async with working(db, OwnModel()):
            for step in range(14):
                db.at = step
                await insert(look, 12, f"s{step:02}-")
                await until(done)
        async with look.acquire() as connection:
            kept = await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1")
        assert (kept, await queue_rows(look)) == (14 * 12, [])
    assert unretrieved == []


@pytest.mark.direct
async def test_leases_that_could_not_be_given_back_are_no_deaths(database_url: str) -> None:
    """The provider fails, and the database in the moment in which the batch is given back."""
    sent: list[str] = []
    async with await Breaking.open(database_url, size=9) as db:
        db.how, broken = _raised, True

        def fail(texts: Sequence[str]) -> Exception | None:
            sent.extend(texts)
            if broken and list(texts) == [HARMLESS]:
                db.at = 0
            return ValueError() if broken else None

        async with EmbeddingService(OwnModel(fail), retries=0) as embedding:
            generation = await own_generation(db, embedding)
            await insert(db, 5)
            engine = EmbeddingQueue(db, embedding, generation)
            engine._release_all = _later  # type: ignore[method-assign]
            await engine.drain()
            assert engine.outage is not None and db.at is None
            assert {row["leased_by"] for row in await queue_rows(db)} == {engine.worker}
            del engine._release_all
            async with db.acquire() as connection:
                await connection.execute("UPDATE ateneo.embedding_queue SET lease_until = now() - interval '1 minute'")
            broken = False
            sent.clear()
            await engine.drain()
        assert await queue_rows(db) == []
        assert HARMLESS not in sent, "nobody suspects these texts"


async def _later() -> None:
    """The database is still away at the end of the drain."""


_REFUSING = """
CREATE FUNCTION no_vector() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.id LIKE '%7' AND NEW.embedding IS NOT NULL THEN RAISE EXCEPTION 'fila cerrada'; END IF; RETURN NEW; END $$;
CREATE TRIGGER no_vector BEFORE UPDATE ON knowledge_chunks FOR EACH ROW EXECUTE FUNCTION no_vector();
"""


async def test_rows_that_a_rule_of_the_users_refuses_hold_up_no_others(database: Database) -> None:
    await insert(database, 30)
    async with database.acquire() as connection:
        await connection.execute(_REFUSING)

    async def three_left() -> bool:
        return await chunks.count_pending(database, None) == 3

    async with working(database, OwnModel()):
        await until(three_left)
    rows = await queue_rows(database)
    assert [row["chunk_id"] for row in rows] == ["c07", "c17", "c27"]
    assert all("fila cerrada" in row["error"] and row["deaths"] == 0 for row in rows)
    assert sum(one.tokens for one in await usage.month(database)) >= 30, "what was paid is in the account"


async def test_a_table_that_refuses_every_row_pauses_the_lane(database: Database) -> None:
    await insert(database, 8)
    async with database.acquire() as connection:
        await connection.execute(_REFUSING.replace("NEW.id LIKE '%7' AND", ""))

    async def paused() -> bool:
        return any(row.state == "paused" and "fila" in (row.note or "") for row in await workers.alive(database))

    async with working(database, OwnModel()):
        await until(paused)
    assert {row["state"] for row in await queue_rows(database)} == {"pending"}


def test_no_outage_is_too_long_for_us() -> None:
    """A power of two above 1,023 is more than a float takes; a provider may ask for years."""
    assert [engine.pause_s(failures, None) for failures in (1, 5000)] == [0.01, 0.05]
    assert engine.pause_s(1, 1e12) == 3600
    assert engine.pause_s(1, 0.0) == 0.01
    assert 0 < queue._delay(5000) <= 300
