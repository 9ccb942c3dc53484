"""`ateneo eval gate`: ends with 1 where search has become significantly worse than a baseline; for CI."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ateneo.cli import eval_screen as screen
from ateneo.cli.eval_measure import Options, measured, read_datasets
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson
from ateneo.cli.output import say, warn
from ateneo.errors import BadArgument, DatasetInvalid
from ateneo.evaluation.datasets import Dataset
from ateneo.evaluation.gate import FEWEST, Baseline, Corpus, Setting, Verdict, fingerprint, judge
from ateneo.evaluation.report import Configuration, Report
from ateneo.i18n import count, tr
from ateneo.settings import Settings, load
from ateneo.types import Mode
from ateneo.validation_messages import unreadable

_FOLDERS = tr("Carpetas BEIR o archivos de preguntas JSONL.", "BEIR folders or JSONL files of questions.")
_BASELINE = tr("Archivo JSON con lo medido antes.", "JSON file with what was measured before.")
_UPDATE = tr("Guarda lo medido como línea base.", "Keeps what was measured as the baseline.")


async def gate(
    folders: Annotated[list[Path], typer.Argument(help=_FOLDERS)],
    baseline: Annotated[Path, typer.Option(help=_BASELINE)] = Path("ateneo-baseline.json"),
    update: Annotated[bool, typer.Option("--update", help=_UPDATE)] = False,
    mode: Annotated[Mode, typer.Option(help=tr("Cómo buscar.", "How to search."))] = "hybrid",
    dense_weight: Annotated[
        float | None, typer.Option(min=0, max=1, help=tr("Peso del significado.", "Weight of meaning."))
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, max=200, help=tr("Corte de las medidas.", "Cut-off."))] = 10,
    as_json: AsJson = False,
) -> int:
    settings = load()
    before = _before(baseline, update=update)
    options = Options(tuple(folders), Configuration(mode, dense_weight), ("clean",), k, as_json=as_json)
    datasets = await read_datasets(options)
    corpora = await asyncio.to_thread(_fingerprints, datasets)
    report = await measured(datasets, options, settings)
    now = Baseline.of(report, _settings(settings, report), corpora)
    verdict = None if before is None else judge(before, now)
    if update:
        now.write(baseline)
    if as_json:
        print_json(_plain(verdict, report))
    else:
        _show(verdict, report)
        if update:
            say(tr(f"Línea base guardada en {baseline}", f"The baseline is kept in {baseline}"))
    return 0 if update or verdict is None or verdict.passed else 1


def _before(path: Path, *, update: bool) -> Baseline | None:
    if path.exists():
        return Baseline.read(path)
    if update:
        return None
    rule = tr("no existe: guardala con --update", "it does not exist: keep it with --update")
    raise BadArgument(name="--baseline", value=path, rule=rule)


def _fingerprints(datasets: list[Dataset]) -> dict[str, Corpus]:
    try:
        return {one.name: fingerprint(one) for one in datasets}
    except OSError as error:
        raise DatasetInvalid(where=error.filename, detail=unreadable(error)) from error


def _settings(settings: Settings, report: Report) -> dict[str, Setting]:
    """What decides what is found, beside the corpus and the version."""
    run = report.runs[0]
    return {
        "embedding": f"{report.provider}/{report.model}",
        "mode": run.mode,
        "dense_weight": run.dense_weight,
        "reranker": settings.reranker,
        "reranker_model": settings.reranker_model,
        "chunk_tokens": settings.chunk_tokens,
        "chunk_overlap": settings.chunk_overlap,
        "ocr": settings.ocr,
    }


def _plain(verdict: Verdict | None, report: Report) -> dict[str, object]:
    """For programs."""
    if verdict is None:
        return {"passed": True, "measured": report.as_json()}
    return {
        "passed": verdict.passed,
        "warnings": verdict.warnings,
        "left_out": verdict.left_out,
        "comparisons": [
            {
                "dataset": one.dataset,
                "before": one.first_ndcg,
                "now": one.second_ndcg,
                "difference": asdict(one.difference),
                "lost": [_question(change.before.id, change.before.question, change.gain) for change in one.worse],
                "won": [_question(change.before.id, change.before.question, change.gain) for change in one.better],
            }
            for one in verdict.comparisons
        ],
    }


def _question(one: str, text: str, gain: float) -> dict[str, object]:
    return {"id": one, "question": text, "gain": gain}


def _show(verdict: Verdict | None, report: Report) -> None:
    if verdict is None:
        screen.results(report)
        return
    for one in verdict.warnings:
        warn(one)
    if verdict.left_out:
        es = count(len(verdict.left_out), "pregunta no se compara", "preguntas no se comparan")
        en = count(len(verdict.left_out), "question is not compared", "questions are not compared")
        named = ", ".join(verdict.left_out[:10])
        warn(tr(f"{es} (nuevas, quitadas o reescritas): {named}", f"{en} (new, removed or reworded): {named}"))
    say(tr("A: la línea base · B: ahora", "A: the baseline · B: now"), style="dim")
    for comparison in verdict.comparisons:
        screen.comparison(comparison)
        if comparison.difference.questions < FEWEST:
            warn(
                tr(
                    f"Con menos de {FEWEST} preguntas ninguna pérdida es significativa.",
                    f"With fewer than {FEWEST} questions no loss is significant.",
                )
            )
    say("")
    if verdict.passed:
        say(tr("✅ Sin pérdida significativa.", "✅ No significant loss."))
    else:
        named = ", ".join(one.dataset for one in verdict.lost)
        say(tr(f"❌ La búsqueda empeoró: {named}", f"❌ Search has become worse: {named}"), style="bold red")
