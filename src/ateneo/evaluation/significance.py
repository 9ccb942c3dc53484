"""Whether one ranking is better than another, or only luckier: paired tests over the same questions, seeded.

Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval evaluation",
CIKM 2007: the randomisation test, and the bootstrap for the interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SEED = 7
ROUNDS = 10_000
_ROUNDS_AT_ONCE = 500

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two means over the same questions, second less first.

    `low` to `high` is the bootstrap's 95 % interval; `p` the chance of a difference at least this large, either way,
    if it made no difference which of the two gave which value; it is never below 1 / (rounds + 1).
    """

    mean: float
    low: float
    high: float
    p: float
    questions: int


def compare(first: Sequence[float], second: Sequence[float], *, rounds: int = ROUNDS, seed: int = SEED) -> Difference:
    """Compares values (n,) of the same n >= 1 questions, in the same order. Raises ValueError for other shapes."""
    differences = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    if differences.ndim != 1 or differences.size == 0 or len(first) != len(second):
        raise ValueError("two sequences of one length, not empty")
    rng = np.random.default_rng(seed)
    mean = float(differences.mean())
    means = np.concatenate(list(_resampled(differences, rng, rounds)))
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(mean, float(low), float(high), _randomised(differences, rng, rounds), differences.size)


def _rounds(rounds: int) -> Iterator[int]:
    for done in range(0, rounds, _ROUNDS_AT_ONCE):
        yield min(_ROUNDS_AT_ONCE, rounds - done)


def _resampled(differences: Values, rng: np.random.Generator, rounds: int) -> Iterator[Values]:
    for size in _rounds(rounds):
        yield differences[rng.integers(0, differences.size, (size, differences.size))].mean(axis=1)


def _randomised(differences: Values, rng: np.random.Generator, rounds: int) -> float:
    """The two-sided p of the paired randomisation test: every difference keeps or changes its sign by a coin."""
    moved = differences[differences != 0]
    if moved.size == 0:
        return 1.0
    # what is equal but for rounding is as extreme as what was observed
    observed = abs(moved.sum()) * (1 - 1e-12)
    extreme = 0
    for size in _rounds(rounds):
        signs = rng.integers(0, 2, (size, moved.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ moved) >= observed).sum())
    return (extreme + 1) / (rounds + 1)
