"""Tokens of a chat model whose tokeniser is not at hand: a bound that errs high, and how high is measured (ADR 20).

Byte-level tokenisers, which all current chat models have, never make more tokens of a text than it has bytes in UTF-8.
For what reads like words much less is enough.
"""

import re
from collections.abc import Sequence

from ateneo.ports import TokenCounter

_RUN = re.compile(
    # a pronounceable word, as Latin languages have them; all else is counted by its bytes
    r"(?P<word>(?:[bcdfghjklmnpqrstvwxzñç]{0,3}+[aeiouyáéíóúüàèìòùâêôãõ]{1,3}+){1,12}+[bcdfghjklmnpqrstvwxzñç]{0,3}+"
    r"(?![^\W\d_]))|(?P<digits>[0-9]+)|(?P<space>[ \n]+)",
    re.IGNORECASE,
)


class TokenEstimate:
    """A TokenCounter: a word of n letters is 2n / 5 tokens, rounded up, the space before it included, and one
    more where it has capitals after the first letter; each digit is one, and each line end;
    anything else is as many as it has bytes."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [_count(text) for text in texts]


class HigherCount:
    """A TokenCounter: the higher of two counts, text by text."""

    def __init__(self, one: TokenCounter, other: TokenCounter) -> None:
        self._one = one
        self._other = other

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        pairs = zip(self._one.count_tokens(texts), self._other.count_tokens(texts), strict=True)
        return [max(pair) for pair in pairs]


def _count(text: str) -> int:
    tokens = at = 0
    for found in _RUN.finditer(text):
        tokens += len(text[at : found.start()].encode("utf-8", "surrogatepass"))
        at = found.end()
        tokens += _of_run(found)
    return tokens + len(text[at:].encode("utf-8", "surrogatepass"))


def _of_run(found: re.Match[str]) -> int:
    run = found[0]
    if found["digits"]:
        return len(run)
    if found["space"]:
        return 0 if run == " " else 1 + run.count("\n") + len(run) // 16
    return -(-2 * len(run) // 5) + (run[1:] != run[1:].lower())
