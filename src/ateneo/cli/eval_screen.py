"""What `ateneo eval` shows: tables of 80 columns on stdout, progress and warnings on stderr."""

from collections.abc import Iterable, Sequence

from rich.table import Table

from ateneo.cli.output import warn
from ateneo.cli.runtime import err, out
from ateneo.embedding.service import EmbeddingService
from ateneo.evaluation.comparison import Calibration, Change, Comparison
from ateneo.evaluation.datasets import BeirFolder, Dataset
from ateneo.evaluation.loading import Loaded
from ateneo.evaluation.report import Metrics, Report, Run
from ateneo.evaluation.significance import Difference
from ateneo.i18n import count, number, percent, tr

_SHOWN = 10
_NAMED = 5
_KIND_CUTS = (1, 3, 10)


def intention(embedding: EmbeddingService, names: Sequence[str]) -> None:
    """What will be done, and with which model: a paid one gets every text."""
    err.print(f"{', '.join(names)} · {embedding.provider}/{embedding.model}", style="dim", soft_wrap=True)
    if embedding.price != 0:
        warn(
            tr(
                "Los textos y las preguntas se envían al proveedor, que los cobra.",
                "The texts and the questions go to the provider, which charges for them.",
            )
        )


def billed(model: str) -> None:
    """That a model of a provider's is going to answer every question."""
    warn(
        tr(
            f"Las preguntas y sus pasajes se envían a {model}, que los cobra.",
            f"The questions and their passages go to {model}, which charges for them.",
        )
    )


def loaded(dataset: Dataset, what: Loaded) -> None:
    """What is in the database, and what is wrong with it."""
    asked = len(what.questions)
    err.print(
        tr(
            f"{what.name}: {count(what.chunks, 'chunk', 'chunks')}, {count(asked, 'pregunta', 'preguntas')}",
            f"{what.name}: {count(what.chunks, 'chunk', 'chunks')}, {count(asked, 'question', 'questions')}",
        ),
        style="dim",
    )
    if isinstance(dataset, BeirFolder) and dataset.unjudged:
        warn(
            tr(
                count(
                    dataset.unjudged,
                    "pregunta sin pasaje relevante queda afuera.",
                    "preguntas sin pasaje relevante quedan afuera.",
                ),
                count(
                    dataset.unjudged,
                    "question without a relevant passage is left out.",
                    "questions without a relevant passage are left out.",
                ),
            )
        )
    _named(tr("No se pudieron leer", "Could not be read"), what.unreadable)
    _named(tr("Pasajes sin embedding", "Passages without an embedding"), what.unembedded)
    _named(
        tr(
            "Preguntas cuyo pasaje no está en ningún chunk de su documento (cuentan como no encontradas)",
            "Questions whose passage is in no chunk of its document (they count as not found)",
        ),
        what.lost,
    )


def _named(what: str, which: Sequence[str]) -> None:
    if which:
        rest = f" ... (+{number(len(which) - _NAMED)})" if len(which) > _NAMED else ""
        warn(f"{what}: {number(len(which))}: {'; '.join(which[:_NAMED])}{rest}")


# --- results ------------------------------------------------------------------------------------------------------


def results(report: Report) -> None:
    """A row a run; then, for question files, a row a kind."""
    several = len({run.configuration for run in report.runs}) > 1
    how = tr("búsqueda", "search") if several else tr("+ modelo", "+ model")
    names = [tr("conjunto", "dataset"), tr("variante", "variant"), *([how] if several else [])]
    figures = [*_metric_titles(report.k, (1, 5, report.k)), "ms p50/p95", *([] if several else [how])]
    table = narrow_table(names, figures)
    for run in report.runs:
        metrics = run.metrics()
        label, total = run.configuration.label, _times(metrics.total_p50_ms, metrics.total_p95_ms)
        table.add_row(
            run.dataset,
            run.variant,
            *([label] if several else []),
            *_metric_cells(metrics, (1, 5, report.k)),
            _times(metrics.search_p50_ms, metrics.search_p95_ms),
            *([] if several else [total]),
        )
    if not several:
        out.print(tr("Búsqueda: ", "Search: ") + report.runs[0].configuration.label, style="bold")
    out.print(table)
    for run in report.runs:
        if run.kinds:
            _kinds(run, report.k)


def _kinds(run: Run, k: int) -> None:
    figures = (tr("preguntas", "questions"), *_metric_titles(k, _KIND_CUTS))
    table = narrow_table([f"{run.dataset} · {run.variant} · {run.configuration.label}"], figures)
    for kind in (*run.kinds, None):
        metrics = run.metrics(kind)
        name = tr("todas", "all") if kind is None else kind
        table.add_row(name, number(metrics.questions), *_metric_cells(metrics, _KIND_CUTS))
    out.print()
    out.print(table)


