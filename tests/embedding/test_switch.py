"""A change of model: searches and edits go on, every step can be interrupted, and models are never mixed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from tests.providers.server import Fault, ProviderServer, words_vector

from ateneo.db import generations, usage
from ateneo.db.pool import Connection, Database
from ateneo.embedding import legacy_column as column
from ateneo.embedding import switch
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.current_model import CurrentModel, Models
from ateneo.embedding.service import EmbeddingService
from ateneo.embedding.switch import Switch
from ateneo.errors import ProviderError, SwitchRefused
from ateneo.providers.local import LocalEmbedder, bundled_model_dirs
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService
from ateneo.types import Matrix

SUBJECTS = ["vacaciones", "reembolso", "factura", "contraseña", "horario", "garantía", "envío", "licencia", "almacén"]
WHEN = ["lunes", "enero", "verano", "mañana", "feriado"]


def text_of(number: int) -> str:
    subject, when = SUBJECTS[number % len(SUBJECTS)], WHEN[number % len(WHEN)]
    return f"El pedido ped{number:03} sobre {subject} se resuelve durante {when} en la oficina {number % 7}."


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(dims=256, vector_of=words_vector) as one:
        yield one


def service(server: ProviderServer, model: str, dims: int) -> EmbeddingService:
    embedder = OpenAIEmbedder(api_key="k", model=model, base_url=server.url, dimensions=dims, timeout_s=10)
    return EmbeddingService(embedder, retries=0)


@pytest.fixture(scope="module")
def bundled() -> EmbeddingService:
    """The former one: without prefixes, a text has one vector as a question and as a passage."""
    return EmbeddingService(LocalEmbedder(bundled_model_dirs()[1], threads=1))


@pytest.fixture
async def small(database: Database, server: ProviderServer) -> AsyncIterator[tuple[EmbeddingService, EmbeddingService]]:
    """Twenty chunks with vectors of an old model of 8 dimensions; and a new one of 16."""
    async with service(server, "viejo", 8) as old, service(server, "nuevo", 16) as new:
        await load(database, old, 20)
        yield old, new


async def load(db: Database, embedding: EmbeddingService, count: int) -> None:
    async with db.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)",
            [(f"c{n:03}", "acme" if n % 3 else "otra", text_of(n)) for n in range(count)],
        )
    report = await Backfill(db, embedding, batch_size=16, concurrency=1).run()
    assert report.processed == count


async def vectors(connection: Connection, generation: int) -> dict[str, Matrix]:
    rows = await connection.fetch(f"SELECT chunk_id, embedding::real[] AS v FROM ateneo.vec_g{generation}")
    return {row["chunk_id"]: np.array(row["v"], dtype=np.float32) for row in rows}


async def check(db: Database, generation: int, embedding: EmbeddingService, *, column: bool) -> None:
    """Every chunk has the vector of its present text, nothing else has one, and the column says the same."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT id, contenido, embedding FROM knowledge_chunks ORDER BY id")
        stored = await vectors(connection, generation)
    assert set(stored) == {row["id"] for row in rows}
    expected = (await embedding.embed_matrix([row["contenido"] for row in rows])).vectors
    for row, vector in zip(rows, expected, strict=True):
        assert float(stored[row["id"]] @ vector) == pytest.approx(1, abs=2e-3), row["id"]
        if column:
            assert float(row["embedding"] @ vector) == pytest.approx(1, abs=1e-4), row["id"]


class Searchers:
    """Searches without a pause; each question is a passage word for word, so its own vector is nearest and equal: a
    vector compared with another model's would be neither."""

    def __init__(self, db: Database, models: Models) -> None:
        self.search = VectorSearchService(db, models)
        self.search._current = CurrentModel(db, models, fresh_s=0.02)
        self.seen: dict[int, int] = {}
        self.failures: list[str] = []

    async def one(self, which: int) -> None:
        number = which
        while True:
            number = (number + 7) % 40  # the last ten of fifty are edited meanwhile
            empresa = "acme" if number % 3 else "otra"
            try:
                found = await self.search.search(empresa, text_of(number), 3, mode="dense", explain=True)
            except Exception as error:  # noqa: BLE001
                self.failures.append(repr(error))
                return
            assert found.plan is not None
            generation = int(found.plan["generation"])
            if not found.hits or (found.hits[0].dense_score or 0) < 0.99 or found.hits[0].contenido != text_of(number):
                self.failures.append(f"{generation}: {text_of(number)} -> {found.hits[:1]}")
                return
            self.seen[generation] = self.seen.get(generation, 0) + 1
            await asyncio.sleep(0)

    async def until(self, generation: int) -> None:
        """Waits for ten more searches of this generation."""
        enough = self.seen.get(generation, 0) + 10
        async with asyncio.timeout(60):
            while self.seen.get(generation, 0) < enough and not self.failures:
                await asyncio.sleep(0.01)
        assert self.failures == []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.one(which)) for which in range(3)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.search.close()
        assert self.failures == []


