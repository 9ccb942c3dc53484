"""`ateneo gaps`: what people asked and nobody could answer."""

from typing import Annotated

import typer

from ateneo.agents.gaps import MOST_DAYS, MOST_GAPS, WEAK, Gap, Reason
from ateneo.agents.gaps import gaps as unanswered
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.output import Column, show_rows, warn
from ateneo.cli.runtime import database, note
from ateneo.embedding.service import EmbeddingService
from ateneo.i18n import number, tr

_DAYS = tr("De los últimos días.", "Of the last days.")
_LIMIT = tr("Cuántas.", "How many.")
_BELOW = tr("Relevancia bajo la cual una búsqueda no respondió.", "Relevance below which no answer.")
_NEAR = tr("Junta preguntas con este coseno: 0.65.", "Joins questions with this cosine: 0.65.")


async def gaps(
    empresa_id: EmpresaId,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS, help=_DAYS)] = 90,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_GAPS, help=_LIMIT)] = 50,
    below: Annotated[float, typer.Option(min=0, max=1, help=_BELOW)] = WEAK,
    near: Annotated[float | None, typer.Option(min=-1, max=1, help=_NEAR)] = None,
    as_json: AsJson = False,
) -> None:
    from ateneo.factories.embedders import make_models
    from ateneo.settings import load

    settings = load()
    async with database() as db:
        models = None if near is None else make_models(settings)
        embedding: EmbeddingService | None = None if models is None else models.main
        try:
            found = await unanswered(
                db,
                empresa_id,
                keep_queries=settings.keep_queries,
                days=days,
                limit=limit,
                below=below,
                embedding=embedding,
                near=near,
            )
        finally:
            if models is not None:
                await models.close()
        await note(db, empresa_id, "gaps", results=len(found.gaps))
    if as_json:
        print_json(found)
        return
    columns: list[Column[Gap]] = [
        Column(tr("veces", "times"), lambda one: number(one.times), right=True),
        Column(tr("última", "last"), lambda one: one.last_asked[:10], whole=True),
        Column(tr("pregunta", "question"), lambda one: one.question),
        Column(tr("por qué", "why"), lambda one: ", ".join(_reasons()[reason] for reason in one.reasons)),
    ]
    empty = tr("No hay preguntas sin respuesta.", "No question was left without an answer.")
    show_rows(found.gaps, columns, as_json=False, empty=empty)
    for warning in found.warnings:
        warn(warning)


def _reasons() -> dict[Reason, str]:
    return {
        "unknown": tr("no lo sé", "do not know"),
        "nothing_found": tr("sin resultados", "nothing found"),
        "weak_match": tr("nada parecido", "nothing like it"),
        "disliked": tr("mal calificada", "rated bad"),
    }
