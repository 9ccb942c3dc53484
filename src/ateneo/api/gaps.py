"""`/gaps`: what people asked and nobody could answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from ateneo.agents.gaps import MOST_DAYS, MOST_GAPS, WEAK, Reason, gaps
from ateneo.api.audit_middleware import count
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.i18n import both

router = APIRouter(tags=["agents"], responses=RESPONSES, route_class=CompanyRoute)

_DAYS_RANGE: dict[str, Any] = {"minimum": 1, "maximum": MOST_DAYS}
_LIMIT_RANGE: dict[str, Any] = {"minimum": 1, "maximum": MOST_GAPS}
_DAYS = both("de los últimos días", "of the last days")
_BELOW = both("relevancia bajo la cual una búsqueda no respondió", "relevance below which a search did not answer")


class GapResponse(BaseModel):
    """A question as it was asked last, `also` as it was asked before; `reasons` say why it counts as unanswered."""

    model_config = ConfigDict(from_attributes=True)

    question: str = Field(examples=["¿Hay guardería?"])
    times: int = Field(examples=[7])
    last_asked: str = Field(examples=["2026-11-22T16:00:00+00:00"])
    reasons: tuple[Reason, ...] = Field(examples=[["unknown"]])
    also: tuple[str, ...] = Field(examples=[[]])
    conversation_id: str | None


class GapsResponse(BaseModel):
    """The most frequent first. `warnings` say what could not be counted."""

    model_config = ConfigDict(from_attributes=True)

    gaps: tuple[GapResponse, ...]
    warnings: tuple[str, ...] = Field(examples=[[]])


@router.get(
    "/gaps",
    operation_id="list_gaps",
    summary=both("Lo que se preguntó y nadie pudo responder", "What was asked and nobody could answer"),
)
async def list_gaps(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    days: Annotated[int, Query(description=_DAYS, json_schema_extra=_DAYS_RANGE)] = 90,
    limit: Annotated[int, Query(json_schema_extra=_LIMIT_RANGE)] = 50,
    below: Annotated[float, Query(description=_BELOW)] = WEAK,
) -> GapsResponse:
    found = await gaps(
        container.db,
        empresa_id,
        keep_queries=container.settings.keep_queries,
        days=days,
        limit=limit,
        below=below,
    )
    count(request, len(found.gaps))
    return GapsResponse.model_validate(found)