def narrow_table(names: Sequence[str], figures: Iterable[str] = ()) -> Table:
    """Without rows: columns of names, which are cut, then of figures, which are whole."""
    made = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for name in names:
        made.add_column(name, overflow="ellipsis", no_wrap=True)
    for title in figures:
        made.add_column(title, justify="right", no_wrap=True)
    return made


def _metric_titles(k: int, cuts: Sequence[int]) -> list[str]:
    return [f"nDCG@{k}", *(f"R@{cut}" for cut in _within(cuts, k)), f"MRR@{k}"]


def _metric_cells(metrics: Metrics, cuts: Sequence[int]) -> list[str]:
    within = _within(cuts, max(metrics.recall))
    return [_points(one) for one in (metrics.ndcg, *(metrics.recall[cut] for cut in within), metrics.mrr)]


def _within(cuts: Sequence[int], k: int) -> list[int]:
    return sorted({cut for cut in cuts if cut <= k})


def _points(value: float) -> str:
    return number(100 * value, 1)


def _times(p50_ms: float, p95_ms: float) -> str:
    return f"{number(p50_ms, 1)}/{number(p95_ms, 1)}"


# --- comparisons --------------------------------------------------------------------------------------------------


def comparison(one: Comparison) -> None:
    """The two means, whether they differ, and the questions that moved most."""
    out.print()
    out.print(f"{one.dataset} · {one.variant}", style="bold")
    out.print(f"  A  {one.first.label:<14} nDCG {_points(one.first_ndcg)}")
    out.print(f"  B  {one.second.label:<14} nDCG {_points(one.second_ndcg)}")
    out.print(f"  B − A  {_difference(one.difference)}")
    equal = len(one.changes) - len(one.better) - len(one.worse)
    out.print(
        tr(
            f"  con B: mejoran {number(len(one.better))}, empeoran {number(len(one.worse))}, igual {number(equal)}",
            f"  with B: {number(len(one.better))} better, {number(len(one.worse))} worse, {number(equal)} the same",
        )
    )
    if one.missing:
        warn(
            tr(
                count(
                    one.missing,
                    "pregunta está de un solo lado y no se compara.",
                    "preguntas están de un solo lado y no se comparan.",
                ),
                count(
                    one.missing,
                    "question is on one side only and is not compared.",
                    "questions are on one side only and are not compared.",
                ),
            )
        )
    _changes(tr("empeoran más", "worst losses"), one.worse)
    _changes(tr("mejoran más", "best gains"), one.better)


def _difference(found: Difference) -> str:
    mean, low, high = (number(100 * one, 1, sign=True) for one in (found.mean, found.low, found.high))
    interval, p = tr(f"{low} a {high}", f"{low} to {high}"), number(found.p, 4)
    asked = count(found.questions, tr("pregunta", "question"), tr("preguntas", "questions"))
    return tr(
        f"{mean} puntos, IC {percent(0.95)} {interval}, p = {p} ({asked})",
        f"{mean} points, {percent(0.95)} CI {interval}, p = {p} ({asked})",
    )


def _changes(title: str, changes: Sequence[Change]) -> None:
    if not changes:
        return
    table = narrow_table([tr("puesto", "rank"), title])
    table.columns[0].min_width = 9
    for change in changes[:_SHOWN]:
        table.add_row(f"{_rank(change.before.rank)} → {_rank(change.after.rank)}", change.before.question)
    out.print()
    out.print(table)


def _rank(rank: int | None) -> str:
    return "–" if rank is None else number(rank)


def calibration(found: Calibration) -> None:
    """nDCG by weight on both halves, the weight that the first half chose, and what it brings on the second."""
    out.print()
    out.print(f"{found.dataset} · {found.variant}", style="bold")
    titles = tr("peso denso", "dense weight"), tr("mitad que elige", "choosing half")
    table = narrow_table([], [*titles, tr("mitad apartada", "held-out half")])
    table.add_column(no_wrap=True)
    for weight, chosen, held in zip(found.weights, found.chosen_on, found.held_out, strict=True):
        marks = [tr("en uso", "in use")] if weight == found.current else []
        marks += [tr("el mejor", "the best")] if weight == found.best else []
        table.add_row(number(weight, None), _points(chosen), _points(held), ", ".join(marks))
    out.print(table)
    if found.best == found.current:
        out.print(tr("El peso en uso es el mejor.", "The weight in use is the best."))
        return
    best, current = number(found.best, None), number(found.current, None)
    out.print(tr(f"{best} contra {current} en la mitad apartada:", f"{best} against {current} on the held-out half:"))
    out.print(f"  {_difference(found.gain)}")
    if found.gain.low > 0:
        use = f"ATENEO_DENSE_WEIGHT={found.best:g}"
        out.print(tr(f"No cambié nada. Para usarlo: {use}", f"Nothing was changed. To use it: {use}"))
    else:
        out.print(
            tr(
                "La mitad apartada no lo confirma: mejor dejar el peso en uso.",
                "The held-out half does not confirm it: better keep the weight in use.",
            )
        )
