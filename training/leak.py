"""Keeps evaluation text out of training: no 8-gram may be shared."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from corpus import Pair, read_jsonl
from textnorm import words

NGRAM = 8
MAX_LEAK_SHARE = 0.001


class LeakError(RuntimeError):
    """So much training text repeats evaluation text that dropping it would hide a mistake in the data."""


def ngrams(text: str) -> Iterator[str]:
    """Every run of eight folded words."""
    tokens = words(text)
    return (" ".join(tokens[i : i + NGRAM]) for i in range(len(tokens) - NGRAM + 1))


def evaluation_ngrams(data: Path) -> set[str]:
    """The n-grams of every passage and question of every evaluation set."""
    files = [f for name in ("corpus", "queries") for f in sorted((data / "retrieval").glob(f"*/{name}.jsonl"))]
    if not files:
        raise LeakError(f"no evaluation sets under {data / 'retrieval'}: the leak check has nothing to check against")
    return {gram for file in files for row in read_jsonl(file) for gram in ngrams(row["text"])}


def drop_leaks(pairs: Iterable[Pair], forbidden: set[str]) -> tuple[list[Pair], int]:
    """The pairs that share no n-gram with the evaluation sets, and how many were dropped."""
    pairs = list(pairs)
    clean = [p for p in pairs if not any(g in forbidden for text in (p.english, p.spanish) for g in ngrams(text))]
    dropped = len(pairs) - len(clean)
    if dropped > MAX_LEAK_SHARE * len(pairs):
        raise LeakError(f"{dropped} of {len(pairs)} training pairs share an {NGRAM}-gram with an evaluation set")
    return clean, dropped
