"""`/agents/{agent_id}/chat`: an agent's answer, with the passages that it rests on, whole or as it is made."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ateneo.agents.events import CitationEvent, ClaimsChecked, Done, Event, Failed, Passages, Searching, TextDelta
from ateneo.api import sse
from ateneo.api.audit_middleware import count, record, streams
from ateneo.api.bodies import Body, Text
from ateneo.api.idempotency import RepeatableRoute
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.db import agents
from ateneo.errors import AteneoError
from ateneo.factories.chat_models import checked_agent
from ateneo.i18n import both
from ateneo.text.clean import clean
from ateneo.types import Agent, Answer, Hit, Turn

router = APIRouter(tags=["agents"], responses=RESPONSES, route_class=RepeatableRoute)
definitions = APIRouter(tags=["agent definitions"], responses=RESPONSES, route_class=CompanyRoute)
"""Apart, since a key that may ask an agent may not change it (`needed_scope`)."""


class ChatTurn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: Text = Field(examples=["¿Y los sábados?"])


class ChatBody(Body):
    message: Text = Field(examples=["¿Cuánto me pagan si trabajo un feriado?"])
    history: list[ChatTurn] = Field(
        [],
        max_length=100,
        description=both(
            "los turnos anteriores, del más viejo; si son largos cuentan los últimos (ATENEO_CHAT_HISTORY_TOKENS)",
            "earlier turns, oldest first; where they are long the last ones count (ATENEO_CHAT_HISTORY_TOKENS)",
        ),
    )
    conversation_id: Text | None = Field(
        None, description=both("sigue una conversación de este agente", "goes on with a conversation of this agent")
    )
    store: bool | None = Field(
        None,
        description=both(
            "guarda la conversación; si falta, se guarda salvo que venga history (ATENEO_CONVERSATIONS)",
            "stores the conversation; if missing, it is stored unless there is history (ATENEO_CONVERSATIONS)",
        ),
    )
    stream: bool = Field(
        False,
        description=both(
            "la respuesta mientras se escribe, como server-sent events (también con Accept: text/event-stream)",
            "the answer while it is written, as server-sent events (with Accept: text/event-stream, too)",
        ),
    )


class CitationResponse(BaseModel):
    """`number` is the n of the `[n]` in the text; `quote` is [start, end) of the chunk's text, in code points."""

    model_config = ConfigDict(from_attributes=True)

    number: int = Field(examples=[1])
    chunk_id: str
    document_id: str | None
    label: str = Field(examples=["Feriados y horas extra · Pago · p. 2"])
    page: int | None
    chunk_index: int | None
    quote: str = Field(examples=["El trabajo en día feriado se paga con un recargo del 100 %."])
    start: int | None = Field(examples=[12])
    end: int | None = Field(examples=[71])


class ClaimResponse(BaseModel):
    """A sentence of the answer, and whether the passages `numbers` say it, by the verdict of a chat model: supported,
    unsupported or not_checked."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(examples=["Con un recargo del 100 %."])
    numbers: tuple[int, ...] = Field(examples=[[1]])
    support: str = Field(examples=["supported"])


class ChatResponse(BaseModel):
    """`extractive`: made of quoted sentences, without a language model. `stop_reason` is the model's own word; `state`
    is complete, unknown, cut, refused, interrupted or cancelled. `cost` is US dollars, null where it is not known."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(examples=["Con un recargo del 100 % [1]."])
    citations: tuple[CitationResponse, ...]
    claims: tuple[ClaimResponse, ...] = Field(
        description=both("lo que cita, con ATENEO_VERIFY_CLAIMS", "what cites, with ATENEO_VERIFY_CLAIMS")
    )
    state: str = Field(examples=["complete"])
    provider: str
    model: str
    extractive: bool
    stop_reason: str | None
    queries: tuple[str, ...] = Field(description=both("lo que se buscó", "what was searched"))
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: float | None
    latency_ms: int
    first_text_ms: int | None
    markers_removed: int = Field(description=both("citas a nada, quitadas", "citations of nothing, taken out"))
    citations_dropped: int = Field(description=both("citas que no se pudieron comprobar", "citations not verified"))
    error: str | None = Field(description=both("el código de lo que la cortó", "the code of what interrupted it"))
    conversation_id: str | None
    position: int | None = Field(description=both("su lugar en la conversación", "its place in the conversation"))


