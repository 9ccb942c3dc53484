"""Searches for every question of a loaded dataset and scores what comes back."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ateneo.evaluation.loading import ANSWER, Judged, Loaded, OnProgress
from ateneo.evaluation.metrics import first_relevant, ndcg, recall
from ateneo.evaluation.report import Configuration, Outcome, Run
from ateneo.evaluation.variants import Variant, variant_of
from ateneo.search.service import VectorSearchService
from ateneo.text.clean import clean
from ateneo.types import Hit

CUTS = (1, 3, 5, 10)
"""Cut-offs of recall, as far as k goes; k itself is one, too."""


class Runner:
    """Uses VectorSearchService as any caller does, one question after the other."""

    def __init__(self, search: VectorSearchService, *, k: int = 10) -> None:
        self._search = search
        self._k = k
        self._cuts = sorted({cut for cut in CUTS if cut < k} | {k})

    async def run(
        self, loaded: Loaded, variant: Variant, configurations: Sequence[Configuration], on_progress: OnProgress
    ) -> list[Run]:
        """A run for each configuration. Raises QueryTooLong, BadArgument, ProviderError, DatabaseError."""
        settled = [self._settled(one) for one in configurations]
        outcomes: list[list[Outcome]] = [[] for _ in settled]
        texts = variant_of([one.text for one in loaded.questions], variant)
        await self._warm(loaded.questions[0], settled)
        for number, (question, text) in enumerate(zip(loaded.questions, texts, strict=True), 1):
            # The service looks up exactly this text, so that the search below finds it embedded.
            asked = clean(text).strip()
            by_meaning = any(one.mode != "lexical" for one in settled)
            embed_ms = await self._embed(asked, question.empresa_id) if by_meaning else 0.0
            for configuration, found in zip(settled, outcomes, strict=True):
                found.append(await self._outcome(question, asked, configuration, embed_ms))
            on_progress(number, len(texts))
        return [
            Run(loaded.name, variant, one.mode, one.dense_weight, tuple(found))
            for one, found in zip(settled, outcomes, strict=True)
        ]

    def _settled(self, asked: Configuration) -> Configuration:
        """With the weight that will be used, so that a saved result says it."""
        if asked.mode != "hybrid":
            return replace(asked, dense_weight=None)
        return asked if asked.dense_weight is not None else replace(asked, dense_weight=self._search.dense_weight)

    async def _warm(self, question: Judged, configurations: Iterable[Configuration]) -> None:
        """The first search of a process looks things up that later ones know."""
        for one in configurations:
            await self._search.search(question.empresa_id, question.text, options=one.options(self._k))

    async def _embed(self, text: str, empresa_id: str) -> float:
        begun = time.perf_counter()
        await self._search.embedding.embed_query(text, empresa_id)
        return (time.perf_counter() - begun) * 1000

    async def _outcome(self, question: Judged, text: str, how: Configuration, embed_ms: float) -> Outcome:
        begun = time.perf_counter()
        found = await self._search.search(question.empresa_id, text, options=how.options(self._k))
        search_ms = (time.perf_counter() - begun) * 1000
        ranked = _ranked([_judged(hit, question) for hit in found.hits], question.answers)
        return Outcome(
            id=question.id,
            question=text,
            kind=question.kind,
            ndcg=ndcg(ranked, question.grades, self._k),
            rank=first_relevant(ranked, question.grades, self._k),
            recall={cut: recall(ranked, question.grades, cut) for cut in self._cuts},
            ranked=tuple(ranked),
            embed_ms=0.0 if how.mode == "lexical" else embed_ms,
            search_ms=search_ms,
        )


def _judged(hit: Hit, question: Judged) -> str:
    """The id of the hit, or of a passage with its very text, for which the question has an answer or a grade."""
    ids = (hit.chunk_id, *(one.chunk_id for one in hit.same_text))
    return next((one for one in ids if one in question.answers or one in question.grades), hit.chunk_id)


def _ranked(chunk_ids: Sequence[str], answers: frozenset[str]) -> list[str]:
    """The ids found, with those that hold the answer as one, at the best of their ranks."""
    return list(dict.fromkeys(ANSWER if one in answers else one for one in chunk_ids))
