"""Two models side by side: which sentence asks, what counts as found, and what is worst."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ateneo.evaluation.side_by_side import CompanyQuestion, pair_results, sentence_of, summarise
from ateneo.types import Hit

TEXT = """# Licencias

Se piden con un mes de aviso. Por mudanza se otorgan dos días corridos de licencia. No se acumulan de un año a otro."""


def _hits(*ids: str) -> tuple[Hit, ...]:
    return tuple(Hit(one, None, None, one, 0.0, None, None, None, None) for one in ids)


def _asked(*answers: str) -> CompanyQuestion:
    return CompanyQuestion("¿qué?", "acme", frozenset(answers))


def test_the_sentence_in_the_middle_asks() -> None:
    assert sentence_of(TEXT) == "Por mudanza se otorgan dos días corridos de licencia."


def test_a_text_of_one_sentence_does_not_ask_for_itself() -> None:
    assert sentence_of("El expediente se archiva durante diez años en la oficina.") == "se archiva durante diez años"


@given(st.text(min_size=1).filter(str.strip))
def test_whatever_the_text_there_is_a_question(text: str) -> None:
    asked = sentence_of(text)
    assert asked.strip()
    assert len(asked) <= 200


def test_ranks_and_overlap() -> None:
    pair = pair_results(_asked("b"), _hits("a", "b", "c"), _hits("b", "x", "a"))
    assert (pair.before_rank, pair.after_rank) == (2, 1)
    assert pair.overlap == pytest.approx(2 / 3)
    assert pair.loss == pytest.approx(-0.5)
    nothing = pair_results(_asked("b"), (), ())
    assert (nothing.before_rank, nothing.after_rank, nothing.overlap) == (None, None, 1.0)


def test_the_summary_counts_the_judged_and_shows_the_worst_first() -> None:
    pairs = [
        pair_results(_asked("a"), _hits("a", "b"), _hits("b", "a")),
        pair_results(_asked("a"), _hits("a", "b"), _hits("x", "y")),
        pair_results(_asked("a"), _hits("a", "b"), _hits("a", "b")),
        pair_results(_asked(), _hits("a", "b"), _hits("z", "b")),
    ]
    found = summarise("hybrid", 2, pairs)
    assert (found.questions, found.judged) == (4, 3)
    assert found.before_recall == 1
    assert found.after_recall == pytest.approx(2 / 3)
    assert found.ratio == pytest.approx(2 / 3)
    assert [pair.loss for pair in found.worst] == [1.0, 0.5, 0.0]
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(-0.5)


def test_without_answers_there_is_no_recall_to_compare() -> None:
    found = summarise("dense", 2, [pair_results(_asked(), _hits("a"), _hits("b"))])
    assert (found.judged, found.before_recall, found.ratio, found.difference) == (0, None, None, None)
    assert found.overlap == 0
