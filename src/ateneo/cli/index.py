"""`ateneo index`: how the search index is, its upkeep, and its rebuild from the chunks table."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.status import Status as RichStatus
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, OneEmpresa
from ateneo.cli.output import Column, table
from ateneo.cli.progress import step
from ateneo.cli.runtime import database, err, out
from ateneo.cli.usage import Commands
from ateneo.db import indexes
from ateneo.db.indexes import Part
from ateneo.factories.databases import open_database
from ateneo.i18n import count, number, percent, size, tr
from ateneo.indexing import maintenance
from ateneo.indexing.maintenance import CompanyIndex, Status
from ateneo.settings import load

app = Commands()

_NOT_ALL = 3


@app.command(help=tr("Muestra cómo está el índice.", "Shows how the index is."))
async def status(
    recall: Annotated[
        bool,
        typer.Option("--recall", help=tr("Mide antes el recall por empresa.", "Measures recall by company first.")),
    ] = False,
    as_json: AsJson = False,
) -> None:
    settings = load()
    async with await open_database(settings) as db:
        if recall:
            with err.status(tr("Midiendo recall", "Measuring recall")) as shown:
                async for found in maintenance.measure_all(db):
                    shown.update(Text(tr(f"Recall de {found.empresa_id}", f"Recall of {found.empresa_id}")))
        found_status = await maintenance.status(db, threshold=settings.hnsw_threshold)
    if as_json:
        print_json(found_status)
    else:
        _show(found_status)


@app.command(
    help=tr(
        "Da o quita índices HNSW por empresa, renueva los gastados y refresca las estadísticas, sin bloquear a nadie.",
        "Gives or takes companies' HNSW indexes, renews worn ones and refreshes statistics, without blocking anyone.",
    )
)
async def tune(as_json: AsJson = False) -> int:
    settings = load()
    done: list[dict[str, Any]] = []
    async with await open_database(settings) as db:
        with err.status(tr("Mirando el índice", "Looking at the index")) as shown:

            def on_progress(doing: indexes.Task, how: indexes.Progress) -> None:
                share = f" {percent(how.done / how.total)}" if how.total else ""
                shown.update(Text(f"{_action(doing.action)} {doing.name}: {how.phase}{share}"))

            async for tuned in maintenance.tune(
                db, threshold=settings.hnsw_threshold, bm25=(settings.bm25_k1, settings.bm25_b), on_progress=on_progress
            ):
                done.append(asdict(tuned))
                if not as_json:
                    _print_above(shown, _line(tuned))
    if as_json:
        print_json(done)
    elif not done:
        out.print(tr("No había nada que hacer.", "There was nothing to do."))
    return 0 if all(item["done"] for item in done) else _NOT_ALL


@app.command(
    help=tr(
        "Rehace el índice a partir de knowledge_chunks mientras se usa; interrumpido, sigue donde estaba.",
        "Makes the index anew from knowledge_chunks while it is in use; interrupted, it goes on where it was.",
    )
)
async def rebuild(empresa_id: OneEmpresa = None, as_json: AsJson = False) -> int:
    async with database() as db:
        with step(tr("Rehaciendo el índice", "Rebuilding the index")) as tell:
            made = await maintenance.rebuild_index(db, empresa_id, on_page=tell)
    if as_json:
        print_json(made)
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


def _show(status: Status) -> None:
    parts: list[Column[Part]] = [
        Column(tr("tabla", "table"), lambda one: one.name),
        Column(tr("filas", "rows"), lambda one: number(one.rows), right=True, whole=True),
        Column(tr("datos", "data"), lambda one: size(one.table_bytes), right=True, whole=True),
        Column(tr("índices", "indexes"), lambda one: size(one.index_bytes), right=True, whole=True),
    ]
    companies: list[Column[CompanyIndex]] = [
        Column(tr("empresa", "company"), lambda one: one.empresa_id),
        Column("chunks", lambda one: number(one.chunks), right=True, whole=True),
        Column(tr("vectores", "vectors"), lambda one: number(one.vectors), right=True, whole=True),
        Column(tr("búsqueda", "search"), _kind, whole=True),
        Column(
            tr("desgaste", "churn"), lambda one: "" if one.churn is None else percent(one.churn), right=True, whole=True
        ),
        Column(tr("estadísticas", "statistics"), _statistics, whole=True),
        Column(
            "recall",
            lambda one: "" if one.recall is None else f"{number(one.recall, 3)} @{one.recall_k}",
            right=True,
            whole=True,
        ),
    ]
    out.print(table(status.parts, parts, pad_edge=False))
    out.print()
    out.print(table(status.companies, companies, pad_edge=False))
    for scope in status.unfinished:
        name = scope or tr("todas las empresas", "all companies")
        out.print(tr(f"Sin terminar: rebuild de {name}.", f"Not finished: rebuild of {name}."), style="yellow")
    due = len(status.tasks) + sum(company.stats_stale for company in status.companies)
    if due:
        what = tr(count(due, "tarea pendiente", "tareas pendientes"), count(due, "thing to do", "things to do"))
        out.print(f"{what}: `ateneo index tune`.", style="yellow")


def _kind(one: CompanyIndex) -> str:
    return f"HNSW ({size(one.index_bytes)})" if one.index_name else tr("exacta", "exact")


def _statistics(one: CompanyIndex) -> str:
    if one.stats_chunks is None or one.stats_avgdl is None:
        return tr("no hay", "none")
    if not one.stats_stale:
        return tr("al día", "up to date")
    chunks = f"{number(one.stats_chunks)} → {number(one.chunks)}"
    words = f"{number(one.stats_avgdl)} → {number(one.avgdl)}"
    return tr(f"viejas:\nchunks {chunks}\npalabras c/u {words}", f"stale:\nchunks {chunks}\nwords a chunk {words}")


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


def _print_above(shown: RichStatus, line: str) -> None:
    """On stdout, while the status lives on stderr: on a terminal that shows both it has to go first."""
    shown.stop()
    out.print(line, soft_wrap=True)
    shown.start()
