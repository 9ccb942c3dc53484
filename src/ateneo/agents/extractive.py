"""The answerer that needs no key: it quotes the passages that answer the question best, and says that it does so."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ateneo.agents.excerpt import excerpt
from ateneo.agents.quotable_sentences import Quotable, body, coverage, quotables, row_asked_for
from ateneo.embedding.current_model import Models
from ateneo.embedding.scale import scale_of
from ateneo.embedding.service import EmbeddingService
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.types import ChatPart, ChatRequest, EndPart, Hit, QuotePart, TextPart, Usage

LEAST_RELEVANCE = 0.055
"""Below this no passage answers. Chosen on domains of training/questions that no training saw (ADR 48)."""

LEAST_COVERAGE = 0.35
"""The same for passages of unknown relevance, whose share of the question's words is all there is: 81 % stay, 92 % are
turned away."""

SECOND_BEST = 0.4
"""The share of the best passage's evidence from which another one is quoted as well."""

STANDS_OUT = 1.25
"""How much further than the next a sentence is from unrelated ones, in standard deviations, to be quoted alone: then it
is the right one in 89 % of passages (v2: 79 %), without in 61 %."""


@dataclass(frozen=True, slots=True)
class _Passage:
    hit: Hit
    sentences: Sequence[Quotable]
    evidence: float


class ExtractiveChat:
    """A ChatModel without a language model. Passages and sentences are weighed by meaning and words, without an
    `embedding` by words alone. With Models the one that the passages were found by weighs them."""

    def __init__(
        self,
        embedding: EmbeddingService | Models | None = None,
        *,
        quotes: int = 3,
        passages: int = 8,
        least_evidence: float | None = None,
    ) -> None:
        self._models = None if embedding is None else Models.wrap(embedding)
        self._quotes = quotes
        self._passages = passages
        self._least_evidence = least_evidence

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
        return None if self._models is None else self._models.main

    def cost(self, usage: Usage, model: str) -> float | None:
        return 0.0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """Up to `quotes` passages, best first, each by its best sentence; the first as a whole where none of its
        sentences stands out, its best one marked.

        Says that it does not know where no passage has evidence enough. Raises ProviderError where the embedder does.
        """
        embedding = self._embedding(request)
        chosen = self._chosen(request)
        yield TextPart(notice() + "\n" if chosen else do_not_know())
        for number, passage in enumerate(chosen):
            best, stands_out = await _best(request.message, passage.sentences, embedding)
            whole = number == 0 and not stands_out
            if best.is_row and not stands_out and not whole:
                continue
            shown = (
                excerpt(passage.hit.contenido, best.text, body(passage.hit))
                if whole
                else f"{best.lead} {best.text}".lstrip()
            )
            yield TextPart(f"\n«{shown}»")
            yield QuotePart(passage.hit.chunk_id, best.text)
        yield EndPart("end_turn", Usage(), self.model)

    async def close(self) -> None:
        """Nothing to close: the embedding is its owner's."""

    def _embedding(self, request: ChatRequest) -> EmbeddingService | None:
        if self._models is None:
            return None
        return (request.generation and self._models.of(request.generation)) or self._models.main

    def _chosen(self, request: ChatRequest) -> list[_Passage]:
        hits = request.passages[: self._passages]
        known = all(hit.relevance is not None for hit in hits)
        least = (LEAST_RELEVANCE if known else LEAST_COVERAGE) if self._least_evidence is None else self._least_evidence
        found = _weighed(request.message, hits, known=known)
        most = max((one.evidence for one in found), default=0.0)
        near = [one for one in found if one.evidence >= SECOND_BEST * most] if most >= least else []
        return sorted(near, key=lambda one: -one.hit.score)[: self._quotes]


def _weighed(question: str, hits: Sequence[Hit], *, known: bool) -> list[_Passage]:
    """The passages that have something to quote, each with its evidence: its relevance, or its share of the words."""
    every = quotables(hits)
    words = coverage(question, [one.text for one in every])
    weighed = []
    for number, hit in enumerate(hits, 1):
        own = [one for one in every if one.number == number]
        share = max((share for one, share in zip(every, words, strict=True) if one.number == number), default=0.0)
        if own:
            evidence = (hit.relevance or 0.0) if known else share
            weighed.append(_Passage(hit, row_asked_for(question, own) or own, evidence))
    return weighed


async def _best(
    question: str, sentences: Sequence[Quotable], embedding: EmbeddingService | None
) -> tuple[Quotable, bool]:
    """The sentence of a passage that fits the question best by meaning and words, and whether it stands out."""
    texts = [one.text for one in sentences]
    scores = coverage(question, texts)
    least = 0.0
    if embedding is not None and len(texts) > 1:
        scale, read, asked = await asyncio.gather(
            scale_of(embedding), embedding.embed_matrix(texts, urgent=True), embedding.embed_query(question)
        )
        meaning = map(scale.standardised, map(float, read.vectors @ asked))
        scores = [words + one for words, one in zip(scores, meaning, strict=True)]
        least = STANDS_OUT
    best, *others = sorted(range(len(texts)), key=lambda at: -scores[at])
    stands_out = not others or scores[best] - scores[others[0]] > least
    return sentences[best], stands_out


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
