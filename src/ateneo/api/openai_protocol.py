"""OpenAI's protocol, for programs that know no other: `/v1/models` are the company's agents, and
`/v1/chat/completions` asks one.

What an agent does stands in its definition: parameters such as `temperature` and system messages are accepted, since
such programs always send them, and change nothing.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field

from ateneo.agents.events import Done, Event, Failed, TextDelta
from ateneo.agents.service import DEFAULT_AGENT
from ateneo.api import sse
from ateneo.api.agents import CitationResponse, ClaimResponse, audited
from ateneo.api.audit_middleware import count, streams
from ateneo.api.bodies import Text
from ateneo.api.idempotency import RepeatableRoute
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenContainer, Tenant
from ateneo.db import agents
from ateneo.errors import AteneoError, BadArgument
from ateneo.i18n import both, tr
from ateneo.types import Answer, Turn

router = APIRouter(prefix="/v1", tags=["agents"], responses=RESPONSES, route_class=RepeatableRoute)

_FINISH = {"cut": "length", "refused": "content_filter"}
_END = format_sse_event(data_str="[DONE]")


class Part(BaseModel):
    type: str
    text: Text | None = None


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[Part] | None = None

    @property
    def text(self) -> str:
        """Raises BadArgument for parts that are no text: images, files."""
        if not isinstance(self.content, list):
            return self.content or ""
        if any(part.type != "text" for part in self.content):
            raise BadArgument(name="messages", value="content", rule=tr("solo se lee texto", "only text is read"))
        return "\n".join(part.text or "" for part in self.content)


class StreamOptions(BaseModel):
    include_usage: bool = False


class Completion(BaseModel):
    """What is not named here is of the protocol, too, and changes nothing."""

    model_config = ConfigDict(extra="ignore")

    model: Text = Field(description=both("el agente", "the agent"), examples=[DEFAULT_AGENT])
    messages: list[Message] = Field(min_length=1, max_length=200, examples=[[{"role": "user", "content": "¿Cuánto?"}]])
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: Literal[1] = 1


class _Reply:
    """The frames and bodies of one completion: its id, its time and its model are the same in all of them."""

    def __init__(self, model: str) -> None:
        self._common = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer.text + _sources(answer), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": _finish(answer), "logprobs": None}
        told = {"object": "chat.completion", "choices": [choice], "usage": _usage(answer)}
        return self._common | told | _checked(answer)

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self._common | {"object": "chat.completion.chunk", "choices": [choice]}

    def end(self, answer: Answer) -> dict[str, Any]:
        return self.delta({}, _finish(answer)) | _checked(answer)

    def usage(self, answer: Answer) -> dict[str, Any]:
        return self._common | {"object": "chat.completion.chunk", "choices": [], "usage": _usage(answer)}


@router.get("/models", operation_id="list_models", summary=both("Los agentes, como modelos", "The agents, as models"))
async def models(container: OpenContainer, empresa_id: Tenant) -> dict[str, Any]:
    own = [one.agent_id for one in await agents.list_agents(container.db, empresa_id)]
    names = [*own, *([] if DEFAULT_AGENT in own else [DEFAULT_AGENT])]
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": "ateneo"} for name in names],
    }


@router.post(
    "/chat/completions",
    operation_id="complete_chat",
    summary=both("Responde con citas, en el protocolo de OpenAI", "Answers with citations, in OpenAI's protocol"),
    description=both(
        "El último mensaje es la pregunta; los anteriores, la conversación. Fuentes: al final y en `citations`.",
        "The last message is the question, those before it the conversation. Sources: at the end, and in `citations`.",
    ),
    responses={200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def complete(request: Request, container: OpenContainer, empresa_id: Tenant, body: Completion) -> Any:
    question, history = _asked(body.messages)
    options: dict[str, Any] = {"history": history, "store": False}
    reply = _Reply(body.model)
    if body.stream:
        streams(request)
        events = audited(request, container.agent.stream(empresa_id, body.model, question, **options))
        frames = _frames(reply, events, with_usage=body.stream_options.include_usage)
        response: Response = await sse.respond(frames, bytes, _error, request.scope["state"]["request_id"])
        return response
    answer = await container.agent.chat(empresa_id, body.model, question, **options)
    count(request, len(answer.citations))
    return reply.whole(answer)


def _asked(messages: Sequence[Message]) -> tuple[str, list[Turn]]:
    """The question and what was said before it. Raises BadArgument where nobody asks."""
    if messages[-1].role != "user":
        rule = tr("el último mensaje es de user", "the last message is of user")
        raise BadArgument(name="messages", value=messages[-1].role, rule=rule)
    turns = [Turn(one.role, one.text) for one in messages[:-1] if one.role in ("user", "assistant")]
    return messages[-1].text, [turn for turn in turns if turn.content]


async def _frames(reply: _Reply, events: AsyncGenerator[Event], *, with_usage: bool) -> AsyncGenerator[bytes]:
    begun = False
    async with aclosing(events):
        async for event in events:
            if not begun:
                yield _frame(reply.delta({"role": "assistant", "content": ""}))
                begun = True
            if isinstance(event, TextDelta):
                yield _frame(reply.delta({"content": event.text}))
            elif isinstance(event, Failed):
                yield _error(event.error)
            elif isinstance(event, Done):
                for frame in _last(reply, event.answer, with_usage=with_usage):
                    yield frame


def _last(reply: _Reply, answer: Answer, *, with_usage: bool) -> list[bytes]:
    sources = _sources(answer)
    frames = [reply.delta({"content": sources})] if sources else []
    frames += [reply.end(answer), *([reply.usage(answer)] if with_usage else [])]
    return [*map(_frame, frames), _END]


def _frame(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace").decode()
    return format_sse_event(data_str=text)


def _error(error: AteneoError) -> bytes:
    told = {"message": str(error), "type": "server_error", "code": error.code, "param": None}
    return _frame({"error": told})


def _finish(answer: Answer) -> str:
    return _FINISH.get(answer.state, "stop")


def _sources(answer: Answer) -> str:
    """What `[1]` is, and what it does not say, for readers whose program shows the text alone."""
    labels = {one.number: one.label for one in answer.citations}
    lines = [f"[{number}] {labels[number]}" for number in sorted(labels)]
    told = [tr("Fuentes:", "Sources:"), *lines] if lines else []
    if doubted := [f"- {one.text}" for one in answer.unsupported]:
        told += ["", tr("Sus fuentes no sostienen:", "Their sources do not support:"), *doubted]
    return "\n\n" + "\n".join(told) if told else ""


def _checked(answer: Answer) -> dict[str, Any]:
    return {
        "citations": [CitationResponse.model_validate(one).model_dump() for one in answer.citations],
        "claims": [ClaimResponse.model_validate(one).model_dump() for one in answer.claims],
    }


def _usage(answer: Answer) -> dict[str, int]:
    asked = answer.input_tokens + answer.cache_read_tokens + answer.cache_write_tokens
    return {
        "prompt_tokens": asked,
        "completion_tokens": answer.output_tokens,
        "total_tokens": asked + answer.output_tokens,
    }
