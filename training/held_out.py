"""How often a question of a domain that no training saw finds its passage."""

from collections.abc import Callable, Sequence

import numpy as np
from questions import Passage, Questions

Embed = Callable[[list[str]], np.ndarray]


def ranks(asked: np.ndarray, passages: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The place of each question's own passage by cosine; ties count against us."""
    scores = asked @ passages.T
    return (scores >= scores[np.arange(len(own)), own][:, None]).sum(1)


def recall_at_3(found: np.ndarray) -> float:
    return float(100 * (found <= 3).mean())


def ndcg_at_10(found: np.ndarray) -> float:
    return float(100 * np.where(found <= 10, 1 / np.log2(1 + found), 0).mean())


def measure(
    ask: Embed, read: Embed, questions: Questions, show: Callable[[Passage], str] = lambda one: one.text
) -> dict[str, float]:
    """Recall@3 and nDCG@10 in percent: among all passages, and (of those without a shared word) in the own domain."""
    passages = read([show(one) for one in questions.passages])
    own = np.array([one.passage for one in questions.asked])
    asked = ask([one.text for one in questions.asked])
    found = ranks(asked, passages, own)
    kinds = {"es, no shared word": np.array([one.apart for one in questions.asked])}
    kinds |= {
        language: np.array([one.language == language for one in questions.asked]) for language in ("es", "en", "pt")
    }
    figures = {}
    for name, chosen in kinds.items():
        if chosen.any():
            figures[f"{name}: recall@3"] = recall_at_3(found[chosen])
            figures[f"{name}: nDCG@10"] = ndcg_at_10(found[chosen])
    near = in_domain(asked, passages, own, [one.domain for one in questions.passages])
    figures["in its domain, no shared word: recall@3"] = recall_at_3(near[kinds["es, no shared word"]])
    return figures


def in_domain(asked: np.ndarray, passages: np.ndarray, own: np.ndarray, domains: Sequence[str]) -> np.ndarray:
    """The rank among the passages of the answer's domain alone."""
    names = np.array(domains)
    scores = np.where(names[own][:, None] == names[None, :], asked @ passages.T, -2.0)
    return (scores >= scores[np.arange(len(own)), own][:, None]).sum(1)
