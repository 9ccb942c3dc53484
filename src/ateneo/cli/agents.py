"""`ateneo agents`: how a company's agents answer."""

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.output import Column, show_rows
from ateneo.cli.runtime import database, note, out
from ateneo.cli.usage import Commands
from ateneo.db import agents
from ateneo.errors import BadArgument, Unknown
from ateneo.factories.chat_models import checked_agent
from ateneo.i18n import number, tr
from ateneo.settings import load
from ateneo.types import Agent
from ateneo.validation_messages import unreadable

app = Commands()

_AgentId = Annotated[str, typer.Argument(help=tr("El id del agente.", "The agent's id."))]


@app.command("list", help=tr("Los que hay.", "Those there are."))
async def list_(empresa_id: EmpresaId, as_json: AsJson = False) -> None:
    async with database() as db:
        found = await agents.list_agents(db, empresa_id)
        await note(db, empresa_id, "agents_list", results=len(found))
    columns: list[Column[Agent]] = [
        Column("id", lambda one: one.agent_id),
        Column(tr("nombre", "name"), lambda one: one.name or "–"),
        Column(tr("modelo", "model"), lambda one: one.model or "–"),
        Column("k", lambda one: number(one.k), right=True),
        Column("tokens", lambda one: number(one.context_tokens), right=True),
        Column(tr("filtro", "filter"), lambda one: json.dumps(one.filter, ensure_ascii=False) if one.filter else "–"),
    ]
    empty = tr(
        "No hay agentes: responde el de siempre, a cualquier nombre. Creá uno con `ateneo agents set`.",
        "No agents: the default one answers, to any name. `ateneo agents set` makes one.",
    )
    show_rows(found, columns, as_json=as_json, empty=empty)


@app.command("show", help=tr("Uno, entero.", "One, the whole."))
async def show(agent_id: _AgentId, empresa_id: EmpresaId) -> None:
    async with database() as db:
        found, _ = await agents.find(db, empresa_id, agent_id)
        if found is None:
            raise Unknown(what=tr(f"el agente «{agent_id}»", f"agent “{agent_id}”"))
        await note(db, empresa_id, "agents_show", target=agent_id)
    print_json(found)


@app.command("set", help=tr("Crea un agente, o cambia lo que se diga de él.", "Makes or changes an agent."))
async def set_(
    agent_id: _AgentId,
    empresa_id: EmpresaId,
    name: Annotated[str | None, typer.Option(help=tr("Cómo se llama.", "Its name."))] = None,
    instructions: Annotated[
        str | None, typer.Option(help=tr("Quién es y cómo responde.", "Who it is and how it answers."))
    ] = None,
    instructions_file: Annotated[
        Path | None, typer.Option(help=tr("Lo mismo, de un archivo.", "The same, from a file."))
    ] = None,
    model: Annotated[str | None, typer.Option(help=tr("Otro modelo.", "Another model."))] = None,
    language: Annotated[str | None, typer.Option(help=tr("Siempre en: es, en, pt.", "Always in: es, en, pt."))] = None,
    k: Annotated[int | None, typer.Option("-k", help=tr("Pasajes que mira.", "Passages looked at."))] = None,
    dense_weight: Annotated[
        float | None, typer.Option(help=tr("Peso del significado, de 0 a 1.", "Weight of meaning, 0 to 1."))
    ] = None,
    where: Annotated[
        str | None, typer.Option("--filter", help=tr("Filtro JSON; {} lo quita.", "JSON filter; {} removes it."))
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(help=tr("Tokens para los pasajes.", "Tokens for passages."))
    ] = None,
    answer_tokens: Annotated[
        int | None, typer.Option(help=tr("Tokens de la respuesta.", "Tokens of the answer."))
    ] = None,
    search: Annotated[
        bool | None, typer.Option("--search/--no-search", help=tr("Si busca de nuevo.", "Whether it searches again."))
    ] = None,
) -> None:
    said: dict[str, Any] = {
        "name": name,
        "instructions": instructions,
        "model": model,
        "language": language,
        "k": k,
        "dense_weight": dense_weight,
        "context_tokens": context_tokens,
        "answer_tokens": answer_tokens,
        "tools": None if search is None else ("search",) if search else (),
    }
    changes = {field: value for field, value in said.items() if value is not None}
    if where is not None:
        changes["filter"] = _filter(where)
    if instructions_file is not None:
        changes["instructions"] = await asyncio.to_thread(_read, instructions_file)
    async with database() as db:
        before, _ = await agents.find(db, empresa_id, agent_id)
        agent = checked_agent(dataclasses.replace(before or Agent(agent_id), **changes), load())
        new = await agents.save(db, empresa_id, agent)
        await note(db, empresa_id, "agents_set", target=agent_id)
    out.print(tr(f"{'Creado' if new else 'Cambiado'}: {agent_id}.", f"{'Made' if new else 'Changed'}: {agent_id}."))


def _filter(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(tr("tiene que ser un objeto JSON", "it must be a JSON object"), param_hint="--filter")
    return value or None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(name="--instructions-file", value=path, rule=unreadable(error)) from error


@app.command("delete", help=tr("Borra un agente; sus conversaciones quedan.", "Deletes an agent; not what it said."))
async def delete(agent_id: _AgentId, empresa_id: EmpresaId) -> None:
    async with database() as db:
        await agents.delete(db, empresa_id, agent_id)
        await note(db, empresa_id, "agents_delete", target=agent_id)
    out.print(tr(f"Borrado: {agent_id}.", f"Deleted: {agent_id}."))
