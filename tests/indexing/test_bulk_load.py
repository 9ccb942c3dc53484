"""Large fills of a company that has an HNSW index: dropped before, built anew behind, whatever happens in between."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from ateneo.db import indexes
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill, IndexNews, Outgrown
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ProviderRejected
from ateneo.indexing import maintenance
from ateneo.search.service import VectorSearchService
from ateneo.types import Embedded, Kind, Limits

THRESHOLD, BASE = 100, 120


class Steady:
    """The port Embedder: a text of its own has a vector of its own. `broken`: it takes nobody's key."""

    provider, model, dims = "local", "steady", 64
    limits = Limits(inputs=500, tokens=10**6, tokens_per_input=10**4)
    dense_weight, price = 0.4, 0.0

    def __init__(self, *, broken: bool = False) -> None:
        self._broken = broken

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def truncate(self, text: str) -> str:
        return text

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        if self._broken:
            raise ProviderRejected(provider="local", detail="401", http_status=401)
        seeds = [int.from_bytes(text.encode()[-4:], "big") for text in texts]
        made = np.stack([np.random.default_rng(seed).standard_normal(64, dtype=np.float32) for seed in seeds])
        return Embedded(made / np.linalg.norm(made, axis=1, keepdims=True), len(texts))

    async def close(self) -> None:
        pass


@pytest.fixture
async def embedding(database: Database) -> AsyncIterator[EmbeddingService]:
    """A company with an index, and one without."""
    async with EmbeddingService(Steady()) as service:
        await insert(database, "acme", 0, BASE)
        await insert(database, "otra", 0, 10)
        await Backfill(database, service).run()
        done = [one.action async for one in maintenance.index_generation(database, 1, threshold=THRESHOLD)]
        assert done == ["create", "vacuum"]
        yield service


async def insert(db: Database, empresa: str, first: int, last: int) -> None:
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido)"
            " SELECT $1 || n, $1, 'un pasaje cualquiera, el ' || (1000 + n) FROM generate_series($2::int, $3::int) n",
            empresa,
            first,
            last - 1,
        )


async def own(db: Database) -> list[tuple[str, bool]]:
    async with db.acquire() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT name, valid FROM ateneo.own_indexes(1::smallint)")]


async def test_a_large_fill_drops_the_index_and_builds_it_anew(database: Database, embedding: EmbeddingService) -> None:
    [(name, _)] = await own(database)
    await insert(database, "acme", BASE, 2 * BASE)
    told: list[IndexNews] = []
    report = await Backfill(database, embedding, threshold=THRESHOLD).run(on_index=told.append)
    assert (report.processed, report.indexed, report.set_aside) == (BASE, ("acme",), ())
    first = told[0]
    assert isinstance(first, Outgrown)
    assert (first.empresa_id, first.waiting, first.task.vectors) == ("acme", BASE, BASE)
    assert [one.action for one in told if not isinstance(one, Outgrown)] == ["create", "vacuum"]
    assert await own(database) == [(name, True)]
    found = await indexes.companies(database, 1)
    assert [(one.empresa_id, one.vectors, one.churn) for one in found] == [("acme", 2 * BASE, 0.0), ("otra", 10, None)]


@pytest.mark.parametrize(("last", "limit"), [(BASE + 50, None), (2 * BASE, 50)])
async def test_a_small_one_goes_through_the_graph(
    database: Database, embedding: EmbeddingService, last: int, limit: int | None
) -> None:
    before = await own(database)
    await insert(database, "acme", BASE, last)
    await insert(database, "otra", 10, 60)
    told: list[IndexNews] = []
    report = await Backfill(database, embedding, threshold=THRESHOLD).run("acme", limit, on_index=told.append)
    assert (report.processed, report.indexed, told) == (50, (), [])
    assert await own(database) == before


@pytest.mark.parametrize("healer", ["the next run", "tune"])
async def test_what_is_interrupted_in_between_is_healed(
    database: Database, embedding: EmbeddingService, healer: str
) -> None:
    """The provider goes: the index is missing, searches read all vectors, and whoever comes next builds it."""
    [(name, _)] = await own(database)
    await insert(database, "acme", BASE, 2 * BASE)
    async with EmbeddingService(Steady(broken=True)) as other:
        report = await Backfill(database, other, threshold=THRESHOLD).run()
    assert report.set_aside == (name,)
    assert (await own(database), report.processed) == ([], 0)
    found = await VectorSearchService(database, embedding).semantic_search("acme", "un pasaje cualquiera, el 1007", 1)
    assert [hit.chunk_id for hit in found] == ["acme7"]
    if healer == "tune":
        assert "create" in [one.action async for one in maintenance.tune(database, threshold=THRESHOLD)]
    else:
        report = await Backfill(database, embedding, threshold=THRESHOLD).run()
        assert (report.processed, report.indexed, report.set_aside) == (BASE, ("acme",), ())
    assert await own(database) == [(name, True)]


async def test_a_maintenance_at_work_is_left_alone(database: Database, embedding: EmbeddingService) -> None:
    before = await own(database)
    await insert(database, "acme", BASE, 2 * BASE)
    async with indexes.alone(database):
        report = await Backfill(database, embedding, threshold=THRESHOLD).run()
    assert (report.processed, report.indexed) == (BASE, ())
    assert await own(database) == before
