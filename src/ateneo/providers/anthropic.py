"""Claude, through the official SDK: streamed, with its native citations and its prompt cache."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx2

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
)
from ateneo.extras import extra
from ateneo.i18n import number, tr
from ateneo.ports import TokenCounter
from ateneo.providers.clean_parts import cleaned
from ateneo.providers.endpoint import EVENTS, checked_key, checked_url, is_stream, redacted, said
from ateneo.providers.http_environment import check_environment, made
from ateneo.providers.loops import PerLoop
from ateneo.providers.prices import chat_cost
from ateneo.providers.retry_after import retry_after
from ateneo.providers.search_tool import DESCRIPTION, INPUT, NAME, nothing_found
from ateneo.types import ChatPart, ChatRequest, EndPart, Hit, QuotePart, SearchPart, SearchRound, TextPart, Turn, Usage

with extra("anthropic"):
    import anthropic
    from anthropic import types as claude

_NAME = "anthropic"
_WORTH_CACHING = 3500
"""Characters of a prompt's stable beginning from which it is marked for the cache: some 1,000 tokens, below which the
vendor's cache takes nothing."""

_EPHEMERAL = claude.CacheControlEphemeralParam(type="ephemeral")
_BUSY = {"rate_limit_error", "overloaded_error"}
_DOWN = {"api_error", "timeout_error"}
_GARBAGE = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, anthropic.APIResponseValidationError)
"""What the SDK raises on a stream that is none: it does not validate what it reads."""


