"""The paired tests against exact answers."""

import itertools

import numpy as np
import pytest

from ateneo.evaluation.significance import compare


def test_p_is_that_of_all_sign_changes() -> None:
    first = [0.1, 0.5, 0.4, 0.9, 0.2, 0.3, 0.6, 0.7]
    second = [0.3, 0.6, 0.3, 1.0, 0.6, 0.5, 0.6, 0.9]
    gains = np.subtract(second, first)
    sums = [abs(np.dot(signs, gains)) for signs in itertools.product((-1, 1), repeat=len(gains))]
    exact = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-12)
    found = compare(first, second, rounds=40_000)
    assert found.p == pytest.approx(exact, abs=0.01)
    assert found.mean == pytest.approx(gains.mean())
    assert found.questions == 8


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        gains = rng.normal(0.05, 0.2, 80)
        found = compare([0.0] * 80, gains.tolist(), rounds=500)
        held += found.low <= 0.05 <= found.high
    assert 0.9 <= held / 200 <= 0.99


def test_equal_rankings_do_not_differ() -> None:
    found = compare([0.5, 1.0, 0.0], [0.5, 1.0, 0.0])
    assert (found.mean, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_the_other_way_round_is_the_mirror_and_the_seed_decides() -> None:
    first, second = [0.1, 0.9, 0.4, 0.2, 0.5], [0.4, 0.8, 0.9, 0.3, 0.7]
    there, back = compare(first, second), compare(second, first)
    assert there == compare(first, second)
    assert there.p == back.p and there.mean == -back.mean
    assert there.low == pytest.approx(-back.high, abs=0.02)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0])])
def test_other_shapes_are_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError):
        compare(first, second)
