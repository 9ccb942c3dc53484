"""`ateneo jobs`: uploads on their way to being documents, and those that failed."""

from typing import Annotated

import typer
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.output import Column, facts, show_rows
from ateneo.cli.runtime import database, note, out
from ateneo.cli.usage import Commands
from ateneo.db import jobs
from ateneo.db.pool import Database
from ateneo.errors import BadArgument, InputError
from ateneo.i18n import count, number, size, tr
from ateneo.types.jobs import OPEN, STATES, Job

app = Commands()

_PAGE = 500
_JOB = Annotated[str, typer.Argument(help=tr("El id de la carga.", "The job's id."))]
_ONE = Annotated[str | None, typer.Argument(help=tr("El id de la carga.", "The job's id."))]


@app.command("list", help=tr("Las que hay, de la más nueva a la más vieja.", "Those there are, the newest first."))
async def list_(
    empresa_id: EmpresaId,
    state: Annotated[
        str | None,
        typer.Option("--state", help=tr("De un estado; `open`: sin terminar.", "Of one; `open`: not ended.")),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help=tr("Cuántas.", "How many."))] = 50,
    as_json: AsJson = False,
) -> None:
    if state not in (None, "open", *STATES):
        raise BadArgument(name="--state", value=state, rule=", ".join(("open", *STATES)))
    states = None if state is None else sorted(OPEN) if state == "open" else [state]
    async with database() as db:
        found = await jobs.listed(db, empresa_id, states=states, limit=limit)
        await note(db, empresa_id, "jobs_list", results=len(found))
    columns: list[Column[Job]] = [
        Column("id", lambda one: one.job_id, whole=True),
        Column(tr("estado", "state"), state_name, whole=True),
        Column(tr("archivo", "file"), lambda one: one.source),
        Column("chunks", progress, right=True, whole=True),
        Column(tr("error", "error"), lambda one: one.error.code if one.error else ""),
    ]
    show_rows(found, columns, as_json=as_json, empty=tr("No hay ninguna.", "There is none."))


@app.command(help=tr("Una, y por qué falló.", "One, and why it failed."))
async def show(job_id: _JOB, empresa_id: EmpresaId, as_json: AsJson = False) -> None:
    async with database() as db:
        found = await jobs.get(db, empresa_id, job_id)
        await note(db, empresa_id, "jobs_show", target=job_id)
    if as_json:
        print_json(found)
        return
    out.print(
        facts(
            {
                "id": found.job_id,
                tr("estado", "state"): state_name(found),
                tr("archivo", "file"): f"{found.source} ({size(found.bytes)})",
                tr("documento", "document"): found.document_id or "",
                "chunks": progress(found),
                tr("intentos", "tries"): number(found.attempts),
                tr("desde", "since"): found.created_at,
                tr("próximo intento", "next try"): found.next_try_at or "",
                tr("terminó", "ended"): found.ended_at or "",
            }
        )
    )
    if found.error:
        out.print(Text(f"❌ {found.error.message}"), soft_wrap=True)
        out.print(Text(f"   {found.error.remedy}"), soft_wrap=True)


@app.command(help=tr("Intenta otra vez una que falló, o todas.", "Tries a failed one again, or all."))
async def retry(
    empresa_id: EmpresaId,
    job_id: _ONE = None,
    everything: Annotated[bool, typer.Option("--all", help=tr("Todas las que fallaron.", "All that failed."))] = False,
) -> None:
    async with database() as db:
        chosen = await _chosen(db, empresa_id, job_id, ["failed"], everything=everything)
        for one in chosen:
            await jobs.retry(db, empresa_id, one)
        await note(db, empresa_id, "jobs_retry", target=job_id, results=len(chosen))
    out.print(tr(count(len(chosen), "vuelve a la cola.", "vuelven a la cola."), f"{number(len(chosen))} queued again."))


@app.command(help=tr("Cancela una que no terminó, o todas.", "Cancels one that has not ended, or all."))
async def cancel(
    empresa_id: EmpresaId,
    job_id: _ONE = None,
    everything: Annotated[
        bool, typer.Option("--all", help=tr("Todas las que no terminaron.", "All that have not ended."))
    ] = False,
) -> None:
    async with database() as db:
        chosen = await _chosen(db, empresa_id, job_id, sorted(OPEN), everything=everything)
        for one in chosen:
            await jobs.cancel(db, empresa_id, one)
        await note(db, empresa_id, "jobs_cancel", target=job_id, results=len(chosen))
    out.print(tr(count(len(chosen), "cancelada.", "canceladas."), f"{number(len(chosen))} cancelled."))


async def _chosen(
    db: Database, empresa_id: str, job_id: str | None, states: list[str], *, everything: bool
) -> list[str]:
    if job_id is not None:
        return [job_id]
    if not everything:
        raise InputError(detail=tr("¿Cuáles? Un id, o --all.", "Which ones? An id, or --all."))
    found: list[str] = []
    while page := await jobs.listed(db, empresa_id, states=states, after=found[-1] if found else None, limit=_PAGE):
        found += [one.job_id for one in page]
    return found


def progress(job: Job) -> str:
    """How many of its chunks are embedded, for people."""
    return "–" if job.chunks is None else f"{number(job.embedded)}/{number(job.chunks)}"


def state_name(job: Job) -> str:
    """A job's state for people."""
    names = {
        "queued": tr("en cola", "queued"),
        "reading": tr("leyendo", "reading"),
        "chunking": tr("cortando", "chunking"),
        "embedding": tr("embeddings", "embedding"),
        "ready": tr("lista", "ready"),
        "unchanged": tr("sin cambios", "unchanged"),
        "superseded": tr("reemplazada", "superseded"),
        "failed": tr("falló", "failed"),
        "cancelled": tr("cancelada", "cancelled"),
    }
    return names[job.state]
