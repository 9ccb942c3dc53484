"""The metrics against trec_eval's own code, on rankings and judgements of every shape."""

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from ateneo.evaluation.metrics import dcg, first_relevant, ndcg, recall, reciprocal_rank

IDS = st.sampled_from([f"d{n}" for n in range(30)])
RANKINGS = st.lists(IDS, unique=True, min_size=1, max_size=25)
# trec_eval's ndcg takes negative grades for 0 as we do; its gain is the grade itself
GRADES = st.dictionaries(IDS, st.integers(-1, 4), min_size=1, max_size=12)
K = st.integers(1, 20)


def trec(ranked: list[str], grades: dict[str, int], k: int) -> dict[str, float]:
    scores = {one: float(len(ranked) - place) for place, one in enumerate(ranked)}
    # recip_rank has no cut-off of its own
    cut = dict(list(scores.items())[:k])
    measure = pytrec_eval.RelevanceEvaluator({"q": grades}, {f"ndcg_cut.{k}", f"recall.{k}"}).evaluate({"q": scores})
    first = pytrec_eval.RelevanceEvaluator({"q": grades}, {"recip_rank"}).evaluate({"q": cut})
    return {**measure["q"], **first["q"]}


@given(RANKINGS, GRADES, K)
def test_equal_to_trec_eval(ranked: list[str], grades: dict[str, int], k: int) -> None:
    expected = trec(ranked, grades, k)
    assert ndcg(ranked, grades, k) == pytest.approx(expected[f"ndcg_cut_{k}"], abs=1e-9)
    assert recall(ranked, grades, k) == pytest.approx(expected[f"recall_{k}"], abs=1e-9)
    assert reciprocal_rank(ranked, grades, k) == pytest.approx(expected["recip_rank"], abs=1e-9)


def test_by_hand() -> None:
    grades = {"a": 3, "b": 1, "c": 0}
    assert dcg([0, 3, 1], 3) == pytest.approx(3 / 1.5849625 + 1 / 2)
    assert ndcg(["c", "a", "b"], grades, 3) == pytest.approx((3 / 1.5849625 + 0.5) / (3 + 1 / 1.5849625))
    assert recall(["c", "a", "b"], grades, 2) == 0.5
    assert first_relevant(["c", "a", "b"], grades) == 2
    assert reciprocal_rank(["c", "a", "b"], grades) == 0.5


def test_beyond_the_cutoff_nothing_counts() -> None:
    assert (ndcg(["x", "a"], {"a": 1}, 1), recall(["x", "a"], {"a": 1}, 1)) == (0.0, 0.0)
    assert (first_relevant(["x", "a"], {"a": 1}, 1), reciprocal_rank(["x", "a"], {"a": 1}, 1)) == (None, 0.0)


def test_nothing_relevant_is_zero() -> None:
    assert ndcg(["a"], {}) == recall(["a"], {"a": 0}) == reciprocal_rank(["a"], {"a": -1}) == 0.0
