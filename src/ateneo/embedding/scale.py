"""The scale of a model's cosines: what they are where question and passage have nothing to do with each other."""

import asyncio
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np

from ateneo.embedding.service import EmbeddingService
from ateneo.types import Matrix

_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of a model's cosines of questions with unrelated passages."""

    mean: float
    spread: float

    @classmethod
    def of(cls, cosines: Matrix) -> Self:
        """From the cosines of n questions with n passages, the i-th of both of one subject, the others unrelated."""
        unrelated = cosines[~np.eye(len(cosines), dtype=bool)]
        return cls(float(unrelated.mean()), max(float(unrelated.std()), _LEAST_SPREAD))

    def standardised(self, cosine: float) -> float:
        """How many standard deviations a cosine is above those of unrelated texts."""
        return (cosine - self.mean) / self.spread


BUNDLED = {
    ("local", "ateneo-e5-es-v3"): Scale(0.0126, 0.0988),
    ("local", "ateneo-minilm-es-v2"): Scale(0.0856, 0.0925),
}
"""What `measured` gives for the bundled models, so that no process spends its first second on it."""

_of_others: WeakKeyDictionary[EmbeddingService, Scale] = WeakKeyDictionary()


async def scale_of(embedding: EmbeddingService) -> Scale:
    """The scale of the service's model, measured when it is first asked for. Raises ProviderError."""
    if known := BUNDLED.get((embedding.provider, embedding.model)) or _of_others.get(embedding):
        return known
    return _of_others.setdefault(embedding, await measured(embedding))


async def measured(embedding: EmbeddingService) -> Scale:
    """By 16 questions and 16 passages, each pair of a subject of its own. Raises ProviderError."""
    questions, passages = _unrelated()
    asked, read = await asyncio.gather(
        embedding.embed_matrix(questions, "query"), embedding.embed_matrix(passages, urgent=True)
    )
    return Scale.of(asked.vectors @ read.vectors.T)


@cache
def _unrelated() -> tuple[list[str], list[str]]:
    lines = Path(__file__).with_name("unrelated.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines]
    return [one for one, _ in pairs], [one for _, one in pairs]
