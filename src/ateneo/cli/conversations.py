"""`ateneo conversations`: what was asked and answered, and what people thought of it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ateneo.agents.feedback import QUESTIONS, export
from ateneo.agents.transcript import transcript
from ateneo.cli.ask import show_claims
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.runtime import database, err, note, out
from ateneo.cli.usage import Commands
from ateneo.db import conversations
from ateneo.db.conversations import StoredTurn
from ateneo.errors import BadArgument
from ateneo.i18n import count, number, tr
from ateneo.validation_messages import unreadable

app = Commands()

_Id = Annotated[str, typer.Argument(metavar="ID", help=tr("El id que muestra `list`.", "The id in `list`."))]


@app.command("list", help=tr("Las últimas usadas primero.", "Last used first."))
async def list_(
    empresa_id: EmpresaId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help=tr("Cuántas.", "How many."))] = 20,
    as_json: AsJson = False,
) -> None:
    async with database() as db:
        found = await conversations.list_conversations(db, empresa_id, limit=limit)
        await note(db, empresa_id, "conversations_list", results=len(found))
    if as_json:
        print_json(found)
        return
    if not found:
        err.print(tr("No hay conversaciones guardadas.", "No conversations are stored."))
    for one in found:
        cost = "" if not one.cost else f" · US$ {number(one.cost, 4)}"
        turns = count(one.turns, tr("pregunta", "question"), tr("preguntas", "questions"))
        out.print(Text(one.title, style="bold"))
        used = one.updated_at[:16].replace("T", " ")
        out.print(Text(f"  {one.conversation_id} · {one.agent_id} · {used}", style="dim"))
        out.print(Text(f"  {turns}{cost}", style="dim"))


@app.command("show", help=tr("Una, entera, con sus citas comprobadas de nuevo.", "One, its citations checked again."))
async def show(conversation_id: _Id, empresa_id: EmpresaId, as_json: AsJson = False) -> None:
    async with database() as db:
        turns = await transcript(db, empresa_id, conversation_id)
        await note(db, empresa_id, "conversations_show", target=conversation_id, results=len(turns))
    if as_json:
        print_json(turns)
        return
    for turn in turns:
        _show_turn(turn)


def _show_turn(turn: StoredTurn) -> None:
    mark = {1: " +", -1: " -"}.get(turn.rating or 0, "")
    out.print(Text(f"{turn.position}. {turn.question}{mark}", style="bold"))
    out.print(Text(turn.answer or "–"))
    for place, label in {one.number: one.label for one in turn.citations}.items():
        out.print(Text(f"  [{place}] {label}", style="cyan"))
    show_claims(turn.claims)
    notes = [turn.model, f"{number(turn.latency_ms / 1000, 1)} s"]
    if turn.state != "complete":
        notes.insert(0, turn.state if turn.error is None else f"{turn.state} ({turn.error})")
    if turn.citations_dropped:
        es = count(turn.citations_dropped, "cita quitada", "citas quitadas")
        en = count(turn.citations_dropped, "citation taken out", "citations taken out")
        notes.append(tr(es, en))
    if turn.comment:
        notes.append(f"«{turn.comment}»")
    out.print(Text(" · ".join(notes), style="dim"))
    out.print()


@app.command("rate", help=tr("Qué te pareció una respuesta.", "What you thought of an answer."))
async def rate(
    conversation_id: _Id,
    position: Annotated[int, typer.Argument(min=0, help=tr("Su lugar, desde 0.", "Its place, from 0."))],
    empresa_id: EmpresaId,
    good: Annotated[bool, typer.Option("--good/--bad", help=tr("Buena o mala.", "Good or bad."))],
    comment: Annotated[str | None, typer.Option(help=tr("Por qué.", "Why."))] = None,
) -> None:
    async with database() as db:
        await conversations.rate(db, empresa_id, conversation_id, position, 1 if good else -1, comment)
        await note(db, empresa_id, "conversations_rate", target=f"{conversation_id}/{position}")
    out.print(tr("Anotado.", "Noted."))


@app.command("delete", help=tr("Borra una conversación.", "Deletes a conversation."))
async def delete(conversation_id: _Id, empresa_id: EmpresaId) -> None:
    async with database() as db:
        await conversations.delete(db, empresa_id, conversation_id)
        await note(db, empresa_id, "conversations_delete", target=conversation_id)
    out.print(tr("Borrada.", "Deleted."))


@app.command("purge", help=tr("Borra las que hace días que nadie usa.", "Deletes those unused for days."))
async def purge(
    empresa_id: EmpresaId,
    older_than_days: Annotated[int, typer.Option(min=1, max=36500, help=tr("Cuántos días.", "How many days."))],
) -> None:
    async with database() as db:
        gone = await conversations.purge(db, empresa_id, older_than_days=older_than_days)
        await note(db, empresa_id, "conversations_purge", results=gone)
    out.print(count(gone, tr("borrada.", "deleted."), tr("borradas.", "deleted.")))


@app.command("export", help=tr("Preguntas para `ateneo eval`.", "Questions for `ateneo eval`."))
async def export_(
    folder: Annotated[Path, typer.Argument(help=tr("Carpeta de salida.", "Folder to write."))], empresa_id: EmpresaId
) -> None:
    async with database() as db:
        try:
            done = await export(db, empresa_id, folder)
        except OSError as error:
            raise BadArgument(name=tr("CARPETA", "FOLDER"), value=folder, rule=unreadable(error)) from error
        await note(db, empresa_id, "conversations_export", results=done.questions + done.rejected + done.asked)
    table = Table(box=None, show_header=False)
    table.add_row(str(done.questions), tr(f"preguntas en {folder / QUESTIONS}", f"questions in {folder / QUESTIONS}"))
    table.add_row(str(done.rejected), tr("respuestas rechazadas", "rejected answers"))
    table.add_row(
        str(done.unanswerable), tr("preguntas sin respuesta en los documentos", "questions without an answer")
    )
    table.add_row(str(done.asked), tr("preguntas sin pasaje conocido", "questions without a known passage"))
    table.add_row(str(done.documents), tr("documentos", "documents"))
    out.print(table)
    if done.questions:
        out.print(tr(f"Para medir: ateneo eval retrieval {folder}", f"To measure: ateneo eval retrieval {folder}"))
