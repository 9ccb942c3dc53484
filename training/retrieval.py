"""Retrieval sets in BEIR layout, query variants and nDCG@10."""

import csv
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from corpus import read_jsonl
from textnorm import fold, words

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TYPO_SHARE = 0.15
TYPO_MIN_LENGTH = 5
LEAST_OVERLAPPING = 0.2


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """Passages, questions, and for each question the index of its only relevant passage."""

    passages: list[str]
    questions: list[str]
    relevant: np.ndarray


def read_set(folder: Path) -> RetrievalSet:
    """A BEIR folder with one relevant passage a question."""
    passages = list(read_jsonl(folder / "corpus.jsonl"))
    questions = list(read_jsonl(folder / "queries.jsonl"))
    with (folder / "qrels.tsv").open(encoding="utf-8", newline="") as file:
        relevant = {row["query-id"]: row["corpus-id"] for row in csv.DictReader(file, delimiter="\t")}
    index = {row["_id"]: i for i, row in enumerate(passages)}
    return RetrievalSet(
        [row["text"] for row in passages],
        [row["text"] for row in questions],
        np.array([index[relevant[row["_id"]]] for row in questions]),
    )


def ndcg_at_10(questions: np.ndarray, passages: np.ndarray, relevant: np.ndarray) -> float:
    """Mean nDCG@10 in percent by exact cosine of unit vectors; ties count against us."""
    scores = questions @ passages.T
    own = scores[np.arange(len(relevant)), relevant]
    rank = (scores >= own[:, None]).sum(axis=1)
    return float(100 * np.where(rank <= 10, 1 / np.log2(1 + rank), 0).mean())


def least_overlapping(chosen: RetrievalSet) -> np.ndarray:
    """Which questions share the smallest part of their distinct words with their passage: a fifth of them."""

    def share(question: str, passage: str) -> float:
        asked = set(words(question))
        return len(asked & set(words(passage))) / len(asked)

    shares = [share(q, chosen.passages[own]) for q, own in zip(chosen.questions, chosen.relevant, strict=True)]
    return np.argsort(shares, kind="stable")[: int(len(shares) * LEAST_OVERLAPPING)]


def misspell(text: str, rng: random.Random, share: float = TYPO_SHARE) -> str:
    """One edit (delete, insert, substitute or transpose) in this share of the long words."""
    parts = re.findall(r"\w+|\W+", text)
    return "".join(
        _edit(part, rng) if part[0].isalnum() and len(part) >= TYPO_MIN_LENGTH and rng.random() < share else part
        for part in parts
    )


def _edit(word: str, rng: random.Random) -> str:
    at, kind, letter = rng.randrange(len(word)), rng.choice("dist"), rng.choice(LETTERS)
    if kind == "d":
        return word[:at] + word[at + 1 :]
    if kind == "i":
        return word[:at] + letter + word[at:]
    if kind == "s":
        return word[:at] + letter + word[at + 1 :]
    at = min(at, len(word) - 2)
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def variants(questions: list[str]) -> dict[str, list[str]]:
    """The questions as written, without accents, misspelt, and both."""
    rng = random.Random(7)
    misspelt = [misspell(q, rng) for q in questions]
    return {
        "clean": questions,
        "no accents": [fold(q) for q in questions],
        "typos": misspelt,
        "typos, no accents": [fold(q) for q in misspelt],
    }


def score(embed: Callable[[list[str]], np.ndarray], folder: Path) -> dict[str, float]:
    """nDCG@10 of an embedder on one set, for every variant of its questions."""
    chosen = read_set(folder)
    passages = embed(chosen.passages)
    return {
        name: ndcg_at_10(embed(questions), passages, chosen.relevant)
        for name, questions in variants(chosen.questions).items()
    }
