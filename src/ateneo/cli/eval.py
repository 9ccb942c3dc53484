"""`ateneo eval retrieval`: measures search on questions whose answers are known, in a scratch database."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ateneo.cli import eval_screen as screen
from ateneo.cli.eval_answers import answers
from ateneo.cli.eval_gate import gate
from ateneo.cli.eval_measure import Options, read_datasets
from ateneo.cli.eval_measure import measured as measure
from ateneo.cli.eval_plot import bar_chart
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson
from ateneo.cli.usage import Commands
from ateneo.errors import BadArgument
from ateneo.evaluation.comparison import Calibration, Comparison, calibrate, compare_runs
from ateneo.evaluation.report import Configuration, Report, Run
from ateneo.evaluation.variants import VARIANTS, Variant
from ateneo.i18n import tr
from ateneo.settings import Settings, load
from ateneo.types import Mode
from ateneo.validation_messages import unreadable

app = Commands()


app.command("answers", help=tr("Mide lo que responde un agente.", "Measures what an agent answers."))(answers)
app.command("gate", help=tr("Falla si la búsqueda empeoró.", "Fails where search has become worse."))(gate)


@app.command("retrieval", help=tr("Mide la búsqueda con preguntas de respuesta conocida.", "Measures search."))
async def retrieval(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help=tr("Carpetas BEIR o archivos de preguntas JSONL.", "BEIR folders or JSONL files of questions.")
        ),
    ] = None,
    mode: Annotated[Mode, typer.Option(help=tr("Cómo buscar.", "How to search."))] = "hybrid",
    dense_weight: Annotated[
        float | None, typer.Option(min=0, max=1, help=tr("Peso del significado.", "Weight of meaning."))
    ] = None,
    variants: Annotated[
        str, typer.Option(help=tr("Separadas por comas: ", "Separated by commas: ") + ", ".join(VARIANTS))
    ] = "clean",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help=tr(
                "Dos configuraciones (mode=hybrid,dense_weight=0.4) o resultados guardados con --json.",
                "Two configurations (mode=hybrid,dense_weight=0.4) or results saved with --json.",
            ),
        ),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help=tr("Prueba pesos de 0 a 1.", "Tries weights from 0 to 1."))
    ] = False,
    k: Annotated[int, typer.Option("--k", min=1, max=200, help=tr("Corte de las medidas.", "Cut-off."))] = 10,
    limit: Annotated[
        int | None, typer.Option(min=1, help=tr("Solo las primeras preguntas.", "Only the first questions."))
    ] = None,
    titles: Annotated[
        bool, typer.Option("--titles", help=tr("BEIR: título antes del texto.", "BEIR: title before the text."))
    ] = False,
    plot: Annotated[Path | None, typer.Option(help=tr("Dibuja en un archivo .svg.", "Draws to an .svg file."))] = None,
    as_json: AsJson = False,
) -> None:
    settings = load()
    options = Options(
        folders=tuple(folders or ()),
        configuration=Configuration(mode, dense_weight),
        variants=_variants(variants),
        sides=tuple(_side(one) for one in compare or ()),
        k=k,
        limit=limit,
        titles=titles,
        calibrate=calibrate,
        plot=plot,
        as_json=as_json,
    )
    _check(options)
    await _evaluate(options, settings)


# --- arguments ----------------------------------------------------------------------------------------------------


def _variants(text: str) -> tuple[Variant, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not set(names) <= set(VARIANTS):
        raise BadArgument(name="--variants", value=text, rule=", ".join(VARIANTS))
    return cast("tuple[Variant, ...]", names)


def _side(text: str) -> Configuration | Report:
    path = Path(text)
    return Report.read(path) if path.is_file() else Configuration.parse(text)


def _check(options: Options) -> None:
    saved = bool(options.sides) and all(isinstance(side, Report) for side in options.sides)
    if saved == bool(options.folders):
        rule = (
            tr("dos resultados guardados se comparan sin carpetas", "two saved results are compared without folders")
            if saved
            else tr("hace falta una carpeta o un archivo de preguntas", "a folder or a file of questions is needed")
        )
        raise BadArgument(name=tr("CARPETA", "FOLDER"), value=" ".join(map(str, options.folders)), rule=rule)
    if (options.sides or options.calibrate) and options.configuration != Configuration():
        rule = tr("no va con --compare ni --calibrate", "it does not go with --compare or --calibrate")
        raise BadArgument(name="--mode, --dense-weight", value=options.configuration.label, rule=rule)
    if options.calibrate and (options.sides or options.plot):
        rule = tr("no va con --compare ni --plot", "it does not go with --compare or --plot")
        raise BadArgument(name="--calibrate", value="true", rule=rule)
    if options.plot is not None and options.plot.suffix.lower() != ".svg":
        rule = tr("dibujo en SVG: el archivo termina en .svg", "I draw SVG: the file ends in .svg")
        raise BadArgument(name="--plot", value=options.plot, rule=rule)
    if len(_cutoffs(options)) > 1:
        rule = tr("A y B se midieron con otro k", "A and B were measured with another k")
        raise BadArgument(name="--k", value=", ".join(map(str, sorted(_cutoffs(options)))), rule=rule)


def _cutoffs(options: Options) -> set[int]:
    """The k of everything that is shown; one, where it can be compared."""
    return {side.k if isinstance(side, Report) else options.k for side in options.sides} or {options.k}


# --- work ---------------------------------------------------------------------------------------------------------


async def _evaluate(options: Options, settings: Settings) -> None:
    datasets = await read_datasets(options)
    measured = await measure(datasets, options, settings) if datasets else None
    runs = measured.runs if measured else ()
    sides = _sides(options.sides, runs)
    comparisons = compare_runs(*sides) if len(sides) == 2 else []
    calibrations = _calibrations(measured) if measured and options.calibrate else []
    if options.plot is not None:
        _draw(options.plot, sides or [runs], min(_cutoffs(options)))
    if options.as_json:
        found: dict[str, Any] = measured.as_json() if measured else {}
        print_json(found | _extras(comparisons, calibrations))
        return
    if measured and not options.calibrate:
        screen.results(measured)
    for comparison in comparisons:
        screen.comparison(comparison)
    for calibration in calibrations:
        screen.calibration(calibration)


def _sides(sides: Sequence[Configuration | Report], runs: Sequence[Run]) -> list[Sequence[Run]]:
    """The runs of A and of B. Those measured now came in turns, one a configuration, in the order of the sides."""
    fresh = sum(isinstance(side, Configuration) for side in sides)
    turns = iter(range(fresh))
    return [side.runs if isinstance(side, Report) else runs[next(turns) :: fresh] for side in sides]


def _calibrations(measured: Report) -> list[Calibration]:
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in measured.runs:
        groups.setdefault((run.dataset, run.variant), []).append(run)
    return [calibrate(group, measured.dense_weight) for group in groups.values()]


def _draw(path: Path, sides: Sequence[Sequence[Run]], k: int) -> None:
    names = ("A: ", "B: ") if len(sides) == 2 else ("",)
    series = {name + runs[0].configuration.label: runs for name, runs in zip(names, sides, strict=True)}
    try:
        path.write_text(bar_chart(series, k), encoding="utf-8")
    except OSError as error:
        raise BadArgument(name="--plot", value=path, rule=unreadable(error)) from error


def _extras(comparisons: Sequence[Comparison], calibrations: Sequence[Calibration]) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if comparisons:
        extras["comparisons"] = [_plain(one) for one in comparisons]
    if calibrations:
        extras["calibrations"] = [dataclasses.asdict(one) for one in calibrations]
    return extras


def _plain(comparison: Comparison) -> dict[str, Any]:
    """A comparison for programs: every question that moved, with its rank and nDCG on both sides."""
    whole = dataclasses.asdict(dataclasses.replace(comparison, changes=()))
    whole["changes"] = [
        {
            "id": one.before.id,
            "question": one.before.question,
            "ndcg": [one.before.ndcg, one.after.ndcg],
            "rank": [one.before.rank, one.after.rank],
        }
        for one in comparison.changes
        if one.gain
    ]
    return whole
