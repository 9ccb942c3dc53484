"""Two ways to search, question by question; and the dense weight that suits a dataset."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ateneo.errors import BadArgument
from ateneo.evaluation import significance
from ateneo.evaluation.report import Configuration, Outcome, Run
from ateneo.evaluation.significance import Difference
from ateneo.evaluation.variants import Variant
from ateneo.i18n import tr

SEED = 7
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))


@dataclass(frozen=True, slots=True)
class Change:
    """One question in both runs."""

    before: Outcome
    after: Outcome

    @property
    def gain(self) -> float:
        """Of nDCG."""
        return self.after.ndcg - self.before.ndcg


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of one dataset and variant over the questions that both have; `missing` are in only one of them.

    `changes` goes from the question that lost most to the one that won most.
    """

    dataset: str
    variant: Variant
    first: Configuration
    second: Configuration
    first_ndcg: float
    second_ndcg: float
    difference: Difference
    changes: tuple[Change, ...]
    missing: int

    @property
    def better(self) -> list[Change]:
        """Those that won, most first."""
        return [one for one in reversed(self.changes) if one.gain > 0]

    @property
    def worse(self) -> list[Change]:
        """Those that lost, most first."""
        return [one for one in self.changes if one.gain < 0]


def compare_runs(first: Sequence[Run], second: Sequence[Run]) -> list[Comparison]:
    """The runs of both sides that are of the same dataset and variant, in pairs.

    Raises BadArgument where a side has two runs for one pair, and where nothing pairs.
    """
    others = {(run.dataset, run.variant): run for run in second}
    ones = {(run.dataset, run.variant): run for run in first}
    if len(others) < len(second) or len(ones) < len(first):
        rule = tr("tiene varias configuraciones; hace falta una", "it has several configurations; one is needed")
        raise BadArgument(name="--compare", value="A B", rule=rule)
    pairs = [(run, others[key]) for key, run in ones.items() if key in others]
    comparisons = [one for one in (_compared(*pair) for pair in pairs) if one is not None]
    if not comparisons:
        rule = tr("no tienen preguntas en común", "they have no questions in common")
        raise BadArgument(name="--compare", value="A B", rule=rule)
    return comparisons


def _compared(first: Run, second: Run) -> Comparison | None:
    after = {one.id: one for one in second.questions}
    both = [Change(one, after[one.id]) for one in first.questions if one.id in after]
    if not both:
        return None
    before_ndcg = [one.before.ndcg for one in both]
    after_ndcg = [one.after.ndcg for one in both]
    return Comparison(
        dataset=first.dataset,
        variant=first.variant,
        first=first.configuration,
        second=second.configuration,
        first_ndcg=fmean(before_ndcg),
        second_ndcg=fmean(after_ndcg),
        difference=significance.compare(before_ndcg, after_ndcg),
        changes=tuple(sorted(both, key=lambda one: (one.gain, one.before.id))),
        missing=len(first.questions) + len(second.questions) - 2 * len(both),
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """nDCG by dense weight on the half of the questions that chose `best`, and on the other half, which did not.

    `gain` compares, on that other half, the weight in use (`current`, the first) with `best`.
    """

    dataset: str
    variant: Variant
    weights: tuple[float, ...]
    chosen_on: tuple[float, ...]
    held_out: tuple[float, ...]
    best: float
    current: float
    gain: Difference


def calibrate(runs: Sequence[Run], current: float, seed: int = SEED) -> Calibration:
    """From hybrid runs over the same questions, one a weight, that of `current` among them.

    Of equal weights the one nearest to `current` is best. Raises BadArgument for fewer than two questions.
    """
    count = len(runs[0].questions)
    if count < 2:
        rule = tr("para calibrar hacen falta dos preguntas o más", "calibrating takes two questions or more")
        raise BadArgument(name="--calibrate", value=count, rule=rule)
    order = random.Random(seed).sample(range(count), count)
    choosing, holding = order[: count // 2], order[count // 2 :]
    by_weight = {run.dense_weight: [one.ndcg for one in run.questions] for run in runs if run.dense_weight is not None}
    weights = sorted(by_weight)
    chosen_on = {weight: fmean(by_weight[weight][at] for at in choosing) for weight in weights}
    held_out = {weight: [by_weight[weight][at] for at in holding] for weight in weights}
    best = max(weights, key=lambda weight: (chosen_on[weight], -abs(weight - current)))
    return Calibration(
        dataset=runs[0].dataset,
        variant=runs[0].variant,
        weights=tuple(weights),
        chosen_on=tuple(chosen_on.values()),
        held_out=tuple(fmean(held_out[weight]) for weight in weights),
        best=best,
        current=current,
        gain=significance.compare(held_out[current], held_out[best]),
    )
