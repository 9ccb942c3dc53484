"""Dify's External Knowledge API: `POST /retrieval`. The key says which company; `knowledge_id` is the company's id, for
all of its documents, or an agent's, for those that the agent's filter lets through."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api.audit_middleware import count
from ateneo.api.bodies import Text
from ateneo.api.problems import RESPONSES, of_error
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.db import agents
from ateneo.errors import AccessDenied, AteneoError, BadArgument, Unknown
from ateneo.i18n import both, tr
from ateneo.search.filters import joined, with_checked_filter
from ateneo.search.options import MOST_HITS, SearchOptions
from ateneo.types import Hit

_COMPARISONS = {"≠": "ne", "is not": "ne", ">": "gt", "<": "lt", "≥": "gte", "≤": "lte", "before": "lt", "after": "gt"}
_NUMERIC = ("=", "≠", ">", "<", "≥", "≤")


class _DifyRoute(CompanyRoute):
    """Errors have the two fields that Dify reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except AteneoError as error:
                return of_error(error, more={"error_code": _code(error, request), "error_msg": str(error)})

        return told


router = APIRouter(tags=["search"], responses=RESPONSES, route_class=_DifyRoute)


def _code(error: AteneoError, request: Request) -> int:
    """1001: no key as Dify sends it; 1002: not allowed; 2001: no such knowledge; else the HTTP status."""
    if isinstance(error, AccessDenied):
        return 1002 if request.headers.get("authorization", "").startswith("Bearer ") else 1001
    return 2001 if isinstance(error, Unknown) else error.status


class Setting(BaseModel):
    top_k: int = Field(10, ge=1, le=MOST_HITS)
    score_threshold: float = Field(0, ge=0, le=1)


class Condition(BaseModel):
    name: list[Text] = Field(min_length=1)
    comparison_operator: str
    value: Text | float | list[Text | float] | None = None


class Conditions(BaseModel):
    logical_operator: Literal["and", "or"] = "and"
    conditions: list[Condition] = []


class Retrieval(BaseModel):
    model_config = ConfigDict(extra="ignore")

    knowledge_id: Text = Field(examples=["acme"])
    query: Text = Field(examples=["¿Cuánto me pagan si trabajo un feriado?"])
    retrieval_setting: Setting = Field(default_factory=lambda: Setting(top_k=10, score_threshold=0))
    metadata_condition: Conditions | None = None


@router.post(
    "/retrieval",
    operation_id="retrieve_for_dify",
    summary=both("Pasajes, para Dify (External Knowledge API)", "Passages, for Dify (External Knowledge API)"),
)
async def retrieve(request: Request, container: OpenContainer, empresa_id: Tenant, body: Retrieval) -> dict[str, Any]:
    filter = await _filter_of(container, empresa_id, body.knowledge_id)
    if body.metadata_condition is not None:
        filter = joined(filter, _conditions(body.metadata_condition))
    wanted = body.retrieval_setting
    options = SearchOptions(wanted.top_k, filter=filter, min_score=wanted.score_threshold)
    found = await container.search.search(empresa_id, body.query, options=options)
    count(request, len(found.hits))
    return {"records": [_record(hit) for hit in found.hits]}


async def _filter_of(container: OpenContainer, empresa_id: str, knowledge_id: str) -> Mapping[str, Any] | None:
    """Raises Unknown for what is neither the company nor one of its agents."""
    if knowledge_id == empresa_id:
        return None
    agent, _ = await agents.find(container.db, empresa_id, knowledge_id)
    if agent is None:
        raise Unknown(what=tr(f"la base de conocimiento {knowledge_id}", f"the knowledge {knowledge_id}"))
    return with_checked_filter(empresa_id, agent).filter


def _conditions(given: Conditions) -> dict[str, Any]:
    """As a filter of ours. Raises BadArgument for what that cannot say."""
    if given.logical_operator == "or" and len(given.conditions) > 1:
        raise BadArgument(name="logical_operator", value="or", rule="and")
    wanted: dict[str, Any] = {}
    for one in given.conditions:
        for name in one.name:
            wanted[name] = _joined(name, wanted.get(name), _condition(one))
    return wanted


def _joined(name: str, before: Any, wanted: Any) -> Any:
    """Two comparisons of one field, such as from and to."""
    if before is None:
        return wanted
    if not (isinstance(before, dict) and isinstance(wanted, dict) and not before.keys() & wanted.keys()):
        raise BadArgument(name=name, value=wanted, rule=tr("una condición por campo", "one condition a field"))
    return before | wanted


def _condition(given: Condition) -> Any:
    operator, value = given.comparison_operator, given.value
    if operator in _NUMERIC and isinstance(value, str):
        value = _number(value)
    if operator in ("is", "=", "in"):
        return value
    if operator == "empty":
        return {"eq": None}
    if operator == "not empty":
        return {"ne": None}
    if operator in _COMPARISONS:
        return {_COMPARISONS[operator]: value}
    known = ("is", "=", "in", "empty", "not empty", *_COMPARISONS)
    raise BadArgument(name="comparison_operator", value=operator, rule=", ".join(known))


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _record(hit: Hit) -> dict[str, Any]:
    where: dict[str, Any] = {
        "document_id": hit.document_id,
        "chunk_id": hit.chunk_id,
        "source": hit.source,
        "page": hit.page,
        "url": hit.url,
    }
    return {
        "content": hit.contenido,
        "score": hit.relevance,
        "title": hit.label,
        "metadata": {name: value for name, value in where.items() if value is not None},
    }
