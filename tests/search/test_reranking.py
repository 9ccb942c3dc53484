"""Search with a reranker: its order, its bounds, and the search's own order where it fails."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.providers import tiny_cross_encoder
from tests.providers.rerank_server import Fault, RerankServer

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, ModelError, SettingsError
from ateneo.factories.rerankers import make_reranking
from ateneo.providers.cross_encoder import CrossEncoder
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.providers.rerank_http import HttpReranker
from ateneo.search.reranking import Reranking
from ateneo.search.service import VectorSearchService
from ateneo.settings import load

QUERY = "feriado pago doble"


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with RerankServer() as opened:
        yield opened


@pytest.fixture
async def filled(database: Database) -> AsyncIterator[Database]:
    """BM25 likes a repeated word, the rerankers like different ones: their orders differ."""
    async with database.acquire() as connection:
        for number in range(12):
            text = f"feriado {'feriado ' * (12 - number)}{'pago ' * (number % 3)}{'doble' if number in (3, 7) else ''}"
            await connection.execute(
                "INSERT INTO knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido)"
                " VALUES ($1, 'd' || ($2 % 4), 'acme', $2, $3)",
                f"c{number:02}",
                number,
                text,
            )
    yield database


def over(db: Database, embedding: EmbeddingService, server: RerankServer, **bounds: float) -> VectorSearchService:
    reranker = HttpReranker(url=server.url, api_key="clave-muy-secreta")
    return VectorSearchService(db, embedding, reranking=Reranking(reranker, **bounds))  # type: ignore[arg-type]


async def test_the_rerankers_order_with_both_scores(
    filled: Database, embedding: EmbeddingService, server: RerankServer
) -> None:
    plain = await VectorSearchService(filled, embedding).search("acme", QUERY, 12)
    search = over(filled, embedding, server)
    found = await search.search("acme", QUERY, 3)
    assert [hit.rerank_score for hit in found.hits] == [1, pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert found.hits[0].chunk_id == "c07"
    fused = {hit.chunk_id: hit.score for hit in plain.hits}
    assert all(hit.score == fused[hit.chunk_id] for hit in found.hits)
    # equal scores keep the fused order
    tied = [hit.chunk_id for hit in plain.hits if ("pago" in hit.contenido) != ("doble" in hit.contenido)]
    assert [hit.chunk_id for hit in found.hits[1:]] == tied[:2]
    assert sorted(server.requests[0]["documents"]) == sorted(hit.contenido for hit in plain.hits)
    assert found.warnings == plain.warnings
    await search.close()


async def test_what_is_beyond_the_candidates_keeps_its_place_and_pages_are_stable(
    filled: Database, embedding: EmbeddingService, server: RerankServer
) -> None:
    plain = await VectorSearchService(filled, embedding).search("acme", QUERY, 12)
    search = over(filled, embedding, server, candidates=4)
    whole = (await search.search("acme", QUERY, 12)).hits
    assert {hit.chunk_id for hit in whole[:4]} == {hit.chunk_id for hit in plain.hits[:4]}
    assert whole[4:] == plain.hits[4:]
    assert [hit.rerank_score is None for hit in whole] == [False] * 4 + [True] * 8
    pages = [(await search.search("acme", QUERY, 3, skip=skip)).hits for skip in (0, 3, 6, 9)]
    assert tuple(hit for page in pages for hit in page) == whole
    asked = len(server.requests)
    await search.search("acme", QUERY, 3, skip=6)
    assert len(server.requests) == asked
    assert all(len(request["documents"]) == 4 for request in server.requests)
    await search.close()


async def test_groups_are_in_the_rerankers_order(
    filled: Database, embedding: EmbeddingService, server: RerankServer
) -> None:
    search = over(filled, embedding, server)
    found = await search.search("acme", QUERY, 2, group_by_document=True, neighbours=1, highlight=True)
    assert found.groups[0].document_id == "d3"
    assert len(found.groups) == 2
    best = found.groups[0].hits[0]
    assert (best.chunk_id, best.rerank_score) == ("c07", 1)
    assert best.highlights
    assert (best.before[0].chunk_id, best.after[0].chunk_id) == ("c03", "c11")
    await search.close()


@pytest.mark.parametrize(
    "fault", [Fault.HANG, Fault.UNAUTHORIZED, Fault.SERVER_ERROR, Fault.CUT, Fault.GARBAGE, Fault.NAN]
)
async def test_a_reranker_that_fails_leaves_the_fused_order_and_it_is_said(
    filled: Database, embedding: EmbeddingService, server: RerankServer, fault: Fault
) -> None:
    plain = await VectorSearchService(filled, embedding).search("acme", QUERY, 5)
    server.fault = fault
    search = over(filled, embedding, server, timeout_s=0.2 if fault is Fault.HANG else 30)
    found = await search.search("acme", QUERY, 5)
    assert found.hits == plain.hits
    [warning] = set(found.warnings) - set(plain.warnings)
    assert "orden de la búsqueda" in warning
    assert "127.0.0.1" in warning
    assert "secreta" not in warning
    await search.close()


async def test_a_local_cross_encoder(filled: Database, embedding: EmbeddingService, tmp_path: Path) -> None:
    reranking = Reranking(CrossEncoder(tiny_cross_encoder.write(tmp_path), threads=1), timeout_s=60)
    search = VectorSearchService(filled, embedding, reranking=reranking)
    found = await search.search("acme", QUERY, 12)
    assert not [warning for warning in found.warnings if "reranker" in warning]
    scores = [hit.rerank_score or 0 for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    (tmp_path / "model.onnx").write_bytes(b"roto")
    await search.close()
    assert any("model.onnx" in warning for warning in (await search.search("acme", QUERY)).warnings)


async def test_nothing_found_asks_nobody(filled: Database, embedding: EmbeddingService, server: RerankServer) -> None:
    search = over(filled, embedding, server)
    assert (await search.search("nadie", QUERY)).hits == ()
    assert not server.requests


async def test_by_request(filled: Database, embedding: EmbeddingService, server: RerankServer) -> None:
    search = over(filled, embedding, server)
    without = await search.search("acme", QUERY, rerank=False)
    assert (server.requests, without.hits[0].rerank_score) == ([], None)
    assert (await search.search("acme", QUERY, rerank=True)).hits[0].rerank_score is not None
    await search.close()
    with pytest.raises(BadArgument, match="ATENEO_RERANKER"):
        await VectorSearchService(filled, embedding).search("acme", QUERY, rerank=True)


def test_settings_choose_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert make_reranking(load()) is None
    monkeypatch.setenv("ATENEO_RERANKER", "onnx")
    with pytest.raises(SettingsError, match="ATENEO_RERANKER_DIR"):
        make_reranking(load())
    monkeypatch.setenv("ATENEO_RERANKER_DIR", str(tmp_path))
    with pytest.raises(ModelError):
        make_reranking(load())
    tiny_cross_encoder.write(tmp_path)
    monkeypatch.setenv("ATENEO_RERANKER_CANDIDATES", "12")
    monkeypatch.setenv("ATENEO_RERANKER_TIMEOUT_S", "0.5")
    chosen = make_reranking(load())
    assert chosen is not None
    assert (chosen.reranker.provider, chosen.candidates, chosen.timeout_s) == ("onnx", 12, 0.5)
    for value, provider in [
        ("cohere", "cohere"),
        ("jina", "jina"),
        ("https://reordena.example/rerank", "reordena.example"),
    ]:
        monkeypatch.setenv("ATENEO_RERANKER", value)
        monkeypatch.setenv("ATENEO_RERANKER_API_KEY", "k")
        chosen = make_reranking(load())
        assert chosen is not None
        assert chosen.reranker.provider == provider
    monkeypatch.setenv("ATENEO_RERANKER", "magia")
    with pytest.raises(SettingsError, match="ATENEO_RERANKER"):
        load()
