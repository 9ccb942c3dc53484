"""What `ateneo doctor` finds of the settings: names that nobody reads, providers without what they take."""

from collections.abc import Callable, Iterator

from ateneo.cli.finding import Finding
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import AteneoError
from ateneo.factories.access import make_access_service
from ateneo.factories.chat_models import make_chat_model
from ateneo.factories.rerankers import make_reranking, make_rewriting
from ateneo.i18n import tr
from ateneo.language import secrets_file
from ateneo.settings import Settings, unknown_variables


def settings_file() -> str:
    """Which file the settings were read from."""
    file = secrets_file()
    if not file.is_file():
        return tr("Configuración leída, del entorno.", "Settings read, from the environment.")
    whole = file.absolute()
    return tr(f"Configuración leída, del entorno y de {whole}.", f"Settings read, from the environment and {whole}.")


def unknown() -> Iterator[Finding]:
    for name, nearest in unknown_variables().items():
        what = tr(f"Nadie lee la variable {name}.", f"Nobody reads the variable {name}.")
        remedy = tr("Las que hay están en docs/settings.md.", "Those there are stand in docs/settings.md.")
        if nearest is not None:
            remedy = tr(f"¿Quisiste decir {nearest}? {remedy}", f"Did you mean {nearest}? {remedy}")
        yield Finding(None, what, remedy)


async def chat(settings: Settings, embedding: EmbeddingService | None) -> Finding:
    """Who answers, and whether the settings have what that takes."""
    try:
        model = make_chat_model(settings, embedding)
    except AteneoError as error:
        return Finding(False, tr(f"Respuestas: {error.message}", f"Answers: {error.message}"), error.remedy)
    name = f"{model.provider}/{model.model}"
    await model.close()
    if model.writes:
        return Finding(True, tr(f"Respuestas: {name}.", f"Answers: {name}."))
    what = tr("Respuestas: extractivas (frases textuales, sin modelo).", "Answers: extractive (no language model).")
    return Finding(None, what, tr("Con ANTHROPIC_API_KEY responde Claude.", "With ANTHROPIC_API_KEY Claude answers."))


def others(settings: Settings, db: Database) -> Iterator[Finding]:
    """A reranker or a login that is only half set: the API and MCP would not start with it."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: make_reranking(settings),
        lambda: make_rewriting(settings),
        lambda: make_access_service(settings, db),
    )
    for check in checks:
        try:
            check()
        except AteneoError as error:
            yield Finding(False, error.message, error.remedy)