@router.post(
    "/agents/{agent_id}/chat",
    operation_id="chat_with_agent",
    summary=both("Responde con citas", "Answers with citations"),
    description=both(
        "Con stream, los eventos son: searching {query}, passages {passages}, text {text}, citation, claims {claims}"
        " si se comprueban, y al final done"
        " (la respuesta entera) o error (el problema, y en `answer` lo dicho hasta ahí).",
        "With stream the events are: searching {query}, passages {passages}, text {text}, citation, claims {claims}"
        " where they are checked, and at the end done"
        " (the whole answer) or error (the problem, and in `answer` what was said so far).",
    ),
    response_model=ChatResponse,
    responses={200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def chat(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    agent_id: Annotated[str, Path(examples=["asistente"])],
    body: ChatBody,
) -> Any:
    store = container.settings.conversations and not body.history if body.store is None else body.store
    options: dict[str, Any] = {
        "history": [Turn(turn.role, turn.content) for turn in body.history],
        "conversation_id": body.conversation_id,
        "store": store,
    }
    if body.stream or sse.MEDIA_TYPE in request.headers.get("accept", ""):
        streams(request)
        events = audited(request, container.agent.stream(empresa_id, agent_id, body.message, **options))
        response: Response = await sse.respond(events, _framed, _broken, request.scope["state"]["request_id"])
        return response
    answer = await container.agent.chat(empresa_id, agent_id, body.message, **options)
    count(request, len(answer.citations))
    return answer


async def audited(request: Request, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """The events; before the last one, the request's line is in the audit log."""
    async with aclosing(events):
        async for event in events:
            yield await _last(request, event) if isinstance(event, Done | Failed) else event


async def _last(request: Request, event: Done | Failed) -> Event:
    count(request, len(event.answer.citations))
    try:
        await record(request)
    except AteneoError as error:
        return Failed(error, event.answer)
    request.state.complete = isinstance(event, Done)
    return event


class AgentBody(Body):
    """What is missing is left to the defaults."""

    name: Text = ""
    instructions: Text = Field("", examples=["Sos la asistente de Recursos Humanos."])
    model: Text | None = None
    language: Text | None = Field(None, examples=["es"])
    k: int = Field(20, examples=[20])
    dense_weight: float | None = None
    filter: dict[str, Any] | None = Field(None, examples=[{"area": "rrhh"}])
    context_tokens: int = 4000
    answer_tokens: int | None = None
    tools: tuple[Text, ...] = ("search",)


class AgentResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    agent_id: str = Field(examples=["rrhh"])
    name: str
    instructions: str
    model: str | None
    language: str | None
    k: int
    dense_weight: float | None
    filter: Any = Field(description="an object, or null; whatever another program stored")
    context_tokens: int
    answer_tokens: int | None
    tools: tuple[str, ...]


AgentId = Annotated[str, Path(examples=["rrhh"])]


@definitions.get(
    "/agents", operation_id="list_agents", summary=both("Los agentes de la empresa", "The company's agents")
)
async def list_agents(container: OpenContainer, empresa_id: Tenant) -> list[AgentResponse]:
    return [AgentResponse.model_validate(one) for one in await agents.list_agents(container.db, empresa_id)]


@definitions.put(
    "/agents/{agent_id}", operation_id="save_agent", summary=both("Crea o reemplaza", "Creates or replaces")
)
async def save_agent(container: OpenContainer, empresa_id: Tenant, agent_id: AgentId, body: AgentBody) -> AgentResponse:
    agent = checked_agent(Agent(agent_id, **body.model_dump(exclude={"empresa_id"})), container.settings)
    await agents.save(container.db, empresa_id, agent)
    return AgentResponse.model_validate(agent)


@definitions.delete(
    "/agents/{agent_id}",
    operation_id="delete_agent",
    summary=both("Borra", "Deletes"),
    status_code=HTTPStatus.NO_CONTENT,
)
async def delete_agent(container: OpenContainer, empresa_id: Tenant, agent_id: AgentId) -> None:
    await agents.delete(container.db, empresa_id, clean(agent_id))


def described(event: Event) -> tuple[str, dict[str, Any]]:
    """An event's name and its data."""
    match event:
        case Searching(query):
            data: dict[str, Any] = {"query": query}
        case Passages(passages):
            data = {"passages": [_passage(hit) for hit in passages]}
        case TextDelta(text):
            data = {"text": text}
        case CitationEvent(citation):
            data = CitationResponse.model_validate(citation).model_dump()
        case ClaimsChecked(claims):
            data = {"claims": [ClaimResponse.model_validate(one).model_dump() for one in claims]}
        case Done(answer):
            data = _answer(answer)
        case Failed(error, answer):
            data = _problem(error, answer)
    return event.type, data


def _framed(event: Event) -> bytes:
    return sse.frame(*described(event))


def _broken(error: AteneoError) -> bytes:
    """The last event of a stream that failed where no answer could be told any more."""
    return sse.frame(Failed.type, _problem(error, None))


def _problem(error: AteneoError, answer: Answer | None) -> dict[str, Any]:
    told = None if answer is None else _answer(answer)
    return {"code": error.code, "detail": error.message, "remedy": error.remedy, "answer": told}


def _answer(answer: Answer) -> dict[str, Any]:
    return ChatResponse.model_validate(answer).model_dump()


def _passage(hit: Hit) -> dict[str, Any]:
    return {
        "chunk_id": hit.chunk_id,
        "document_id": hit.document_id,
        "label": hit.label,
        "page": hit.page,
        "contenido": hit.contenido,
    }
