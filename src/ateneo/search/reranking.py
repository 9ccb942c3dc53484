"""The best hits in a second order, by a model that reads question and passage together."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ateneo.errors import AteneoError, ModelError, ProviderAnswerInvalid, ProviderError, ProviderUnavailable
from ateneo.i18n import number, tr
from ateneo.ports import Reranker
from ateneo.types import Hit


@dataclass(frozen=True, slots=True)
class Reranking:
    """A reranker and its bounds: how many of the best hits it orders, and how many seconds it may take."""

    reranker: Reranker
    candidates: int = 30
    timeout_s: float = 3.0

    async def order(self, query: str, hits: Sequence[Hit]) -> tuple[tuple[Hit, ...], list[str]]:
        """The hits, the first `candidates` in the reranker's order, and warnings: where it fails or takes longer than
        `timeout_s` they stay in the order that they came in."""
        if not hits:
            return (), []
        first, rest = hits[: self.candidates], hits[self.candidates :]
        try:
            scores = await self._scores(query, [hit.contenido for hit in first])
        except (ProviderError, ModelError) as error:
            return tuple(hits), [_failed(error)]
        scored = [replace(hit, rerank_score=score) for hit, score in zip(first, scores, strict=True)]
        by_score = [hit for _, hit in sorted(zip(scores, scored, strict=True), key=lambda pair: -pair[0])]
        return (*by_score, *rest), []

    async def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        provider = f"{self.reranker.provider}/{self.reranker.model}"
        try:
            async with asyncio.timeout(self.timeout_s):
                scores = await self.reranker.rerank(query, texts)
        except TimeoutError:
            seconds = f"{number(self.timeout_s, None)} s"
            detail = tr(f"más de {seconds} sin respuesta", f"no answer within {seconds}")
            raise ProviderUnavailable(provider=provider, detail=detail) from None
        if len(scores) != len(texts) or not all(map(math.isfinite, scores)):
            detail = tr(f"puntajes: {len(scores)}, y textos: {len(texts)}; o alguno no es un número",
                        f"scores: {len(scores)}, and texts: {len(texts)}; or one is no number")  # fmt: skip
            raise ProviderAnswerInvalid(provider=provider, detail=detail)
        return scores


def _failed(error: AteneoError) -> str:
    return tr(
        f"El reranker no ordenó estos resultados, quedan en el orden de la búsqueda. {error.message}",
        f"The reranker did not order these results, they stay in the order of the search. {error.message}",
    )
