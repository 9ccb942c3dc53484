"""What `ateneo eval answers` shows: two tables and the worst answers, in 80 columns."""

from rich.table import Table
from rich.text import Text

from ateneo.cli.eval_screen import narrow_table
from ateneo.cli.runtime import out
from ateneo.evaluation.answers import AnswersReport, Shares
from ateneo.i18n import number, percent, tr

_SHOWN = 5


def show(report: AnswersReport) -> None:
    """Prints the shares by kind, those of the questions without an answer, and the ones that got one all the same."""
    out.print(tr("Responde: ", "Answered by: ") + f"{report.provider}/{report.model}", style="bold")
    out.print(tr("Busca: ", "Searched by: ") + report.embedder, style="dim")
    out.print()
    out.print(_answerable(report))
    nowhere = report.shares(answerable=False)
    if nowhere is not None:
        out.print()
        out.print(_unanswerable(nowhere))
    out.print()
    whole = [one for one in (report.shares(answerable=True), nowhere) if one is not None]
    for title, one in zip(
        (tr("con respuesta", "with an answer"), tr("sin respuesta", "without one")), whole, strict=False
    ):
        out.print(_spent(title, one), style="dim")
    _invented(report)


def _answerable(report: AnswersReport) -> Table:
    figures = [tr("preguntas", "questions"), tr("responde", "answers"), tr("cita bien", "cites right")]
    table = narrow_table([report.dataset], [*figures, tr("no lo sé", "do not know"), tr("falla", "fails")])
    for kind in (*report.kinds, None):
        one = report.shares(answerable=True, kind=kind)
        assert one is not None
        cells = (one.answered, one.correct, one.unknown, one.failed)
        table.add_row(kind or tr("todas", "all"), number(one.questions), *map(_percent, cells))
    return table


def _unanswerable(one: Shares) -> Table:
    figures = [tr("preguntas", "questions"), tr("no lo sé", "do not know")]
    figures += [tr("responde igual", "answers all the same"), tr("falla", "fails")]
    table = narrow_table([tr("que ningún documento responde", "that no document answers")], figures)
    cells = (one.unknown, one.answered, one.failed)
    table.add_row("", number(one.questions), *map(_percent, cells))
    return table


def _spent(title: str, one: Shares) -> str:
    tokens = f"{number(one.input_tokens)} + {number(one.output_tokens)}"
    cost = "?" if one.cost is None else number(one.cost, 4)
    spent = f"{tokens} tokens, US$ {cost}, {number(one.latency_p50_ms)} ms (p50)"
    return tr(f"Por pregunta {title}: {spent}", f"A question {title}: {spent}")


def _invented(report: AnswersReport) -> None:
    wrong = [one for one in report.questions if not one.answerable and one.answered]
    if not wrong:
        return
    out.print()
    out.print(tr("Contestó lo que no está en los documentos:", "It answered what is not in the documents:"))
    for one in wrong[:_SHOWN]:
        out.print(Text(f"  {one.id}  {one.question}"), no_wrap=True, overflow="ellipsis")
    if len(wrong) > _SHOWN:
        more = number(len(wrong) - _SHOWN)
        out.print(tr(f"  ... y {more} más (--json)", f"  ... and {more} more (--json)"))


def _percent(share: float) -> str:
    return percent(share, 1)
