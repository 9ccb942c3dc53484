"""How probable it is that a passage answers, and `min_score`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ateneo.db.pool import Database
from ateneo.embedding.generation import own_generation
from ateneo.embedding.scale import BUNDLED, Scale, measured, scale_of
from ateneo.embedding.service import EmbeddingService
from ateneo.ingestion.service import IngestionService
from ateneo.providers.local import LocalEmbedder, bundled_model_dirs
from ateneo.search.relevance import relevance
from ateneo.search.service import VectorSearchService
from ateneo.types import Embedded, Hit, Kind

NARROW, WIDE = Scale(0.77, 0.02), Scale(0.0, 0.1)
HIT = Hit("a", None, None, "texto", 0.5, None, None, None, None)


def test_the_scale_is_that_of_unrelated_texts() -> None:
    scale = Scale.of(np.array([[9.0, 0.1, 0.3], [0.3, 9.0, 0.1], [0.1, 0.3, 9.0]]))
    assert (scale.mean, scale.spread) == pytest.approx((0.2, 0.1))
    assert scale.standardised(0.5) == pytest.approx(3)


def test_it_does_not_depend_on_the_models_scale() -> None:
    near = [relevance(replace(HIT, dense_score=one), scale, 60) for one, scale in ((0.83, NARROW), (0.3, WIDE))]
    assert near[0] == pytest.approx(near[1])


def test_it_grows_with_meaning_and_words_and_falls_with_the_companys_size() -> None:
    def of(cosine: float | None, words: float, passages: int = 60) -> float:
        return relevance(replace(HIT, dense_score=cosine, words_share=words), WIDE, passages)

    assert 0 < of(0.1, 0) < of(0.4, 0) < of(0.4, 0.5) < of(0.4, 1) < 1
    assert of(0.4, 0.5, 6000) < of(0.4, 0.5)
    assert of(None, 0.2) < of(None, 0.6) < of(None, 1)
    assert of(0.4, 1) == of(0.4, 1.7)


TEXTS = (
    "El personal que preste servicio en un feriado nacional cobra el doble del valor habitual.",
    "La computadora y el teléfono se devuelven al terminar el contrato.",
    "Los sanitarios se limpian dos veces por turno.",
)


@pytest.fixture(params=bundled_model_dirs(), ids=lambda folder: folder.name)
async def search(
    database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[VectorSearchService]:
    folder: Path = request.param
    async with EmbeddingService(LocalEmbedder(folder)) as embedding:
        await own_generation(database, embedding)
        ingestion = IngestionService(database, embedding)
        for number, text in enumerate(TEXTS):
            file = tmp_path / f"{number}.txt"
            file.write_text(text, encoding="utf-8")
            await ingestion.process_document(file, "acme")
        yield VectorSearchService(database, embedding)


async def test_min_score_leaves_out_what_does_not_answer_with_either_model(search: VectorSearchService) -> None:
    found = await search.search("acme", "¿cuánto cobra el personal que trabaja un feriado?", min_score=0.1)
    assert [hit.contenido for hit in found.hits] == [TEXTS[0]]
    assert (found.hits[0].relevance or 0) >= 0.1
    assert not (await search.search("acme", "receta de pan casero", min_score=0.1)).hits
    every = await search.search("acme", "receta de pan casero", min_score=0)
    assert len(every.hits) == 3 and all(0 < (hit.relevance or 0) < 0.1 for hit in every.hits)
    assert all(hit.relevance is None for hit in (await search.search("acme", "receta de pan casero")).hits)


@pytest.mark.parametrize("mode", ["lexical", "dense"])
async def test_min_score_in_one_leg_alone(search: VectorSearchService, mode: str) -> None:
    question = "el personal cobra el doble en un feriado nacional"
    found = await search.search("acme", question, mode=mode, min_score=0.15)  # type: ignore[arg-type]
    assert [hit.contenido for hit in found.hits] == [TEXTS[0]]


async def test_the_scale_of_a_bundled_model_is_known_and_right(search: VectorSearchService) -> None:
    scale, now = await scale_of(search.embedding), await measured(search.embedding)
    assert scale is BUNDLED["local", search.embedding.model]
    assert (scale.mean, scale.spread) == pytest.approx((now.mean, now.spread), abs=0.002)


class Renamed(LocalEmbedder):
    texts = 0

    @property
    def model(self) -> str:
        return "otro"

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        self.texts += len(texts)
        return await super().embed(texts, kind)


async def test_the_scale_of_another_model_is_measured_once() -> None:
    embedder = Renamed(bundled_model_dirs()[1])
    async with EmbeddingService(embedder) as embedding:
        assert await scale_of(embedding) is await scale_of(embedding)
    assert embedder.texts == 32
