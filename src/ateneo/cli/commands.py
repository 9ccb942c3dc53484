"""Every command of `ateneo`."""

from typing import Annotated

import typer

from ateneo import __version__
from ateneo.cli import (
    agents,
    ask,
    audit,
    backfill,
    budget,
    conversations,
    db,
    doctor,
    documents,
    embeddings,
    empresas,
    index,
    ingest,
    keys,
    mcp,
    models,
    queue,
    search,
    serve,
    status,
    synonyms,
    usage,
)
from ateneo.cli import eval as evaluation
from ateneo.cli import worker as working
from ateneo.cli.runtime import out
from ateneo.i18n import tr


def _say_version(asked: bool) -> None:
    if asked:
        out.print(f"ateneo {__version__}")
        raise typer.Exit()


def build() -> typer.Typer:
    """The commands."""
    app = usage.Commands(
        name="ateneo",
        callback=_root,
        help=tr(
            "Base de conocimiento semántica: busca por significado, no por palabras exactas.",
            "A semantic knowledge base: it searches by meaning, not by exact words.",
        ),
    )
    app.add_typer(db.app, name="db", help=tr("Prepara la base de datos.", "Prepares the database."))
    app.add_typer(documents.app, name="documents", help=tr("Los documentos: verlos, borrarlos.", "The documents."))
    app.command("ingest", help=tr("Carga archivos o carpetas.", "Loads files or folders."))(ingest.ingest)
    app.command("backfill", help=tr("Genera los embeddings que faltan.", "Makes missing embeddings."))(
        backfill.backfill
    )
    app.command("worker", help=tr("Mantiene los embeddings al día.", "Keeps embeddings up to date."))(working.worker)
    app.command("status", help=tr("Cómo está todo.", "How everything stands."))(status.status)
    app.add_typer(queue.app, name="queue", help=tr("Lo que espera un vector.", "What waits for a vector."))
    app.add_typer(budget.app, name="budget", help=tr("Lo que cada empresa gasta.", "What each company spends."))
    app.command("search", help=tr("Busca en los documentos.", "Searches the documents."))(search.search)
    app.command("ask", help=tr("Responde con citas.", "Answers with citations."))(ask.ask)
    app.add_typer(agents.app, name="agents", help=tr("Cómo responde cada agente.", "How each agent answers."))
    app.add_typer(conversations.app, name="conversations", help=tr("Lo conversado.", "What was said."))
    app.add_typer(
        evaluation.app, name="eval", help=tr("Mide la búsqueda y las respuestas.", "Measures search and answers.")
    )
    app.add_typer(
        embeddings.app, name="embeddings", help=tr("Cambiar de modelo sin cortes.", "Another model, without a break.")
    )
    app.add_typer(index.app, name="index", help=tr("El índice de búsqueda.", "The search index."))
    app.add_typer(synonyms.app, name="synonyms", help=tr("Palabras de cada empresa.", "Each company's words."))
    app.add_typer(models.app, name="models", help=tr("Los modelos locales.", "The local models."))
    app.add_typer(keys.app, name="keys", help=tr("Claves de API.", "API keys."))
    app.add_typer(empresas.app, name="empresas", help=tr("Las empresas: cuáles hay, y borrarlas.", "The companies."))
    app.command("audit", help=tr("Quién hizo qué, de una empresa.", "Who did what, of a company."))(audit.audit)
    app.command("serve", help=tr("Sirve la API.", "Serves the API."))(serve.serve)
    app.command("mcp", help=tr("Sirve a agentes (MCP).", "Serves agents (MCP)."))(mcp.mcp)
    app.command("doctor", help=tr("Revisa la instalación.", "Checks the installation."))(doctor.doctor)
    return app


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_say_version, help=tr("Muestra la versión.", "Shows the version.")
        ),
    ] = False,
) -> None:
    """What comes before a command."""
