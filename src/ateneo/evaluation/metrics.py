"""How good a ranking is: nDCG, recall, reciprocal rank. Pure functions over ids, as trec_eval counts.

A ranking is a sequence of distinct ids, best first; the judgements map an id to its grade, an integer: above 0 it is
relevant, 0 or less it is not, and an id that nobody judged counts as 0. Ties do not exist here: what ranked the ids has
broken them (Ateneo by chunk id). Where nothing is relevant every metric is 0.0. All are in [0, 1].
"""

from collections.abc import Mapping, Sequence
from math import log2


def dcg(grades: Sequence[int], k: int) -> float:
    """Discounted cumulative gain of the first k: the sum of grade / log2(rank + 1), ranks from 1.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002, with the linear
    gain and the discount of trec_eval's `ndcg_cut`.
    """
    return sum(max(grade, 0) / log2(rank + 1) for rank, grade in enumerate(grades[:k], 1))


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """nDCG@k: the DCG of the ranking over that of the best possible ranking of everything judged."""
    ideal = dcg(sorted(grades.values(), reverse=True), k)
    return dcg([grades.get(one, 0) for one in ranked[:k]], k) / ideal if ideal > 0 else 0.0


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Recall@k: the share of the relevant ids that is among the first k."""
    relevant = {one for one, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def first_relevant(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> int | None:
    """The rank, from 1, of the first relevant id among the first k; None where there is none."""
    return next((rank for rank, one in enumerate(ranked[:k], 1) if grades.get(one, 0) > 0), None)


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """1 / rank of the first relevant id among the first k, else 0; its mean over questions is MRR@k.

    Voorhees, "The TREC-8 Question Answering Track Report", 1999.
    """
    rank = first_relevant(ranked, grades, k)
    return 0.0 if rank is None else 1 / rank
