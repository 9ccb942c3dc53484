"""`ateneo index`: how the search index is, its upkeep, and its rebuild from the chunks table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ateneo.cli.runtime import err, out, print_json, run_or_exit
from ateneo.cli.usage import Commands
from ateneo.db import indexes
from ateneo.factories.databases import open_database
from ateneo.i18n import count, number, percent, size, tr
from ateneo.indexing import maintenance
from ateneo.indexing.maintenance import CompanyIndex, Status
from ateneo.settings import load

app = Commands()

_JSON = Annotated[bool, typer.Option("--json", help=tr("Un documento JSON.", "One JSON document."))]
_NOT_ALL = 3


@app.command(help=tr("Muestra cómo está el índice.", "Shows how the index is."))
def status(
    recall: Annotated[
        bool,
        typer.Option("--recall", help=tr("Mide antes el recall por empresa.", "Measures recall by company first.")),
    ] = False,
    as_json: _JSON = False,
) -> None:
    run_or_exit(_status(recall, as_json), as_json=as_json)


@app.command(
    help=tr(
        "Da o quita índices HNSW por empresa, renueva los gastados y refresca las estadísticas, sin bloquear a nadie.",
        "Gives or takes companies' HNSW indexes, renews worn ones and refreshes statistics, without blocking anyone.",
    )
)
def tune(as_json: _JSON = False) -> None:
    run_or_exit(_tune(as_json), as_json=as_json)


@app.command(
    help=tr(
        "Rehace el índice a partir de knowledge_chunks mientras se usa; interrumpido, sigue donde estaba.",
        "Makes the index anew from knowledge_chunks while it is in use; interrupted, it goes on where it was.",
    )
)
def rebuild(
    empresa_id: Annotated[
        str | None, typer.Option("--empresa-id", help=tr("Solo esta empresa.", "This company only."))
    ] = None,
    as_json: _JSON = False,
) -> None:
    run_or_exit(_rebuild(empresa_id, as_json), as_json=as_json)


async def _status(recall: bool, as_json: bool) -> None:
    settings = load()
    async with await open_database(settings) as db:
        if recall:
            with _progress() as progress:
                task = progress.add_task(tr("Midiendo recall", "Measuring recall"), total=None)
                async for found in maintenance.measure_all(db):
                    progress.update(
                        task, description=tr(f"Recall de {found.empresa_id}", f"Recall of {found.empresa_id}")
                    )
        found_status = await maintenance.status(db, threshold=settings.hnsw_threshold)
    if as_json:
        print_json(asdict(found_status))
    else:
        _show(found_status)


def _show(status: Status) -> None:
    table = _table(
        tr("tabla", "table"), rows=tr("filas", "rows"), data=tr("datos", "data"), index=tr("índices", "indexes")
    )
    for part in status.parts:
        table.add_row(part.name, number(part.rows), size(part.table_bytes), size(part.index_bytes))
    out.print(table)
    out.print()
    table = _table(
        tr("empresa", "company"),
        chunks="chunks",
        vectors=tr("vectores", "vectors"),
        search=tr("búsqueda", "search"),
        churn=tr("desgaste", "churn"),
        words=tr("estadísticas", "statistics"),
        recall="recall",
    )
    for company in status.companies:
        table.add_row(company.empresa_id, number(company.chunks), number(company.vectors), *_columns(company))
    out.print(table)
    for scope in status.unfinished:
        name = scope or tr("todas las empresas", "all companies")
        out.print(tr(f"Sin terminar: rebuild de {name}.", f"Not finished: rebuild of {name}."), style="yellow")
    due = len(status.tasks) + sum(company.stats_stale for company in status.companies)
    if due:
        what = tr(count(due, "tarea pendiente", "tareas pendientes"), count(due, "thing to do", "things to do"))
        out.print(f"{what}: `ateneo index tune`.", style="yellow")


def _columns(company: CompanyIndex) -> Iterator[str]:
    yield f"HNSW ({size(company.index_bytes)})" if company.index_name else tr("exacta", "exact")
    yield "" if company.churn is None else percent(company.churn)
    if company.stats_chunks is None or company.stats_avgdl is None:
        yield tr("no hay", "none")
    else:
        chunks = f"{number(company.stats_chunks)} → {number(company.chunks)}"
        words = f"{number(company.stats_avgdl)} → {number(company.avgdl)}"
        stale = tr(f"viejas:\nchunks {chunks}\npalabras c/u {words}", f"stale:\nchunks {chunks}\nwords a chunk {words}")
        yield stale if company.stats_stale else tr("al día", "up to date")
    yield "" if company.recall is None else f"{number(company.recall, 3)} @{company.recall_k}"


async def _tune(as_json: bool) -> int:
    settings = load()
    done: list[dict[str, Any]] = []
    async with await open_database(settings) as db:
        with _progress() as progress:
            task = progress.add_task(tr("Mirando el índice", "Looking at the index"), total=None)

            def on_progress(doing: indexes.Task, how: indexes.Progress) -> None:
                progress.update(
                    task,
                    description=f"{_action(doing.action)} {doing.name}: {how.phase}",
                    completed=how.done,
                    total=how.total or None,
                )

            async for tuned in maintenance.tune(
                db,
                threshold=settings.hnsw_threshold,
                bm25=(settings.bm25_k1, settings.bm25_b),
                on_progress=on_progress,
            ):
                done.append(asdict(tuned))
                if not as_json:
                    _print_above(progress, _line(tuned))
    if as_json:
        print_json(done)
    elif not done:
        out.print(tr("No había nada que hacer.", "There was nothing to do."))
    return 0 if all(item["done"] for item in done) else _NOT_ALL


def _action(name: str) -> str:
    names = {
        "clean": tr("limpiar", "clean"),
        "drop": tr("quitar", "drop"),
        "reindex": tr("renovar", "renew"),
        "create": tr("crear", "create"),
        "statistics": tr("estadísticas", "statistics"),
    }
    return names.get(name, name)


def _line(tuned: maintenance.Tuned) -> str:
    company = f" ({tuned.empresa_id})" if tuned.empresa_id not in (None, tuned.target) else ""
    what = f"{_action(tuned.action):<12} {tuned.target}{company}"
    if tuned.done:
        return f"  ✓ {what}  {number(tuned.seconds, 1)} s"
    return f"  ! {what}  " + tr(
        "una transacción abierta no lo dejó; la próxima vez sigue.", "an open transaction stood in the way; next time."
    )


async def _rebuild(empresa_id: str | None, as_json: bool) -> int:
    async with await open_database(load()) as db:
        with _progress() as progress:
            task = progress.add_task(tr("Rehaciendo el índice", "Rebuilding the index"), total=None)
            made = await maintenance.rebuild_index(
                db, empresa_id, on_page=lambda done, total: progress.update(task, completed=done, total=total)
            )
    if as_json:
        print_json(asdict(made))
        return _NOT_ALL if made.busy else 0
    out.print(tr("Listo: ", "Done: ") + count(made.chunks, "chunk", "chunks") + ".", style="green")
    if made.resumed:
        es = count(made.resumed, "era de una vez anterior.", "eran de una vez anterior.")
        en = count(made.resumed, "was from an earlier run.", "were from an earlier run.")
        out.print(tr(f"({es})", f"({en})"))
    if made.busy:
        es = count(made.busy, "chunk estaba siendo escrito", "chunks estaban siendo escritos")
        en = count(made.busy, "chunk was being written", "chunks were being written")
        out.print(tr(f"{es}: repetilo luego.", f"{en}: run it again later."), style="yellow")
        return _NOT_ALL
    return 0


def _table(first: str, **columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name, heading in columns.items():
        table.add_column(heading, justify="left" if name in ("search", "words") else "right", no_wrap=True)
    return table


def _print_above(progress: Progress, line: str) -> None:
    """On stdout, while the bar lives on stderr: on a terminal that shows both the bar has to go first."""
    if err.is_terminal:
        progress.stop()
    out.print(line, soft_wrap=True)
    if err.is_terminal:
        progress.start()


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as progress:
        yield progress
