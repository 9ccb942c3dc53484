"""Vectors that a product's rows have already: whose model they are, and whether they may be taken over."""

import json
from collections.abc import Sequence
from statistics import median

import numpy as np

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import gives_way
from ateneo.embedding.service import HARMLESS, EmbeddingService
from ateneo.errors import BadArgument
from ateneo.i18n import number, tr
from ateneo.types.sources import SourceMapping, SourcePreview, TextWithVector

LEAST_COSINE = 0.95
SAMPLE = 8
"""Texts that a claim is checked with."""


async def model_in_use(db: Database, models: Models) -> EmbeddingService:
    """The one whose vectors search uses. Raises BadArgument where the settings do not reach it."""
    active = await generations.active(db)
    if active is None or await gives_way(db, active, models.main):
        return models.main
    found = models.of(active)
    if found is None:
        rule = tr("la configuración no alcanza ese modelo", "the settings do not reach that model")
        raise BadArgument(name="model", value=active.label, rule=rule)
    return found


def name_of(service: EmbeddingService) -> str:
    return f"{service.provider}/{service.model}"


async def service_of(db: Database, models: Models, mapping: SourceMapping) -> EmbeddingService:
    """The model that the mapping names, its dimensions known. Raises BadArgument where another one is in use."""
    service = await model_in_use(db, models)
    if mapping.model not in (name_of(service), service.model) and "/" not in (mapping.model or ""):
        rule = tr("se escribe PROVEEDOR/MODELO", "it is written PROVIDER/MODEL")
        raise BadArgument(name="model (--model)", value=mapping.model or "", rule=rule)
    if mapping.model not in (name_of(service), service.model):
        raise BadArgument(name="model", value=mapping.model or "", rule=_remedy(service, mapping.model or "", models))
    if service.dims is None:
        await service.generate_embedding(HARMLESS)
    return service


def _remedy(used: EmbeddingService, asked: str, models: Models) -> str:
    provider, _, model = asked.partition("/")
    if used is models.main:
        return tr(
            f"el modelo en uso es {name_of(used)}. Si no hay vectores todavía, poné ATENEO_EMBEDDING_PROVIDER="
            f"{provider} y ATENEO_EMBEDDING_MODEL={model}; si los hay: `ateneo embeddings switch --provider {provider} "
            f"--model {model}`",
            f"the model in use is {name_of(used)}. Where there are no vectors yet, set ATENEO_EMBEDDING_PROVIDER="
            f"{provider} and ATENEO_EMBEDDING_MODEL={model}; where there are: `ateneo embeddings switch --provider "
            f"{provider} --model {model}`",
        )
    return tr(
        f"se busca con {name_of(used)}. Para pasar a ese: `ateneo embeddings switch --provider {provider} "
        f"--model {model}`",
        f"{name_of(used)} is searched with. To change: `ateneo embeddings switch --provider {provider} "
        f"--model {model}`",
    )


def refuse_dimensions(mapping: SourceMapping, found: SourcePreview) -> None:
    """Raises BadArgument where rows have vectors and none is as long as the model's."""
    if found.vectors and not found.usable.rows:
        lengths = ", ".join(number(one.dims) for one in found.vectors)
        rule = tr(
            f"dimensiones de sus vectores: {lengths}; de los de {mapping.model}: {number(found.dims or 0)}. "
            "Sin ellos: --vector ''",
            f"dimensions of its vectors: {lengths}; of those of {mapping.model}: {number(found.dims or 0)}. "
            "Without them: --vector ''",
        )
        raise BadArgument(name="vector (--vector)", value=mapping.vector or "", rule=rule)


async def refuse_other_vectors(service: EmbeddingService, samples: Sequence[TextWithVector]) -> float | None:
    """The median cosine of the vectors and those that the model gives now; None without any. Raises BadArgument below
    0.95, ProviderError."""
    usable = [one for one in samples if is_vector(one.vector, service.dims) and one.body.strip()]
    if not usable:
        return None
    embedded = await service.embed_matrix([embedded_text(one) for one in usable])
    theirs = np.array([one.vector for one in usable], dtype=np.float64)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    cosine = float(median(np.einsum("ij,ij->i", theirs, embedded.vectors.astype(np.float64)).tolist()))
    if cosine < LEAST_COSINE:
        rule = tr(
            f"los vectores no son de ese modelo: el coseno con los suyos es "
            f"{number(cosine, 2)}. Nombrá el suyo con --model, o sin ellos: --vector ''. Si sabés que sí: "
            "--trust-vectors",
            f"the vectors are not of that model: their cosine with its own is "
            f"{number(cosine, 2)}. Name theirs by --model, or without them: --vector ''. If you know better: "
            "--trust-vectors",
        )
        raise BadArgument(name="model (--model)", value=name_of(service), rule=rule)
    return cosine


def is_vector(values: Sequence[float | None] | None, dims: int | None) -> bool:
    """Whether it is a vector of this length, and of a direction."""
    if values is None or len(values) != dims:
        return False
    with np.errstate(over="ignore"):
        vector = np.array(values, dtype=np.float32)
    return bool(np.isfinite(vector).all() and vector.any())


def embedded_text(sample: TextWithVector) -> str:
    """What was embedded: LlamaIndex puts a node's metadata before its text, as the node says."""
    stored = next(iter(sample.metadata.values()), None)
    if not isinstance(stored, str):
        return sample.body
    try:
        node = json.loads(stored)
        shown = {k: v for k, v in node["metadata"].items() if k not in node.get("excluded_embed_metadata_keys", ())}
        line, between = node.get("metadata_template", "{key}: {value}"), node.get("metadata_separator", "\n")
        head = between.join(line.replace("{key}", key).replace("{value}", str(shown[key])) for key in shown)
        if not head:
            return sample.body
        whole = node.get("text_template", "{metadata_str}\n\n{content}")
        return str(whole.replace("{metadata_str}", head).replace("{content}", sample.body)).strip()
    except (ValueError, KeyError, AttributeError, TypeError):
        return sample.body
