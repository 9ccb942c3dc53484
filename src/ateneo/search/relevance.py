"""How probable it is that a passage answers the question: one meaning for every question, company and model.

`Hit.score` orders the hits of one question; this compares hits of different ones. The coefficients: docs/adr/0048.
"""

from math import exp, log

from ateneo.embedding.scale import Scale
from ateneo.types import Hit

_MEANING, _WORDS = 0.96, 3.1
_WORDS_ALONE = 6.0
_PASSAGES, _BASE = -0.3, -4.5


def relevance(hit: Hit, scale: Scale | None, passages: int) -> float:
    """In (0, 1). `scale` of the model that the hit was found with, None where it was found by words; `passages` of the
    company, of which more are as near by chance the more there are."""
    words = min(hit.words_share or 0.0, 1.0)
    if scale is None or hit.dense_score is None:
        evidence = _WORDS_ALONE * words
    else:
        evidence = _MEANING * scale.standardised(hit.dense_score) + _WORDS * words
    return 1 / (1 + exp(-(evidence + _PASSAGES * log(max(passages, 1)) + _BASE)))