@pytest.mark.parametrize("dims", [256, 384])
async def test_searches_never_fail_nor_mix_models_while_everything_happens(
    database: Database, bundled: EmbeddingService, server: ProviderServer, dims: int
) -> None:
    """384 is the old model's length, too: a mixture would not even be refused, only wrong."""
    await load(database, bundled, 50)
    async with service(server, "nuevo", dims) as new:
        models = Models(bundled, lambda generation: new if generation.model == "nuevo" else None)
        searchers = Searchers(database, models)
        work = Switch(database, new, asked_dims=dims)
        async with searchers.at_work():
            await searchers.until(1)
            plan = await work.plan(threshold=20, count_tokens=True)
            assert (plan.chunks, plan.total, plan.dims, plan.begun) == (50, 50, dims, None)
            assert plan.tokens and plan.disk.table_bytes > 0
            generation = await work.begin()
            await work.fill(generation)
            await _edits(database)
            built = [tuned async for tuned in work.index(generation, threshold=20) if tuned.action == "create"]
            assert len(built) == 1
            await searchers.until(1)
            await work.activate(generation)
            await searchers.until(2)
            assert (await column.refill(database)).busy == 0
            await check(database, 2, new, column=True)
            await switch.rollback(database)
            await searchers.until(1)
            await column.refill(database)
            await Switch(database, bundled).fill((await generations.all_generations(database))[0])
            await check(database, 1, bundled, column=False)
            await work.activate(generation)
            await searchers.until(2)
            await column.refill(database)
            assert await switch.prune(database, await switch.prunable(database))
            await searchers.until(2)
        assert [one.number for one in await generations.all_generations(database)] == [2]
        await check(database, 2, new, column=True)


async def _edits(db: Database) -> None:
    """Texts change, go and come while the new generation has its vectors already."""
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE knowledge_chunks SET contenido = contenido || ' Corregido.' WHERE id >= 'c045'"
        )
        await connection.execute("DELETE FROM knowledge_chunks WHERE id IN ('c041', 'c042')")
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
            " VALUES ('nuevo', 'acme', 'Un pedido que llegó tarde.')"
        )


async def test_an_interrupted_fill_goes_on_where_it_was(
    small: tuple[EmbeddingService, EmbeddingService], database: Database, server: ProviderServer
) -> None:
    _, new = small
    work = Switch(database, new, asked_dims=16)
    generation = await work.begin()
    server.poison = text_of(5)  # halved down to this one, while all others are stored
    first = await work.fill(generation)
    assert first.processed == 19
    server.poison = None
    server.otherwise = Fault.SERVER_ERROR
    with pytest.raises(ProviderError):
        await work.fill(generation)
    server.otherwise = Fault.OK
    again = Switch(database, new, asked_dims=16)
    assert (await again.begin()).number == generation.number
    plan = await again.plan(threshold=5000, count_tokens=True)
    assert (plan.chunks, plan.begun) == (1, generation)
    await _revive(database)
    assert (await again.fill(generation)).processed == 1
    await check(database, 2, new, column=False)


async def _revive(db: Database) -> None:
    async with db.acquire() as connection:
        await connection.execute("UPDATE ateneo.embedding_queue SET state = 'pending', next_try_at = now()")


async def test_a_switch_without_most_vectors_is_refused(
    small: tuple[EmbeddingService, EmbeddingService], database: Database, server: ProviderServer
) -> None:
    _, new = small
    work = Switch(database, new, asked_dims=16)
    generation = await work.begin()
    server.poison = "pedido"
    with pytest.raises(SwitchRefused, match="20 de 20"):
        await work.activate(generation)
    await work.activate(generation, force=True)
    assert [one.active for one in await generations.all_generations(database)] == [False, True]


async def test_another_model_waits_until_this_switch_is_over(
    small: tuple[EmbeddingService, EmbeddingService], database: Database, server: ProviderServer
) -> None:
    _, new = small
    await Switch(database, new, asked_dims=16).begin()
    async with service(server, "tercero", 4) as third:
        with pytest.raises(SwitchRefused, match="nuevo"):
            await Switch(database, third, asked_dims=4).plan(threshold=5000, count_tokens=False)
        with pytest.raises(SwitchRefused, match="--generation 2"):
            await Switch(database, third, asked_dims=4).begin()
        with pytest.raises(SwitchRefused, match="--generation 2"):
            await generations.create(database, "openai", "tercero", 4)
        assert await switch.prune(database, await switch.prunable(database, 2))
        assert (await Switch(database, third, asked_dims=4).begin()).number == 3


