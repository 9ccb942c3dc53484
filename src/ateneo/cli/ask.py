"""`ateneo ask`: an agent's answer as it is written, then the passages that it rests on."""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from ateneo.agents.events import Done, Event, Failed, Searching, TextDelta
from ateneo.agents.service import DEFAULT_AGENT
from ateneo.cli.flow import Flow
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.runtime import entry, err, out, report
from ateneo.cli.search import snippet
from ateneo.container import Container
from ateneo.db import chunks
from ateneo.errors import UnknownEmpresa
from ateneo.i18n import count, number, tr
from ateneo.settings import load
from ateneo.types import Answer, Claim


async def ask(
    question: Annotated[str, typer.Argument(help=tr("La pregunta.", "The question."))],
    empresa_id: EmpresaId,
    agent_id: Annotated[str, typer.Option("--agent", help=tr("Qué agente responde.", "Which agent."))] = DEFAULT_AGENT,
    keep: Annotated[
        bool, typer.Option("--keep", help=tr("Guarda la conversación.", "Stores the conversation."))
    ] = False,
    conversation_id: Annotated[
        str | None, typer.Option("--conversation", help=tr("Sigue una guardada.", "Goes on with a stored one."))
    ] = None,
    as_json: AsJson = False,
) -> int:
    options: dict[str, Any] = {"store": keep, "conversation_id": conversation_id}
    async with await Container.open(load()) as container:
        if not await chunks.knows(container.db, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)
        await container.audit_log.write(entry(empresa_id, "ask", target=agent_id))
        if as_json:
            answer = await container.agent.chat(empresa_id, agent_id, question, **options)
            print_json(answer)
            return 0
        events = container.agent.stream(empresa_id, agent_id, question, **options)
        return await _shown(events)


async def _shown(stream: AsyncGenerator[Event]) -> int:
    """Shows the answer while it is written. Returns the exit code."""
    flow = Flow(sys.stdout, out.width if out.is_terminal else None)
    async with aclosing(stream) as events:
        with err.status(tr("Buscando...", "Searching...")) as status:
            async for event in events:
                if isinstance(event, Searching):
                    status.update(Text(tr(f"Buscando: {event.query}", f"Searching: {event.query}")[: err.width - 4]))
                elif isinstance(event, TextDelta):
                    status.stop()
                    flow.write(event.text)
                elif isinstance(event, Done):
                    flow.end()
                    show_sources(event.answer)
                elif isinstance(event, Failed):
                    flow.end()
                    report(event.error)
                    return event.error.exit_code
    return 0


def show_sources(answer: Answer) -> None:
    """Prints the passages cited, each once with all its quotes, and who answered."""
    if answer.citations:
        out.print()
        out.print(tr("Fuentes", "Sources"), style="bold")
    for place in dict.fromkeys(one.number for one in answer.citations):
        cited = [one for one in answer.citations if one.number == place]
        source = Text.assemble((f"  [{place}] ", "bold"), (cited[0].label, "cyan"))
        if len(source) + 10 <= out.width:
            source.append(f"  {cited[0].chunk_id[:8]}", style="dim")
        out.print(source)
        for one in cited:
            out.print(Padding(Text(f"«{snippet(one.quote, 160)}»", style="dim"), (0, 0, 0, 6)))
    if dropped := answer.citations_dropped + answer.markers_removed:
        es = count(dropped, "cita que no se pudo comprobar", "citas que no se pudieron comprobar")
        en = count(dropped, "citation that could not be verified", "citations that could not be verified")
        err.print(tr(f"! Quité {es}.", f"! I took out {en}."), style="yellow")
    show_claims(answer.claims)
    if answer.state == "cut":
        line = tr("! La respuesta llegó al máximo de tokens.", "! The answer reached its most tokens.")
        err.print(line, style="yellow")
    if not answer.extractive and answer.stop_reason != "no_passages":
        out.print(Text(_bill(answer), style="dim"))
    if answer.conversation_id is not None:
        err.print(tr("Para seguir: --conversation ", "To go on: --conversation ") + answer.conversation_id, style="dim")


def show_claims(claims: Sequence[Claim]) -> None:
    """Names the claims that their passages do not support, and how many were not checked."""
    for one in claims:
        if one.support == "unsupported":
            cited = "".join(f"[{n}]" for n in one.numbers)
            said = snippet(one.text, 160)
            line = tr(f"! {cited} no dice: «{said}»", f"! {cited} does not say: “{said}”")
            err.print(Text(line, style="yellow"))
    if unchecked := sum(one.support == "not_checked" for one in claims):
        es = count(unchecked, "afirmación sin comprobar", "afirmaciones sin comprobar")
        en = count(unchecked, "claim was not checked", "claims were not checked")
        err.print(tr(f"! {es}.", f"! {en}."), style="yellow")


def _bill(answer: Answer) -> str:
    tokens = answer.input_tokens + answer.cache_read_tokens + answer.cache_write_tokens
    cost = "" if answer.cost is None else f" · US$ {number(answer.cost, 4)}"
    used = f"{number(tokens)} + {number(answer.output_tokens)} tokens"
    return f"{answer.model} · {used}{cost} · {number(answer.latency_ms / 1000, 1)} s"
