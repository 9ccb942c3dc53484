"""`/preguntar`: conversations with the company's agents, each answer with its sources beside it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from ateneo.agents.events import Done, Event, Failed, Searching, TextDelta
from ateneo.agents.service import DEFAULT_AGENT
from ateneo.agents.transcript import transcript
from ateneo.console.access import Company, OpenContainer
from ateneo.console.pages import CompanyRoute, render
from ateneo.container import Container
from ateneo.db import agents, conversations, passages
from ateneo.db.conversations import StoredTurn
from ateneo.errors import AteneoError
from ateneo.text.clean import clean, showable
from ateneo.types import StoredPassage
from ateneo.unexpected import as_ours, log_unexpected

router = APIRouter(route_class=CompanyRoute, include_in_schema=False, tags=["agents"])
PATH = "/preguntar"
_LISTED = 40
STREAM = "application/x-ndjson"

ConversationId = Annotated[str, Path(max_length=100)]


@dataclass(frozen=True, slots=True)
class Source:
    """A cited passage beside its answer. `anchor` is its place on the page; the quotes are spans of `text`."""

    number: int
    anchor: str
    label: str
    document_id: str | None
    text: str
    quotes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ShownTurn:
    turn: StoredTurn
    sources: tuple[Source, ...]

    @property
    def anchors(self) -> dict[int, str]:
        return {one.number: one.anchor for one in self.sources}


@router.get(PATH, operation_id="console_conversations")
async def ask_page(
    request: Request, opened: OpenContainer, empresa_id: Company, agente: Annotated[str, Query()] = ""
) -> Response:
    return await _page(request, opened, empresa_id, None, agente)


@router.get(f"{PATH}/{{conversation_id}}", operation_id="console_conversation")
async def conversation_page(
    request: Request, opened: OpenContainer, empresa_id: Company, conversation_id: ConversationId
) -> Response:
    return await _page(request, opened, empresa_id, clean(conversation_id), "")


@router.post(PATH, operation_id="console_ask")
async def ask(
    request: Request,
    opened: OpenContainer,
    empresa_id: Company,
    message: Annotated[str, Form()] = "",
    agent: Annotated[str, Form()] = "",
    conversation: Annotated[str, Form()] = "",
) -> Response:
    """The answer: as it is written for a script that asks for it so, else the page of the conversation."""
    options: dict[str, Any] = {"conversation_id": clean(conversation) or None, "store": True}
    events = opened.agent.stream(empresa_id, clean(agent) or DEFAULT_AGENT, message, **options)
    if STREAM in request.headers.get("accept", ""):
        return StreamingResponse(_lines(request, events), media_type=STREAM)
    answer = await opened.agent.chat(empresa_id, clean(agent) or DEFAULT_AGENT, message, **options)
    return RedirectResponse(f"{PATH}/{answer.conversation_id}#fin", HTTPStatus.SEE_OTHER)


@router.post(f"{PATH}/{{conversation_id}}/valorar", operation_id="console_rate")
async def rate(
    request: Request,
    opened: OpenContainer,
    empresa_id: Company,
    conversation_id: ConversationId,
    position: Annotated[int, Form(ge=0, le=2_000_000_000)],
    rating: Annotated[int, Form(ge=-1, le=1)],
) -> Response:
    own = clean(conversation_id)
    await conversations.rate(opened.db, empresa_id, own, position, rating or None, None)
    return RedirectResponse(f"{PATH}/{own}#turno-{position}", HTTPStatus.SEE_OTHER)


@router.post(f"{PATH}/{{conversation_id}}/borrar", operation_id="console_delete_conversation")
async def delete(opened: OpenContainer, empresa_id: Company, conversation_id: ConversationId) -> Response:
    await conversations.delete(opened.db, empresa_id, clean(conversation_id))
    return RedirectResponse(PATH, HTTPStatus.SEE_OTHER)


async def _page(
    request: Request, opened: Container, empresa_id: str, conversation_id: str | None, agent: str
) -> Response:
    turns: tuple[ShownTurn, ...] = ()
    if conversation_id is not None:
        agent = (await conversations.get(opened.db, empresa_id, conversation_id)).agent_id
        turns = await _shown(opened, empresa_id, await transcript(opened.db, empresa_id, conversation_id))
    return render(
        request,
        "ask.html",
        turns=turns,
        conversation_id=conversation_id or "",
        agent=agent or DEFAULT_AGENT,
        agents=await agents.list_agents(opened.db, empresa_id),
        conversations=await conversations.list_conversations(opened.db, empresa_id, limit=_LISTED),
    )


async def _shown(opened: Container, empresa_id: str, turns: Sequence[StoredTurn]) -> tuple[ShownTurn, ...]:
    ids = sorted({one.chunk_id for turn in turns for one in turn.citations})
    found = {one.chunk_id: one for one in await passages.by_ids(opened.db, empresa_id, ids)} if ids else {}
    return tuple(ShownTurn(turn, _sources(turn, found)) for turn in turns)


def _sources(turn: StoredTurn, found: Mapping[str, StoredPassage]) -> tuple[Source, ...]:
    """One for each number that the answer cites, with all of its quotes."""
    sources: dict[int, Source] = {}
    for one in turn.citations:
        if one.chunk_id not in found:
            continue
        spans = [] if one.start is None or one.end is None else [(one.start, one.end)]
        before = sources.get(one.number)
        sources[one.number] = Source(
            one.number,
            f"fuente-{turn.position}-{one.number}",
            one.label,
            one.document_id,
            found[one.chunk_id].contenido,
            (*(before.quotes if before else ()), *spans),
        )
    return tuple(sources[number] for number in sorted(sources))


async def _lines(request: Request, events: AsyncGenerator[Event]) -> AsyncIterator[bytes]:
    """What happens, an object of JSON a line; the last one has where the conversation is read."""
    try:
        async with aclosing(events):
            async for event in events:
                line = _line(event)
                if line is not None:
                    yield line
    except Exception as error:  # noqa: BLE001 - the outermost edge: no stream ends without its last line
        if not isinstance(error, AteneoError):
            log_unexpected(error, request.url.path)
        yield _problem(as_ours(error, request.url.path))


def _line(event: Event) -> bytes | None:
    match event:
        case Searching(query):
            return _json({"searching": query})
        case TextDelta(text):
            return _json({"text": showable(text)})
        case Done(answer):
            return _json({"go": f"{PATH}/{answer.conversation_id}"})
        case Failed(error, answer):
            if answer.text and answer.conversation_id:
                return _json({"go": f"{PATH}/{answer.conversation_id}", "problem": error.message})
            return _problem(error)
    return None


def _problem(error: AteneoError) -> bytes:
    return _json({"problem": f"{error.message} {error.remedy}".strip()})


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
