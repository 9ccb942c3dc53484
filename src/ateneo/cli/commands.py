"""Every command of `ateneo`; a command's module is imported when it is called."""

import pkgutil
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any

import typer

from ateneo.cli.runtime import out
from ateneo.cli.usage import Commands, Group
from ateneo.i18n import tr


def _summaries() -> dict[str, tuple[str, str]]:
    """A command's name: where it is, what it is for."""
    return {
        "db": ("db:app", tr("Prepara la base de datos.", "Prepares the database.")),
        "documents": ("documents:app", tr("Los documentos: verlos, borrarlos.", "The documents.")),
        "ingest": ("ingest:ingest", tr("Carga archivos o carpetas.", "Loads files or folders.")),
        "jobs": ("jobs:app", tr("Las cargas: cómo van, y las que fallaron.", "Uploads: how far, and what failed.")),
        "sources": ("sources:app", tr("Tablas propias, que se buscan como están.", "Your tables, as they are.")),
        "backfill": ("backfill:backfill", tr("Genera los embeddings que faltan.", "Makes missing embeddings.")),
        "worker": ("worker:worker", tr("Mantiene los embeddings al día.", "Keeps embeddings up to date.")),
        "status": ("status:status", tr("Cómo está todo.", "How everything stands.")),
        "queue": ("queue:app", tr("Lo que espera un vector.", "What waits for a vector.")),
        "budget": ("budget:app", tr("Lo que cada empresa gasta.", "What each company spends.")),
        "search": ("search:search", tr("Busca en los documentos.", "Searches the documents.")),
        "ask": ("ask:ask", tr("Responde con citas.", "Answers with citations.")),
        "agents": ("agents:app", tr("Cómo responde cada agente.", "How each agent answers.")),
        "conversations": ("conversations:app", tr("Lo conversado.", "What was said.")),
        "gaps": ("gaps:gaps", tr("Lo que nadie pudo responder.", "What nobody could answer.")),
        "eval": ("eval:app", tr("Mide la búsqueda y las respuestas.", "Measures search and answers.")),
        "embeddings": ("embeddings:app", tr("Cambiar de modelo sin cortes.", "Another model, without a break.")),
        "index": ("index:app", tr("El índice de búsqueda.", "The search index.")),
        "synonyms": ("synonyms:app", tr("Palabras de cada empresa.", "Each company's words.")),
        "models": ("models:app", tr("Los modelos locales.", "The local models.")),
        "keys": ("keys:app", tr("Claves de API.", "API keys.")),
        "empresas": ("empresas:app", tr("Las empresas: cuáles hay, y borrarlas.", "The companies.")),
        "audit": ("audit:audit", tr("Quién hizo qué, de una empresa.", "Who did what, of a company.")),
        "serve": ("serve:serve", tr("Sirve la API.", "Serves the API.")),
        "mcp": ("mcp:mcp", tr("Sirve a agentes (MCP).", "Serves agents (MCP).")),
        "doctor": ("doctor:doctor", tr("Revisa la instalación.", "Checks the installation.")),
    }


class _Lazy(MutableMapping[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._summaries = _summaries()
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name, *self._summaries[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._summaries)

    def __len__(self) -> int:
        return len(self._summaries)


def _command(name: str, place: str, summary: str) -> Any:
    found = pkgutil.resolve_name(f"ateneo.cli.{place}")
    if isinstance(found, typer.Typer):
        found.info.name, found.info.help = name, summary
        return typer.main.get_group(found)
    alone = Commands()
    alone.command(name, help=summary)(found)
    return typer.main.get_command(alone)


class _Root(Group):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Lazy()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def summaries(self) -> list[tuple[str, str]]:
        return [(name, summary) for name, (_, summary) in _summaries().items()]


def build() -> typer.Typer:
    """The commands."""
    about = tr(
        "Base de conocimiento semántica: busca por significado, no por palabras exactas.",
        "A semantic knowledge base: it searches by meaning, not by exact words.",
    )
    return Commands(name="ateneo", cls=_Root, callback=_root, help=about)


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        out.print(f"ateneo {version('ateneo')}")
        raise typer.Exit()


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help=tr("Muestra la versión.", "Shows the version.")
        ),
    ] = False,
) -> None:
    """What comes before a command."""
