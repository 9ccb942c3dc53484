"""`/search/semantic`: the passages that answer a question."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api.audit_middleware import count
from ateneo.api.bodies import Body, Text
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.container import Container
from ateneo.i18n import both
from ateneo.search.options import SearchOptions
from ateneo.types import Fusion, Mode

router = APIRouter(tags=["search"], responses=RESPONSES, route_class=CompanyRoute)

_QUESTION = "¿Cuánto me pagan si trabajo un feriado?"
# In the description alone: the service checks them, and says what is wrong in the reader's language.
_K_RANGE: dict[str, Any] = {"minimum": 1, "maximum": 200}
_WEIGHT_RANGE: dict[str, Any] = {"minimum": 0, "maximum": 1}
_MODE = both("significado y palabras (hybrid), o uno solo", "meaning and words (hybrid), or one of them")
_WEIGHT = both("peso del significado; si falta, el del modelo", "weight of meaning; the model's own where absent")
_FILTER = both("condiciones sobre los metadatos", "conditions on the metadata")
_LANGUAGE = both(
    "idioma de los documentos: es, en, pt, fr, it, ca, gl, de, unknown",
    "language of the documents: es, en, pt, fr, it, ca, gl, de, unknown",
)
_FUSION = both("cómo se juntan significado y palabras", "how meaning and words are put together")
_SKIP = both("cuántos resultados saltear", "how many hits to skip")
_SKIP_RANGE: dict[str, Any] = {"minimum": 0, "maximum": 1000}
_EXPLAIN = both("agrega cómo se buscó", "adds how it was searched")
_NEIGHBOURS = both("pasajes vecinos a cada lado", "neighbouring passages to each side")
_NEIGHBOURS_RANGE: dict[str, Any] = {"minimum": 0, "maximum": 10}
_SECTION = both("agrega toda la sección de cada resultado", "adds the whole section of each hit")
_GROUP = both("agrupa por documento: k y skip cuentan documentos", "groups by document: k and skip count documents")
_MIN_SCORE = both(
    "solo lo que responde con al menos esta probabilidad, igual para toda pregunta y empresa",
    "only what answers with at least this probability, the same for every question and company",
)
_HIGHLIGHT = both("marca las palabras encontradas", "marks the words that were found")
_RERANK = both("false: sin el reranker configurado", "false: without the reranker that is configured")

_REWRITE = both("false: sin reescribir la pregunta (ATENEO_REWRITER)", "false: without rewriting (ATENEO_REWRITER)")


class Options(BaseModel):
    """What both ways to ask have in common: fields of SearchOptions, by the same names."""

    k: int = Field(10, json_schema_extra=_K_RANGE)
    mode: Mode = Field("hybrid", description=_MODE)
    dense_weight: float | None = Field(None, description=_WEIGHT, json_schema_extra=_WEIGHT_RANGE)
    language: Text | None = Field(None, description=_LANGUAGE, examples=["es"])
    skip: int = Field(0, description=_SKIP, json_schema_extra=_SKIP_RANGE)
    neighbours: int = Field(0, description=_NEIGHBOURS, json_schema_extra=_NEIGHBOURS_RANGE)
    section: bool = Field(False, description=_SECTION)
    group_by_document: bool = Field(False, description=_GROUP)
    min_score: float | None = Field(None, description=_MIN_SCORE, json_schema_extra=_WEIGHT_RANGE)
    highlight: bool = Field(False, description=_HIGHLIGHT)
    rerank: bool | None = Field(None, description=_RERANK)
    rewrite: bool | None = Field(None, description=_REWRITE)

    def options(self) -> SearchOptions:
        return SearchOptions(**self.model_dump(exclude={"q", "query", "empresa_id"}))


class QueryParameter(BaseModel):
    q: str = Field(examples=[_QUESTION])


class SearchParameters(Options, QueryParameter):
    """Of GET. The question is a class of its own, so that it stands first in the description."""


class QueryBody(Body):
    query: Text = Field(examples=[_QUESTION])


class SearchRequest(Options, QueryBody):
    filter: dict[str, Any] | None = Field(None, description=_FILTER, examples=[{"mime": "application/pdf"}])
    fusion: Fusion = Field("convex", description=_FUSION)
    explain: bool = Field(False, description=_EXPLAIN)


class NearbyPassage(BaseModel):
    """A passage that stands around a hit in its document."""

    model_config = ConfigDict(from_attributes=True)

    chunk_id: str
    chunk_index: int
    contenido: str
    page: int | None
    headings: tuple[str, ...]


class SameText(BaseModel):
    """A passage with exactly the text of a hit."""

    model_config = ConfigDict(from_attributes=True)

    chunk_id: str
    document_id: str | None
    title: str | None
    source: str | None
    page: int | None


class Passage(BaseModel):
    """`score` is relative to this question, 0 to 1; `dense_score` a cosine; `lexical_score` BM25; `relevance`, where
    `min_score` was given, how probable it is that it answers, comparable between questions.

    `highlights` are spans [start, end) of `contenido`, in Unicode code points. `page_breaks`: of a text on several
    pages, where each begins (code points) and its number; `page` is where its own text begins. `duplicates`: how many
    more passages were found with exactly this text; `same_text` are the first ten of them. `key` and `url`: of a row of
    the product's own table (`ateneo sources`), which `source` names.
    """

    model_config = ConfigDict(from_attributes=True)

    chunk_id: str = Field(examples=["0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"])
    document_id: str | None
    chunk_index: int | None
    label: str = Field(examples=["Feriados y horas extra · Pago · p. 2"])
    contenido: str = Field(examples=["El trabajo en día feriado se paga con un recargo del 100 %."])
    score: float = Field(examples=[0.93])
    dense_score: float | None = Field(examples=[0.71])
    lexical_score: float | None = Field(examples=[8.4])
    title: str | None = Field(examples=["Feriados y horas extra"])
    source: str | None = Field(examples=["feriados-y-horas-extra.md"])
    page: int | None = Field(examples=[2])
    page_breaks: tuple[tuple[int, int], ...] = Field(examples=[[[0, 2], [412, 3]]])
    headings: tuple[str, ...] = Field(examples=[["Feriados y horas extra", "Pago"]])
    tokens_count: int | None = Field(examples=[120])
    dense_rank: int | None = Field(examples=[2])
    lexical_rank: int | None = Field(examples=[1])
    matched: tuple[str, ...] = Field(examples=[["feriado"]])
    rerank_score: float | None = Field(examples=[None])
    relevance: float | None = Field(examples=[None])
    highlights: tuple[tuple[int, int], ...] = Field(examples=[[[18, 25]]])
    before: tuple[NearbyPassage, ...] = Field(examples=[[]])
    after: tuple[NearbyPassage, ...] = Field(examples=[[]])
    section: tuple[NearbyPassage, ...] = Field(examples=[[]])
    duplicates: int = Field(examples=[0])
    same_text: tuple[SameText, ...] = Field(examples=[[]])
    key: tuple[str, ...] = Field(examples=[[]])
    url: str | None = Field(examples=[None])


class DocumentPassages(BaseModel):
    """The best passages of one document, by their ids in `hits`."""

    model_config = ConfigDict(from_attributes=True)

    document_id: str | None
    title: str | None
    source: str | None
    chunk_ids: tuple[str, ...]


class SearchResponse(BaseModel):
    """`mode` is the one that was used; `warnings` say why where it is not the one asked."""

    model_config = ConfigDict(from_attributes=True)

    query: str = Field(examples=[_QUESTION])
    mode: Mode
    dense_weight: float = Field(examples=[0.3])
    warnings: tuple[str, ...] = Field(examples=[[]])
    corrected: dict[str, str] = Field(examples=[{"feriadoo": "feriado"}])
    plan: dict[str, Any] | None = None
    hits: tuple[Passage, ...]
    groups: tuple[DocumentPassages, ...] = Field(examples=[[]])


@router.get(
    "/search/semantic",
    operation_id="search_semantic",
    summary=both("Busca por significado y por palabras", "Searches by meaning and by words"),
)
async def search_semantic(
    request: Request, container: OpenContainer, empresa_id: Tenant, asked: Annotated[SearchParameters, Query()]
) -> SearchResponse:
    return await _search(request, container, empresa_id, asked.q, asked)


@router.post(
    "/search/semantic",
    operation_id="search_semantic_post",
    summary=both("Busca, con la pregunta en el cuerpo", "Searches, the question in the body"),
)
async def search_semantic_post(
    request: Request, container: OpenContainer, empresa_id: Tenant, body: SearchRequest
) -> SearchResponse:
    return await _search(request, container, empresa_id, body.query, body)


async def _search(
    request: Request, container: Container, empresa_id: str, query: str, asked: Options
) -> SearchResponse:
    options = asked.options()
    weigh = container.queries.keeps and options.whole and options.min_score is None
    found = await container.search.search(
        empresa_id, query, options=replace(options, min_score=0.0) if weigh else options
    )
    count(request, len(found.hits))
    container.queries.note(empresa_id, found.query, found.hits if options.whole else None)
    if weigh:  # relevance is for the list of gaps: nobody asked for it here
        found = replace(found, hits=tuple(replace(hit, relevance=None) for hit in found.hits))
    return SearchResponse.model_validate(found)