class AnthropicChat:
    """A ChatModel. `timeout_s` is how many seconds the model may be silent; `max_retries` are the SDK's own, with
    backoff, honouring Retry-After, for 408, 409, 429, 5xx and lost connections before the answer begins. The key
    stands in no repr and no error.

    `citations`: `markers` leaves the passages of the question where the guide has them, in the system prompt, to be
    cited as `[n]`; `native` hands them over as search results. Searches of the model's own are always search results.
    """

    def __init__(
        self,
        api_key: str,
        model: str,
        base_url: str | None = None,
        *,
        timeout_s: float = 60.0,
        max_retries: int = 2,
        citations: Literal["markers", "native"] = "markers",
    ) -> None:
        self._api_key = checked_key(api_key, "ANTHROPIC_API_KEY", needed=True)
        self._model = model
        # the SDK adds the version itself
        address = base_url and checked_url(base_url, "ANTHROPIC_BASE_URL")
        self._base_url = address and address.removesuffix("/messages").removesuffix("/v1").rstrip("/")
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._native = citations == "native"
        check_environment()
        self._clients = PerLoop(lambda: made(self._new_client))

    @property
    def provider(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._model

    @property
    def writes(self) -> bool:
        return True

    @property
    def native_citations(self) -> bool:
        return self._native

    @property
    def counter(self) -> TokenCounter | None:
        return None

    def cost(self, usage: Usage, model: str) -> float | None:
        return chat_cost(usage, model)

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """One request. `QuotePart`s follow the text that they support. Raises the ProviderError that fits."""
        return cleaned(self._parts(request))

    async def _parts(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        said = started = False
        async with self._errors(), self._clients.get().messages.stream(**self._params(request)) as stream:
            message = None
            await _refuse_other_bodies(stream.response)
            async for event in stream:
                started = started or event.type == "message_start"
                if event.type == "text" and event.text:
                    said = True
                    yield TextPart(event.text)
                elif event.type == "content_block_stop" and isinstance(event.content_block, claude.TextBlock):
                    for citation in event.content_block.citations or ():
                        if isinstance(citation, claude.CitationsSearchResultLocation):
                            yield QuotePart(citation.source or "", citation.cited_text or "")
                elif event.type == "message_stop":
                    message = event.message
        for part in self._ending(message, said, started or said):
            yield part

    async def close(self) -> None:
        """Closes the connections of every loop that still runs."""
        await self._clients.close(lambda client: client.close())

    def _new_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=self._api_key, base_url=self._base_url, timeout=self._timeout_s, max_retries=self._max_retries
        )

    def _params(self, request: ChatRequest) -> dict[str, Any]:
        params: dict[str, Any] = {
            "model": request.model or self._model,
            "max_tokens": request.max_tokens,
            "system": _system(request),
            "messages": self._messages(request),
        }
        if request.may_search or request.rounds:
            params["tools"] = [claude.ToolParam(name=NAME, description=DESCRIPTION, input_schema=dict(INPUT))]
            params["tool_choice"] = (
                claude.ToolChoiceAutoParam(type="auto", disable_parallel_tool_use=True)
                if request.may_search
                else claude.ToolChoiceNoneParam(type="none")
            )
        return params

    def _messages(self, request: ChatRequest) -> list[claude.MessageParam]:
        content: Any = request.message
        if self._native and request.passages:
            given = len(request.passages) - sum(len(one.passages) for one in request.rounds)
            results = _results(request, request.passages[:given], 1)
            content = [*results, claude.TextBlockParam(type="text", text=request.message)]
        messages = [_param(turn) for turn in request.history]
        messages.append(claude.UserMessageParam(role="user", content=content))
        for one in request.rounds:
            messages.append(claude.AssistantMessageParam(role="assistant", content=one.raw))
            messages.append(claude.UserMessageParam(role="user", content=[_tool_result(request, one)]))
        return messages

    def _ending(self, message: claude.Message | None, said: bool, started: bool) -> list[ChatPart]:
        if message is None:
            if started:
                raise ProviderUnavailable(provider=_NAME, detail=_broken_off())
            raise ProviderAnswerInvalid(provider=_NAME, detail=tr("no es un mensaje.", "it is not a message."))
        parts: list[ChatPart] = []
        call = next((block for block in message.content if isinstance(block, claude.ToolUseBlock)), None)
        if call is not None and message.stop_reason == "tool_use":
            parts.append(SearchPart(call.id, _query(call), _without_other_calls(message, call)))
        elif not said and message.stop_reason == "refusal":
            parts.append(TextPart(tr("El modelo no quiso responder.", "The model declined to answer.")))
        elif not said and message.stop_reason not in ("max_tokens", "model_context_window_exceeded"):
            detail = tr("no trae texto ({reason}).", "it has no text ({reason}).").format(reason=message.stop_reason)
            raise ProviderAnswerInvalid(provider=_NAME, detail=detail)
        parts.append(EndPart(message.stop_reason, _usage(message.usage), message.model or self._model))
        return parts

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._from_status(error) from None
        except (anthropic.APITimeoutError, httpx2.TimeoutException) as error:
            detail = tr(
                f"no contestó en {number(self._timeout_s, None)} s.",
                f"no answer within {number(self._timeout_s, None)} s.",
            )
            raise ProviderUnavailable(provider=_NAME, detail=detail) from error
        except anthropic.APIConnectionError as error:
            raise ProviderUnavailable(provider=_NAME, detail=str(error.__cause__ or error)) from error
        except httpx2.HTTPError as error:
            raise ProviderUnavailable(provider=_NAME, detail=_broken_off()) from error
        except _GARBAGE as error:
            detail = tr("no es un mensaje de la API.", "it is not a message of the API.")
            raise ProviderAnswerInvalid(provider=_NAME, detail=detail) from error

    def _from_status(self, error: anthropic.APIStatusError) -> ProviderError:
        status = error.status_code
        detail = redacted(error.api_message or f"HTTP {status}", self._api_key)
        # An error inside a stream that began well comes with status 200: its type tells.
        if status in {429, 529} or error.type in _BUSY:
            return ProviderBusy(provider=_NAME, detail=detail, retry_after=retry_after(error.response.headers))
        if status in {401, 402, 403, 404}:
            return ProviderRejected(provider=_NAME, detail=detail, http_status=status)
        if status in {400, 413, 422} or error.type == "invalid_request_error":
            return ProviderRefusedInput(provider=_NAME, detail=detail)
        if status in {408, 409} or status >= 500 or error.type in _DOWN:
            return ProviderUnavailable(provider=_NAME, detail=detail)
        return ProviderError(provider=_NAME, detail=detail)


def _system(request: ChatRequest) -> str | list[claude.TextBlockParam]:
    """The system prompt; its stable beginning marked for the cache where that is long enough to be kept."""
    if request.stable < _WORTH_CACHING:
        return request.system
    stable, rest = request.system[: request.stable], request.system[request.stable :]
    blocks = [claude.TextBlockParam(type="text", text=stable, cache_control=_EPHEMERAL)]
    if rest.strip():
        blocks.append(claude.TextBlockParam(type="text", text=rest))
    return blocks


def _results(request: ChatRequest, passages: Sequence[Hit], first: int) -> list[claude.SearchResultBlockParam]:
    """Each passage as a search result of one block a unit: a block is the least that can be cited."""
    return [
        claude.SearchResultBlockParam(
            type="search_result",
            source=hit.chunk_id,
            title=f"[{number}] {hit.label}",
            content=[claude.TextBlockParam(type="text", text=unit) for unit in request.units[hit.chunk_id]],
            citations=claude.CitationsConfigParam(enabled=True),
        )
        for number, hit in enumerate(passages, first)
    ]


def _tool_result(request: ChatRequest, one: SearchRound) -> claude.ToolResultBlockParam:
    content: Any = _results(request, one.passages, one.first) or nothing_found()
    return claude.ToolResultBlockParam(type="tool_result", tool_use_id=one.call_id, content=content)


def _query(call: claude.ToolUseBlock) -> str:
    asked = call.input.get("consulta") if isinstance(call.input, dict) else None
    return asked if isinstance(asked, str) else ""


def _without_other_calls(message: claude.Message, call: claude.ToolUseBlock) -> list[dict[str, Any]]:
    """The message's content, to be sent back: thinking must come back with it, and each call must get its result."""
    kept = [block for block in message.content if not isinstance(block, claude.ToolUseBlock) or block.id == call.id]
    return [
        block.to_dict(mode="python", exclude_none=True)
        for block in kept
        if not isinstance(block, claude.TextBlock) or block.text
    ]


def _usage(usage: claude.Usage | None) -> Usage:
    if not isinstance(usage, claude.Usage):
        raise ProviderAnswerInvalid(provider=_NAME, detail=tr("no dice qué consumió.", "it does not say its usage."))
    return Usage(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.cache_read_input_tokens or 0,
        usage.cache_creation_input_tokens or 0,
    )


def _param(turn: Turn) -> claude.MessageParam:
    if turn.role == "user":
        return claude.UserMessageParam(role="user", content=turn.content)
    return claude.AssistantMessageParam(role="assistant", content=turn.content)


async def _refuse_other_bodies(response: httpx2.Response) -> None:
    """Raises ProviderAnswerInvalid for an answer of success that is no stream of events: an error, a page."""
    if is_stream(response.headers.get("content-type", "")):
        return
    body = await response.aread()
    if not body.lstrip().startswith(EVENTS):
        detail = tr("no es un mensaje de la API", "it is not a message of the API")
        raise ProviderAnswerInvalid(provider=_NAME, detail=f"{detail}: {said(body)}")


def _broken_off() -> str:
    return tr("la respuesta se cortó.", "the answer broke off.")
