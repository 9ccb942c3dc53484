"""Whether search has become worse than a baseline: a file that stands in the user's own repository."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ateneo.errors import BadArgument, DatasetInvalid
from ateneo.evaluation.comparison import Comparison, compare_runs
from ateneo.evaluation.datasets import BeirFolder, Dataset
from ateneo.evaluation.loading import files_of
from ateneo.evaluation.report import Outcome, Report, Run
from ateneo.evaluation.variants import Variant
from ateneo.i18n import tr
from ateneo.types import Mode
from ateneo.validation_messages import broken_rule, unreadable

ALPHA = 0.05
"""A loss whose p is not below this may be chance."""
FEWEST = 6
"""So many questions must move, all the same way, before a difference can be significant."""
_DECIMALS = 6

Setting = str | int | float | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a dataset is asked among: how many files, or passages of a BEIR folder, and a hash of them all."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Score:
    """What one question had."""

    question: str
    ndcg: float
    rank: int | None


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One dataset in one variant: each question's id -> what it had."""

    dataset: str
    variant: Variant
    mode: Mode
    dense_weight: float | None
    questions: Mapping[str, Score]

    def as_run(self) -> Run:
        outcomes = tuple(
            Outcome(one, has.question, "", has.ndcg, has.rank, {}, (), 0.0, 0.0) for one, has in self.questions.items()
        )
        return Run(self.dataset, self.variant, self.mode, self.dense_weight, outcomes)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured, and with what: it repeats to the last digit where nothing has changed, and has no times."""

    version: str
    k: int
    settings: Mapping[str, Setting]
    corpora: Mapping[str, Corpus]
    runs: tuple[ScoredRun, ...]

    @classmethod
    def of(cls, report: Report, settings: Mapping[str, Setting], corpora: Mapping[str, Corpus]) -> "Baseline":
        return cls(report.version, report.k, settings, corpora, tuple(map(_scored, report.runs)))

    @classmethod
    def read(cls, path: Path) -> "Baseline":
        """Raises DatasetInvalid."""
        try:
            return _BASELINE.validate_json(path.read_bytes())
        except OSError as error:
            raise DatasetInvalid(where=path, detail=unreadable(error)) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(one) for one in first["loc"])
            detail = tr("no es de `ateneo eval gate`", "it is not of `ateneo eval gate`")
            raise DatasetInvalid(where=path, detail=f"{detail} ({place}: {broken_rule(first)})") from error

    def write(self, path: Path) -> None:
        """Raises BadArgument."""
        try:
            path.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise BadArgument(name="--baseline", value=path, rule=unreadable(error)) from error


@dataclass(frozen=True, slots=True)
class Verdict:
    """`warnings`: what else is not as it was; `left_out`: ids of questions that only one side has, or has otherwise."""

    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def lost(self) -> tuple[Comparison, ...]:
        """Those with a significant loss."""
        return tuple(one for one in self.comparisons if one.difference.mean < 0 and one.difference.p < ALPHA)

    @property
    def passed(self) -> bool:
        return not self.lost


def fingerprint(dataset: Dataset) -> Corpus:
    """Of all that its questions are asked among. Raises OSError."""
    if isinstance(dataset, BeirFolder):
        return Corpus(dataset.passages, _file_hash(dataset.corpus))
    whole = hashlib.sha256()
    files = files_of(dataset)
    for empresa_id, name in files:
        whole.update(f"{empresa_id}/{name}\0{_file_hash(dataset.folder / empresa_id / name)}\n".encode())
    return Corpus(len(files), whole.hexdigest())


def judge(before: Baseline, now: Baseline) -> Verdict:
    """Over the questions that both have, with the same words. Raises BadArgument where there is none, or another k."""
    if before.k != now.k:
        rule = tr(f"la línea base se midió con {before.k}", f"the baseline was measured with {before.k}")
        raise BadArgument(name="--k", value=now.k, rule=rule)
    olds = {(run.dataset, run.variant): run for run in before.runs}
    pairs = [_common(olds[key], run) for run in now.runs if (key := (run.dataset, run.variant)) in olds]
    paired = [pair for pair in pairs if pair[0].questions]
    if not paired:
        rule = tr("no tiene ninguna de estas preguntas", "it has none of these questions")
        raise BadArgument(name="--baseline", value=", ".join(run.dataset for run in before.runs), rule=rule)
    comparisons = compare_runs([one.as_run() for one, _ in paired], [two.as_run() for _, two in paired])
    left_out = _ids((*before.runs, *now.runs)) - _ids([one for one, _ in paired])
    return Verdict(tuple(comparisons), tuple(_changed(before, now)), tuple(sorted(left_out)))


def _common(before: ScoredRun, now: ScoredRun) -> tuple[ScoredRun, ScoredRun]:
    """Both with the questions alone that are the same in both."""
    same = [
        one
        for one, had in before.questions.items()
        if one in now.questions and now.questions[one].question == had.question
    ]
    return (
        replace(before, questions={one: before.questions[one] for one in same}),
        replace(now, questions={one: now.questions[one] for one in same}),
    )


def _ids(runs: Sequence[ScoredRun]) -> set[str]:
    return {f"{run.dataset}/{one}" for run in runs for one in run.questions}


def _changed(before: Baseline, now: Baseline) -> Iterator[str]:
    """What else could explain a difference."""
    for name, corpus in now.corpora.items():
        had = before.corpora.get(name)
        if had is not None and had != corpus:
            yield tr(
                f"Los documentos de {name} cambiaron ({had.size} → {corpus.size}): la diferencia puede venir de ellos.",
                f"The documents of {name} have changed ({had.size} → {corpus.size}): the difference may be theirs.",
            )
    told = [("version", before.version, now.version)]
    told += [(name, str(before.settings.get(name)), str(value)) for name, value in now.settings.items()]
    differing = [f"{name}: {had} → {has}" for name, had, has in told if had != has]
    if differing:
        yield tr("No es la misma configuración: ", "The settings are others: ") + "; ".join(differing)


def _scored(run: Run) -> ScoredRun:
    # rounded, so that what the file holds is what is compared with it
    scores = {one.id: Score(one.question, round(one.ndcg, _DECIMALS), one.rank) for one in run.questions}
    return ScoredRun(run.dataset, run.variant, run.mode, run.dense_weight, scores)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_BASELINE = TypeAdapter(Baseline)