async def test_only_one_process_changes_the_model(database: Database) -> None:
    async with switch.alone(database):
        with pytest.raises(SwitchRefused):
            async with switch.alone(database):
                pass
        with pytest.raises(SwitchRefused):
            await switch.refuse_second(database)
    await switch.refuse_second(database)
    async with switch.alone(database):
        pass


async def test_what_cannot_be_is_refused_with_a_way_out(
    small: tuple[EmbeddingService, EmbeddingService], database: Database
) -> None:
    _, new = small
    with pytest.raises(SwitchRefused, match="anterior"):
        await switch.rollback(database)
    with pytest.raises(SwitchRefused, match="en uso"):
        await switch.prunable(database, 1)
    with pytest.raises(SwitchRefused, match="No hay una generación 9"):
        await switch.prunable(database, 9)
    work = Switch(database, new, asked_dims=16)
    await work.activate(await work.begin())
    with pytest.raises(SwitchRefused, match="en uso"):
        await switch.prunable(database)  # the column still holds its vectors
    assert (await column.refill(database)).changed == 20
    assert (await column.refill(database)).changed == 0
    assert [one.generation.number for one in await switch.prunable(database)] == [1]


async def test_a_column_of_fixed_length_keeps_its_model_until_it_is_widened(
    small: tuple[EmbeddingService, EmbeddingService], database: Database
) -> None:
    _, new = small
    async with database.acquire() as connection:
        trigger = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'ateneo_update'"
        definition = await connection.fetchval(trigger)
        await connection.execute("DROP TRIGGER ateneo_update ON knowledge_chunks")
        await connection.execute("ALTER TABLE knowledge_chunks ALTER COLUMN embedding TYPE vector(8)")
        await connection.execute(definition)
    work = Switch(database, new, asked_dims=16)
    assert (await work.plan(threshold=5000, count_tokens=False)).column == "vector(8)"
    await work.activate(await work.begin())
    with pytest.raises(SwitchRefused) as error:
        await column.refill(database)
    assert "ateneo.widen_column()" in error.value.remedy
    assert [one.legacy for one in await generations.all_generations(database)] == [True, False]
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.widen_column()")
        assert await connection.fetchval(trigger) == definition
    assert (await column.refill(database)).changed == 20


async def test_status_says_what_is_missing_and_whose_model_is_at_hand(
    small: tuple[EmbeddingService, EmbeddingService], database: Database
) -> None:
    old, new = small
    await Switch(database, new, asked_dims=16).begin()
    first, second = await switch.status(database, Models(old))
    assert (first.at_hand, first.filled.missing) == (True, 0)
    assert (second.at_hand, second.filled.missing, second.filled.vectors) == (False, 20, 0)
    assert not second.at_work
    async with switch.alone(database):
        assert [one.at_work for one in await switch.status(database, Models(old))] == [False, True]


async def test_a_text_that_is_refused_or_blank_does_not_keep_from_planning(
    small: tuple[EmbeddingService, EmbeddingService], database: Database, server: ProviderServer
) -> None:
    _, new = small
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ('a', 'acme', $1)", " " * 20
        )
    server.poison = "ped003"
    work = Switch(database, new, asked_dims=16)
    plan = await work.plan(threshold=5000, count_tokens=True)
    assert (plan.chunks, plan.seconds > 0) == (21, True)
    filled = await work.fill(await work.begin())
    assert (filled.processed, filled.dead) == (19, 2)


async def test_a_company_without_budget_is_told_of(
    small: tuple[EmbeddingService, EmbeddingService], database: Database
) -> None:
    old, new = small
    await usage.set_budget(database, "otra", 0, None)
    work = Switch(database, new, asked_dims=16)
    generation = await work.begin()
    assert (await work.fill(generation)).processed == 13
    assert [one.over_budget for one in await switch.status(database, Models(old))] == [0, 7]
    with pytest.raises(SwitchRefused, match=r"7 de 20; sin presupuesto 7, apartados con error 0"):
        await work.activate(generation)
    await usage.set_budget(database, "otra", None, None)
    await work.activate(generation)
    await check(database, 2, new, column=False)


async def test_a_database_without_vectors_has_nothing_to_switch(database: Database, server: ProviderServer) -> None:
    async with service(server, "nuevo", 16) as new:
        with pytest.raises(SwitchRefused, match="Todavía no hay vectores"):
            await Switch(database, new).plan(threshold=5000, count_tokens=False)
