"""What embedding services over HTTP are asked, and how they answer: Voyage, Cohere, Gemini, Mistral."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from ateneo.types import Kind, Limits

Vectors = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `dimensions` None: the model's own."""

    model: str
    texts: Sequence[str]
    kind: Kind
    dimensions: int | None


class Answer(Protocol):
    """An answer's body. `vectors` raises ValueError where they are not those of the texts."""

    def vectors(self) -> Vectors: ...
    def billed(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Service:
    """`path`: below `url`, of a model. `model`: the one that is asked where none is named. `dims`, `prices` (US dollars
    per million tokens): of models that are known; the others tell their dimensions with the first answer."""

    url: str
    path: str
    model: str
    headers: Callable[[str], dict[str, str]]
    body: Callable[[Asked], dict[str, Any]]
    answer: Any
    limits: Limits
    dims: Mapping[str, int]
    prices: Mapping[str, float]


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# --- Voyage, Mistral: as OpenAI answers -----------------------------------------------------------------------------


class _Row(BaseModel):
    index: int
    embedding: list[float]


class _Usage(BaseModel):
    total_tokens: int | None = None


class _Data(BaseModel):
    data: list[_Row]
    usage: _Usage = _Usage()

    def vectors(self) -> Vectors:
        rows = sorted(self.data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(len(rows))):
            raise ValueError("index")
        return [row.embedding for row in rows]

    def billed(self) -> int | None:
        return self.usage.total_tokens


def _shortened(asked: Asked) -> dict[str, Any]:
    return {} if asked.dimensions is None else {"output_dimension": asked.dimensions}


def _mistral(asked: Asked) -> dict[str, Any]:
    return {"model": asked.model, "input": list(asked.texts), **_shortened(asked)}


def _voyage(asked: Asked) -> dict[str, Any]:
    return _mistral(asked) | {"input_type": "query" if asked.kind == "query" else "document"}


# --- Cohere -------------------------------------------------------------------------------------------------------


class _Floats(BaseModel):
    float: list[list[float]]


class _Units(BaseModel):
    input_tokens: float | None = None


class _Meta(BaseModel):
    billed_units: _Units = _Units()


class _Cohere(BaseModel):
    embeddings: _Floats
    meta: _Meta = _Meta()

    def vectors(self) -> Vectors:
        return self.embeddings.float

    def billed(self) -> int | None:
        tokens = self.meta.billed_units.input_tokens
        return None if tokens is None else int(tokens)


def _cohere(asked: Asked) -> dict[str, Any]:
    kind = "search_query" if asked.kind == "query" else "search_document"
    body = {"model": asked.model, "texts": list(asked.texts), "input_type": kind, "embedding_types": ["float"]}
    return body | _shortened(asked)


# --- Gemini -------------------------------------------------------------------------------------------------------


class _Values(BaseModel):
    values: list[float]


class _Gemini(BaseModel):
    embeddings: list[_Values]

    def vectors(self) -> Vectors:
        return [one.values for one in self.embeddings]

    def billed(self) -> int | None:
        return None


def _gemini(asked: Asked) -> dict[str, Any]:
    task = "RETRIEVAL_QUERY" if asked.kind == "query" else "RETRIEVAL_DOCUMENT"
    shorter = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    shared = {"model": f"models/{asked.model}", "taskType": task, **shorter}
    return {"requests": [{**shared, "content": {"parts": [{"text": text}]}} for text in asked.texts]}


SERVICES: Mapping[str, Service] = {
    "voyage": Service(
        url="https://api.voyageai.com/v1",
        path="/embeddings",
        model="voyage-3.5",
        headers=_bearer,
        body=_voyage,
        answer=_Data,
        limits=Limits(inputs=1000, tokens=100_000, tokens_per_input=30_000),
        dims={"voyage-3.5": 1024, "voyage-3.5-lite": 1024, "voyage-3-large": 1024},
        prices={"voyage-3.5": 0.06, "voyage-3.5-lite": 0.02, "voyage-3-large": 0.18},
    ),
    "cohere": Service(
        url="https://api.cohere.com/v2",
        path="/embed",
        model="embed-v4.0",
        headers=_bearer,
        body=_cohere,
        answer=_Cohere,
        limits=Limits(inputs=96, tokens=100_000, tokens_per_input=8192),
        dims={"embed-v4.0": 1536, "embed-multilingual-v3.0": 1024},
        prices={"embed-v4.0": 0.12, "embed-multilingual-v3.0": 0.10},
    ),
    "gemini": Service(
        url="https://generativelanguage.googleapis.com/v1beta",
        path="/models/{model}:batchEmbedContents",
        model="gemini-embedding-001",
        headers=lambda key: {"x-goog-api-key": key},
        body=_gemini,
        answer=_Gemini,
        limits=Limits(inputs=100, tokens=20_000, tokens_per_input=1800),
        dims={"gemini-embedding-001": 3072},
        prices={"gemini-embedding-001": 0.15},
    ),
    "mistral": Service(
        url="https://api.mistral.ai/v1",
        path="/embeddings",
        model="mistral-embed",
        headers=_bearer,
        body=_mistral,
        answer=_Data,
        limits=Limits(inputs=128, tokens=14_000, tokens_per_input=7000),
        dims={"mistral-embed": 1024},
        prices={"mistral-embed": 0.10},
    ),
}
"""By their names in ATENEO_EMBEDDING_PROVIDER. Tokens are estimated, so limits stay below what the services take."""
