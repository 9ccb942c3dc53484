"""`ateneo queue`: the chunks that wait for a vector, and the dead letters."""

from itertools import groupby
from typing import Annotated

import typer
from rich.padding import Padding
from rich.table import Table

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, OneEmpresa
from ateneo.cli.output import Column, table
from ateneo.cli.runtime import database, note, out
from ateneo.cli.usage import Commands
from ateneo.db import dead_letters
from ateneo.db.dead_letters import DeadLetter
from ateneo.errors import InputError, Unknown
from ateneo.i18n import count, number, tr

app = Commands()

_ALL = Annotated[bool, typer.Option("--all", help=tr("Todos.", "All of them."))]
_CHUNK = Annotated[str | None, typer.Argument(help=tr("El id del chunk.", "The chunk's id."))]


@app.command("list", help=tr("Los apartados, o los de otro estado.", "The dead letters, or another state."))
async def list_dead_letters(
    empresa_id: OneEmpresa = None,
    state: Annotated[
        str, typer.Option("--state", help=tr("dead, pending, dropped o all.", "dead, pending, dropped or all."))
    ] = "dead",
    limit: Annotated[int, typer.Option("--limit", min=1, help=tr("Cuántos.", "How many."))] = 50,
    as_json: AsJson = False,
) -> None:
    if state not in ("dead", "pending", "dropped", "all"):
        raise InputError(detail=tr("--state: dead, pending, dropped o all.", "--state: dead, pending, dropped or all."))
    async with database() as db:
        found = await dead_letters.listing(db, empresa_id, None if state == "all" else state, limit)
        await note(db, empresa_id, "queue_list", results=len(found))
    if as_json:
        print_json(found)
        return
    if not found:
        out.print(tr("No hay ninguno.", "There is none."))
        return
    for reason, theirs in groupby(sorted(found, key=_reason), key=_reason):
        if reason:
            out.print(reason, style="bold")
        out.print(Padding(table(theirs, _columns(), pad_edge=False, header_style="dim"), (0, 0, 1, 2)))
    if len(found) == limit:
        out.print(
            tr(
                f"Son los {number(limit)} más viejos; --limit da más.",
                f"The {number(limit)} oldest; --limit gives more.",
            )
        )


@app.command(help=tr("Uno, con su motivo.", "One entry, with its reason."))
async def show(
    chunk_id: Annotated[str, typer.Argument(help=tr("El id del chunk.", "The chunk's id."))],
    empresa_id: OneEmpresa = None,
    as_json: AsJson = False,
) -> None:
    async with database() as db:
        found = await dead_letters.find(db, chunk_id, empresa_id)
        for company in dict.fromkeys(dead_letter.empresa_id for dead_letter in found):
            await note(db, company, "queue_show", target=chunk_id)
    if not found:
        raise Unknown(what=tr(f"«{chunk_id}» en la cola", f"“{chunk_id}” in the queue"))
    if as_json:
        print_json(found)
        return
    for dead_letter in found:
        out.print(f"{dead_letter.empresa_id} / {dead_letter.chunk_id}", style="bold")
        grid = Table.grid(padding=(0, 1))
        lines = [
            (tr("estado", "state"), state_name(dead_letter)),
            (tr("generación", "generation"), str(dead_letter.generation)),
            (tr("intentos", "tries"), str(dead_letter.attempts)),
            *([(tr("procesos caídos", "processes lost"), str(dead_letter.deaths))] if dead_letter.deaths else []),
            (tr("en cola desde", "queued at"), dead_letter.queued_at),
            (tr("próximo intento", "next try"), dead_letter.next_try_at if dead_letter.state == "pending" else "-"),
            (tr("motivo", "reason"), dead_letter.error or "-"),
            (tr("texto", "text"), " ".join(dead_letter.preview.split())),
        ]
        for name, value in lines:
            grid.add_row(f"  {name}:", value)
        out.print(grid)


@app.command(help=tr("Vuelve a intentar uno, o todos.", "Tries one again, or all."))
async def retry(chunk_id: _CHUNK = None, empresa_id: OneEmpresa = None, everything: _ALL = False) -> None:
    _some(chunk_id, empresa_id, everything)
    async with database() as db:
        found = _found(await dead_letters.retry(db, empresa_id, chunk_id), chunk_id)
        await note(db, empresa_id, "queue_retry", target=chunk_id, results=found)
    out.print(tr(count(found, "vuelve a la cola.", "vuelven a la cola."), f"{number(found)} queued again."))


@app.command(help=tr("Abandona un apartado, o todos.", "Gives one dead letter up, or all."))
async def drop(chunk_id: _CHUNK = None, empresa_id: OneEmpresa = None, everything: _ALL = False) -> None:
    _some(chunk_id, empresa_id, everything)
    async with database() as db:
        found = _found(await dead_letters.drop(db, empresa_id, chunk_id), chunk_id)
        await note(db, empresa_id, "queue_drop", target=chunk_id, results=found)
    es = count(found, "abandonado: queda sin vector.", "abandonados: quedan sin vector.")
    out.print(tr(es, f"{found} given up, without a vector."))


def _reason(dead_letter: DeadLetter) -> str:
    return dead_letter.error or ""


def _columns() -> list[Column[DeadLetter]]:
    return [
        Column(tr("empresa", "company"), lambda one: one.empresa_id),
        Column("chunk", lambda one: one.chunk_id),
        Column(tr("estado", "state"), state_name, whole=True),
        Column(tr("intentos", "tries"), lambda one: str(one.attempts + one.deaths), right=True, whole=True),
        Column("gen", lambda one: str(one.generation), right=True, whole=True),
    ]


def state_name(dead_letter: DeadLetter) -> str:
    """A dead letter's state for people."""
    if dead_letter.state == "pending" and dead_letter.leased_by:
        return tr("en curso", "in hand")
    names = {"pending": tr("en cola", "queued"), "dead": tr("apartado", "dead"), "dropped": tr("abandonado", "dropped")}
    return names[dead_letter.state]


def _found(matched: int, chunk_id: str | None) -> int:
    if chunk_id is not None and not matched:
        raise InputError(
            detail=tr(
                f"«{chunk_id}» no está en la cola para eso: hace falta el id entero, como lo da `ateneo queue list`.",
                f"“{chunk_id}” is not in the queue for that: it takes the whole id, as `ateneo queue list` gives it.",
            )
        )
    return matched


def _some(chunk_id: str | None, empresa_id: str | None, everything: bool) -> None:
    if chunk_id is None and empresa_id is None and not everything:
        raise InputError(
            detail=tr("¿Cuáles? Un id, --empresa-id X o --all.", "Which ones? An id, --empresa-id X or --all.")
        )
