"""`/agents/{agent_id}/chat`: an agent's answer, with the passages that it rests on, whole or as it is made."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api import sse
from ateneo.api.bodies import Body, Text
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenHouse, Tenant
from ateneo.lang import tr
from ateneo.services.agents.events import Cited, Done, Event, Failed, Passages, Said, Searching
from ateneo.types import Answer, Hit, Turn

router = APIRouter(tags=["agents"], responses=RESPONSES)


class ChatTurn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: Text = Field(examples=["¿Y los sábados?"])


class ChatBody(Body):
    message: Text = Field(examples=["¿Cuánto me pagan si trabajo un feriado?"])
    history: list[ChatTurn] = Field(
        [], max_length=100, description=tr("los turnos anteriores, del más viejo", "earlier turns, oldest first")
    )
    stream: bool = Field(
        False,
        description=tr(
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


class ChatResponse(BaseModel):
    """`extractive`: made of quoted sentences, without a language model. `stop_reason` is the model's own word; `state`
    is complete, unknown, cut, refused, interrupted or cancelled. `cost` is US dollars, null where it is not known."""

    model_config = ConfigDict(from_attributes=True)

    text: str = Field(examples=["Con un recargo del 100 % [1]."])
    citations: tuple[CitationResponse, ...]
    state: str = Field(examples=["complete"])
    provider: str
    model: str
    extractive: bool
    stop_reason: str | None
    queries: tuple[str, ...] = Field(description=tr("lo que se buscó", "what was searched"))
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: float | None
    latency_ms: int
    first_text_ms: int | None
    markers_removed: int = Field(description=tr("citas a nada, quitadas", "citations of nothing, taken out"))
    citations_dropped: int = Field(description=tr("citas que no se pudieron comprobar", "citations not verified"))
    error: str | None = Field(description=tr("el código de lo que la cortó", "the code of what interrupted it"))


@router.post(
    "/agents/{agent_id}/chat",
    operation_id="chat_with_agent",
    summary=tr("Responde con citas", "Answers with citations"),
    description=tr(
        "Con stream, los eventos son: searching {query}, passages {passages}, text {text}, citation, y al final done"
        " (la respuesta entera) o error (el problema, y en `answer` lo dicho hasta ahí).",
        "With stream the events are: searching {query}, passages {passages}, text {text}, citation, and at the end done"
        " (the whole answer) or error (the problem, and in `answer` what was said so far).",
    ),
    response_model=ChatResponse,
    responses={200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def chat(
    request: Request,
    house: OpenHouse,
    empresa_id: Tenant,
    agent_id: Annotated[str, Path(examples=["asistente"])],
    body: ChatBody,
) -> Any:
    history = [Turn(turn.role, turn.content) for turn in body.history]
    if body.stream or sse.MEDIA_TYPE in request.headers.get("accept", ""):
        events = house.agent.stream(empresa_id, agent_id, body.message, history=history)
        response: Response = await sse.respond(events, described, request.scope["state"]["request_id"])
        return response
    return await house.agent.chat(empresa_id, agent_id, body.message, history=history)


def described(event: Event) -> tuple[str, dict[str, Any]]:
    """An event's name and its data."""
    match event:
        case Searching(query):
            data: dict[str, Any] = {"query": query}
        case Passages(passages, first):
            data = {"passages": [_passage(number, hit) for number, hit in enumerate(passages, first)]}
        case Said(text):
            data = {"text": text}
        case Cited(citation):
            data = CitationResponse.model_validate(citation).model_dump()
        case Done(answer):
            data = _answer(answer)
        case Failed(error, answer):
            data = {"code": error.code, "detail": error.message, "remedy": error.remedy, "answer": _answer(answer)}
    return event.type, data


def _answer(answer: Answer) -> dict[str, Any]:
    return ChatResponse.model_validate(answer).model_dump()


def _passage(number: int, hit: Hit) -> dict[str, Any]:
    return {
        "number": number,
        "chunk_id": hit.chunk_id,
        "document_id": hit.document_id,
        "label": hit.label,
        "page": hit.page,
        "contenido": hit.contenido,
    }
