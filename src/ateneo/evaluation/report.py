"""What was measured: an outcome for each question, a run for each dataset, variant and configuration, and the report
of them all, which can be saved as JSON and read again."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ateneo.errors import BadArgument, DatasetInvalid
from ateneo.evaluation.variants import Variant
from ateneo.i18n import tr
from ateneo.search.options import SearchOptions
from ateneo.types import Mode
from ateneo.validation_messages import broken_rule, unreadable


@dataclass(frozen=True, slots=True)
class Configuration:
    """How to search. `dense_weight` None is the embedder's own; it matters in hybrid mode alone."""

    mode: Mode = "hybrid"
    dense_weight: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Configuration":
        """From `mode=hybrid,dense_weight=0.4`, each part optional. Raises BadArgument."""
        fields: dict[str, Any] = {}
        for part in text.split(","):
            name, _, value = part.partition("=")
            fields[name.strip()] = value.strip()
        try:
            made = _CONFIGURATION.validate_python(fields)
        except ValidationError as error:
            raise _not_a_configuration(text) from error
        known = {field.name for field in dataclasses.fields(cls)}
        if not fields.keys() <= known or not 0 <= (made.dense_weight or 0) <= 1:
            raise _not_a_configuration(text)
        return made

    def options(self, k: int) -> SearchOptions:
        return SearchOptions(k, self.mode, self.dense_weight)

    @property
    def label(self) -> str:
        if self.mode != "hybrid" or self.dense_weight is None:
            return self.mode
        return f"{self.mode} {self.dense_weight:g}"


def _not_a_configuration(text: str) -> BadArgument:
    rule = tr(
        "esperaba un archivo de resultados, o mode=hybrid|dense|lexical,dense_weight=0..1",
        "expected a file of results, or mode=hybrid|dense|lexical,dense_weight=0..1",
    )
    return BadArgument(name="--compare", value=text, rule=rule)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question. `rank` of the first relevant hit, from 1, None beyond the first k; `recall` by cut-off; `ranked`
    are the ids found, best first. `embed_ms` and `search_ms`: the query's embedding, and the search after it."""

    id: str
    question: str
    kind: str
    ndcg: float
    rank: int | None
    recall: Mapping[int, float]
    ranked: tuple[str, ...]
    embed_ms: float
    search_ms: float

    @property
    def reciprocal_rank(self) -> float:
        return 0.0 if self.rank is None else 1 / self.rank


@dataclass(frozen=True, slots=True)
class Metrics:
    """Means over questions, in [0, 1]; milliseconds of the search, and of search and embedding together."""

    questions: int
    ndcg: float
    mrr: float
    recall: Mapping[int, float]
    search_p50_ms: float
    search_p95_ms: float
    total_p50_ms: float
    total_p95_ms: float


@dataclass(frozen=True, slots=True)
class Run:
    """One dataset in one variant, searched in one way. `dense_weight` is the one that was used, None where none was."""

    dataset: str
    variant: Variant
    mode: Mode
    dense_weight: float | None
    questions: tuple[Outcome, ...]

    @property
    def configuration(self) -> Configuration:
        return Configuration(self.mode, self.dense_weight)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its questions, in alphabetical order; none where they have no kinds."""
        return tuple(sorted({one.kind for one in self.questions} - {""}))

    def metrics(self, kind: str | None = None) -> Metrics:
        """Over the questions of one kind, or all."""
        some = [one for one in self.questions if kind is None or one.kind == kind]
        return summarise(some)


def summarise(outcomes: Iterable[Outcome]) -> Metrics:
    """The means of one outcome or more, all with the same cut-offs."""
    some = list(outcomes)

    def mean(value: Callable[[Outcome], float]) -> float:
        return fmean(value(one) for one in some)

    search = sorted(one.search_ms for one in some)
    total = sorted(one.search_ms + one.embed_ms for one in some)
    return Metrics(
        questions=len(some),
        ndcg=mean(lambda one: one.ndcg),
        mrr=mean(lambda one: one.reciprocal_rank),
        recall={cut: fmean(one.recall[cut] for one in some) for cut in some[0].recall},
        search_p50_ms=_percentile(search, 50),
        search_p95_ms=_percentile(search, 95),
        total_p50_ms=_percentile(total, 50),
        total_p95_ms=_percentile(total, 95),
    )


def _percentile(ordered: list[float], percent: int) -> float:
    """The smallest value that `percent` of them do not exceed (nearest rank)."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


@dataclass(frozen=True, slots=True)
class Report:
    """`k` is the cut-off of nDCG, MRR and the last recall; `provider`, `model`: the embedder; `dense_weight`: what a
    search that names none gets."""

    version: str
    provider: str
    model: str
    dense_weight: float
    k: int
    runs: tuple[Run, ...]

    def as_json(self) -> dict[str, Any]:
        """For `json.dumps`: the fields, and each run's metrics, over all questions and by kind."""
        whole = dataclasses.asdict(self)
        for run, plain in zip(self.runs, whole["runs"], strict=True):
            plain["metrics"] = dataclasses.asdict(run.metrics())
            plain["kinds"] = {kind: dataclasses.asdict(run.metrics(kind)) for kind in run.kinds}
        return whole

    @classmethod
    def read(cls, path: Path) -> "Report":
        """What `as_json` gave, from a file. Raises DatasetInvalid."""
        try:
            return _REPORT.validate_json(path.read_bytes())
        except OSError as error:
            raise DatasetInvalid(where=path, detail=unreadable(error)) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(one) for one in first["loc"])
            detail = tr("no es un resultado de `--json`", "it is not a result of `--json`")
            raise DatasetInvalid(where=path, detail=f"{detail} ({place}: {broken_rule(first)})") from error


_CONFIGURATION = TypeAdapter(Configuration)
_REPORT = TypeAdapter(Report)
