"""`/conversations`: what was asked and answered, listed, read again, rated, deleted."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ateneo.agents.transcript import transcript
from ateneo.api.agents import CitationResponse, ClaimResponse
from ateneo.api.bodies import Body, Text
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.db import conversations
from ateneo.errors import BadArgument
from ateneo.i18n import both, tr
from ateneo.text.clean import clean

router = APIRouter(tags=["agents"], responses=RESPONSES, route_class=CompanyRoute)

ConversationId = Annotated[str, Path(examples=["0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"])]
_MOST = 1000


class ConversationResponse(BaseModel):
    """`cost` is US dollars, of the turns whose model has a known price."""

    model_config = ConfigDict(from_attributes=True)

    conversation_id: str
    agent_id: str
    title: str = Field(examples=["¿Cuánto me pagan si trabajo un feriado?"])
    turns: int
    cost: float | None
    created_at: str
    updated_at: str


class ConversationPage(BaseModel):
    """`next` is the `after` of the next page, null where there is none."""

    conversations: list[ConversationResponse]
    next: str | None


class TurnResponse(BaseModel):
    """A question and its answer; its citations were checked again just now. `passages` are chunk ids, `[1]` first."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    question: str
    answer: str
    state: str
    queries: tuple[str, ...]
    passages: tuple[str, ...]
    citations: tuple[CitationResponse, ...]
    claims: tuple[ClaimResponse, ...]
    citations_dropped: int
    provider: str
    model: str
    stop_reason: str | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: float | None
    latency_ms: int
    first_text_ms: int | None
    rating: int | None
    comment: str | None
    created_at: str


class Transcript(BaseModel):
    turns: list[TurnResponse]


class FeedbackBody(Body):
    position: int = Field(examples=[0], ge=0, le=2_000_000_000)
    rating: Literal[1, -1] | None = Field(
        description=both("1, -1, o null para quitarla", "1, -1, or null to remove it")
    )
    comment: Text | None = Field(None, max_length=4000, examples=["Faltó decir desde cuándo."])


@router.get("/conversations", operation_id="list_conversations", summary=both("Las últimas primero", "Last used first"))
async def list_conversations(
    container: OpenContainer,
    empresa_id: Tenant,
    limit: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": _MOST})] = 50,
    after: Annotated[
        str | None, Query(description=both("`next` de la página anterior", "`next` of the last page"))
    ] = None,
) -> ConversationPage:
    if not 1 <= limit <= _MOST:
        rule = tr(f"va de 1 a {_MOST}", f"it goes from 1 to {_MOST}")
        raise BadArgument(name="limit", value=limit, rule=rule)
    last = after and clean(after)
    found = await conversations.list_conversations(container.db, empresa_id, limit=limit, after=last)
    return ConversationPage(
        conversations=[ConversationResponse.model_validate(one) for one in found],
        next=found[-1].conversation_id if len(found) == limit else None,
    )


@router.get("/conversations/{conversation_id}", operation_id="get_conversation", summary=both("Entera", "The whole"))
async def get_conversation(container: OpenContainer, empresa_id: Tenant, conversation_id: ConversationId) -> Transcript:
    turns = await transcript(container.db, empresa_id, clean(conversation_id))
    return Transcript(turns=[TurnResponse.model_validate(turn) for turn in turns])


@router.delete(
    "/conversations/{conversation_id}",
    operation_id="delete_conversation",
    summary=both("Borra todo lo suyo", "Deletes all that is its"),
    status_code=HTTPStatus.NO_CONTENT,
)
async def delete_conversation(container: OpenContainer, empresa_id: Tenant, conversation_id: ConversationId) -> None:
    await conversations.delete(container.db, empresa_id, clean(conversation_id))


@router.put(
    "/conversations/{conversation_id}/feedback",
    operation_id="rate_answer",
    summary=both("Qué te pareció una respuesta", "What you thought of an answer"),
    status_code=HTTPStatus.NO_CONTENT,
)
async def rate_answer(
    container: OpenContainer, empresa_id: Tenant, conversation_id: ConversationId, body: FeedbackBody
) -> None:
    await conversations.rate(container.db, empresa_id, clean(conversation_id), body.position, body.rating, body.comment)
