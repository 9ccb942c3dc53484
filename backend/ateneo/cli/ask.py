"""`ateneo ask`: an agent's answer, with the passages that it rests on."""

import dataclasses
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from ateneo import wiring
from ateneo.cli.runtime import err, out, print_json, run_or_exit
from ateneo.cli.search import EmpresaId, snippet
from ateneo.errors import UnknownEmpresa
from ateneo.lang import tr
from ateneo.settings import load
from ateneo.store import chunks
from ateneo.types import Answer


def ask(
    question: Annotated[str, typer.Argument(help=tr("La pregunta.", "The question."))],
    empresa_id: EmpresaId,
    agent_id: Annotated[str, typer.Option("--agent", help=tr("Qué agente responde.", "Which agent."))] = "asistente",
    as_json: Annotated[bool, typer.Option("--json", help=tr("Un objeto JSON.", "One JSON object."))] = False,
) -> None:
    run_or_exit(_ask(question, empresa_id, agent_id, as_json))


async def _ask(question: str, empresa_id: str, agent_id: str, as_json: bool) -> None:
    async with await wiring.House.open(load()) as house:
        if not await chunks.knows(house.db, empresa_id):
            raise UnknownEmpresa(empresa_id=empresa_id)
        with err.status(tr("Buscando y respondiendo...", "Searching and answering...")):
            answer = await house.agent.chat(empresa_id, agent_id, question)
    if as_json:
        print_json(dataclasses.asdict(answer))
    else:
        show(answer)


def show(answer: Answer) -> None:
    """Prints the answer and its sources."""
    out.print(Text(answer.text))
    if answer.citations:
        out.print()
        out.print(tr("Fuentes", "Sources"), style="bold")
    shown: set[int] = set()
    for citation in answer.citations:
        if citation.number not in shown:
            source = Text.assemble((f"  [{citation.number}] ", "bold"), (citation.label, "cyan"))
            out.print(source.append(f"  {citation.chunk_id[:8]}", style="dim"))
            shown.add(citation.number)
        out.print(Padding(Text(f"«{snippet(citation.quote, 160)}»", style="dim"), (0, 0, 0, 6)))
    if not answer.extractive:
        out.print(Text(f"{answer.provider} · {answer.model}", style="dim"))
