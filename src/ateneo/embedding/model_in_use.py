"""Whether the model that the settings name is the one in use; what to do where it is not."""

from dataclasses import dataclass

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding.generation import gives_way, is_of, label, refuse_foreign_vectors
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ForeignVectors
from ateneo.i18n import tr


@dataclass(frozen=True, slots=True)
class Difference:
    """`what`: which model is in use instead of the settings'; `remedy`: how to bring the two together."""

    what: str
    remedy: str


async def difference(db: Database, embedding: EmbeddingService, asked_dims: int | None = None) -> Difference | None:
    """Of an upgraded database from the settings' model `embedding`, which asks for `asked_dims` dimensions; None where
    there is none to speak of. No provider is called."""
    active = await generations.active(db)
    if active is None or await gives_way(db, active, embedding):
        try:
            if embedding.dims is not None:
                await refuse_foreign_vectors(db, embedding)
        except ForeignVectors as error:
            what = tr(f"{error.message} Se busca solo por palabras.", f"{error.message} Only words are searched.")
            return Difference(what, error.remedy)
        return None
    if is_of(active, embedding):
        return None
    command = f"ateneo embeddings switch --provider {embedding.provider} --model {embedding.model}"
    command += f" --dimensions {asked_dims}" if asked_dims is not None else ""
    return Difference(
        tr(
            f"La configuración nombra {label(embedding)}, pero se busca y se guarda con {active.label}.",
            f"The settings name {label(embedding)}, but {active.label} is searched and stored with.",
        ),
        tr(
            f"Para pasar a ese modelo, sin cortes: `{command}`. Para quedarte con el que hay, nombralo en la "
            "configuración (ATENEO_EMBEDDING_PROVIDER, ATENEO_EMBEDDING_MODEL).",
            f"To change to that model, without a break: `{command}`. To stay with the one there is, name it in the "
            "settings (ATENEO_EMBEDDING_PROVIDER, ATENEO_EMBEDDING_MODEL).",
        ),
    )
