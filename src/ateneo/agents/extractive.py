"""The answerer that needs no key: it quotes the sentences that fit the question best, and says that it does so."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from ateneo.agents.quotable_sentences import Quotable, coverage, quotables
from ateneo.embedding.service import EmbeddingService
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.types import ChatPart, ChatRequest, EndPart, Hit, QuotePart, TextPart, Usage

WORDS_WEIGHT = 0.35
"""How much a sentence that holds all of the question's words gains over the cosines of itself and of its passage."""

PASSAGE_WEIGHT = 1.0
"""How much the passage's own score in the search counts in the choice among sentences. On the 97 questions of examples/
one of the three best sentences is right for 41 % with it and for 36 % without."""

LEAST_EVIDENCE = 0.32
"""Below this nothing fits. Chosen on the four domains of training/questions that no training saw (ADR 46): of their
questions whose passage is among the first three 81 % stay, of those about another domain 75 % are turned away, and 39 %
of those whose one passage is gone."""

LEAST_COVERAGE = 0.35
"""The same where words are all there is: 81 % stay, 92 % are turned away."""


class ExtractiveChat:
    """A ChatModel without a language model. Sentences are weighed by meaning with `embedding`, by words without."""

    def __init__(
        self,
        embedding: EmbeddingService | None = None,
        *,
        sentences: int = 3,
        passages: int = 8,
        least_evidence: float | None = None,
    ) -> None:
        self._embedding = embedding
        self._sentences = sentences
        self._passages = passages
        default = LEAST_COVERAGE if embedding is None else LEAST_EVIDENCE
        self._least_evidence = default if least_evidence is None else least_evidence

    @property
    def provider(self) -> str:
        return "extractive"

    @property
    def model(self) -> str:
        return "extractive"

    @property
    def writes(self) -> bool:
        return False

    @property
    def native_citations(self) -> bool:
        return False

    @property
    def counter(self) -> TokenCounter | None:
        return self._embedding

    def cost(self, usage: Usage, model: str) -> float | None:
        return 0.0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """Up to `sentences` verbatim sentences of the first passages, each with its quote, in their order.

        Says that it does not know where no sentence has evidence enough. Raises ProviderError where the embedder does.
        """
        candidates = quotables(request.passages[: self._passages])
        scores = await self._evidence(request.message, request.passages, candidates)
        fit = [
            (evidence + PASSAGE_WEIGHT * request.passages[one.number - 1].score, at)
            for at, (one, evidence) in enumerate(zip(candidates, scores, strict=True))
            if evidence >= self._least_evidence
        ]
        ranked = sorted(fit, key=lambda one: -one[0])[: self._sentences]
        chosen = [candidates[at] for at in sorted(at for score, at in ranked if score >= 0.75 * ranked[0][0])]
        yield TextPart(notice() + "\n" if chosen else do_not_know())
        for one in chosen:
            yield TextPart(f"\n«{one.text}»")
            yield QuotePart(request.passages[one.number - 1].chunk_id, one.text)
        yield EndPart("end_turn", Usage(), self.model)

    async def close(self) -> None:
        """Nothing to close: the embedding is its owner's."""

    async def _evidence(self, question: str, passages: Sequence[Hit], candidates: Sequence[Quotable]) -> list[float]:
        """Of each candidate: the mean of its own cosine and its passage's, and the share of the question's words."""
        if not candidates:
            return []
        words = coverage(question, [one.text for one in candidates])
        if self._embedding is None:
            return words
        # A sentence alone has lost what it is about; its heading says it.
        texts = [f"{one.heading}: {one.text}" if one.heading else one.text for one in candidates]
        sentences, meaning = await asyncio.gather(
            self._embedding.embed_matrix(texts, urgent=True), self._embedding.embed_query(question)
        )
        meanings = sentences.vectors @ meaning
        scores = []
        for one, cosine, share in zip(candidates, map(float, meanings), words, strict=True):
            passage = passages[one.number - 1].dense_score
            scores.append((cosine + (cosine if passage is None else passage)) / 2 + WORDS_WEIGHT * share)
        return scores


def notice() -> str:
    return tr(
        "Respuesta extractiva: frases textuales de los documentos, sin modelo de lenguaje.",
        "Extractive answer: sentences quoted from the documents, without a language model.",
    )


def do_not_know() -> str:
    return tr(
        "No lo sé: no encontré en los documentos nada que responda esa pregunta.",
        "I do not know: I found nothing in the documents that answers this question.",
    )
