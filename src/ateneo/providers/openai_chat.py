"""Any chat server that speaks OpenAI's protocol (OpenAI, Ollama, vLLM, LM Studio, llama.cpp ...), streamed.

These models cite by the numbered markers of the prompt; their searches come back as text.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from ateneo.errors import ProviderAnswerInvalid, ProviderError, ProviderUnavailable
from ateneo.extras import extra
from ateneo.i18n import number, tr
from ateneo.ports import TokenCounter
from ateneo.providers import tokens
from ateneo.providers.clean_parts import cleaned
from ateneo.providers.endpoint import EVENTS, checked_key, is_stream, redacted
from ateneo.providers.http_environment import check_environment, made
from ateneo.providers.loops import PerLoop
from ateneo.providers.openai_protocol import NO_KEY, Address
from ateneo.providers.search_tool import DESCRIPTION, INPUT, NAME, nothing_found
from ateneo.types import ChatPart, ChatRequest, EndPart, SearchPart, TextPart, Usage

with extra("openai"):
    import openai
    from openai import AsyncOpenAI

_TOOL = {"type": "function", "function": {"name": NAME, "description": DESCRIPTION, "parameters": dict(INPUT)}}
_GARBAGE = (ValueError, TypeError, LookupError, AttributeError)
"""What reading a stream that is none raises: the SDK does not validate."""


class OpenAIChat:
    """A ChatModel. `timeout_s` is how many seconds the server may be silent; `max_retries` are the SDK's own, before
    the answer begins. `price`: US dollars per million tokens, input and output, None where it is not known.

    Raises SettingsError for a missing or unusable key (a compatible server may need none), or an address that is none.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 2,
        price: tuple[float, float] | None = None,
        names: tuple[str, str] = ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ) -> None:
        """`names`: the variables that key and address come from."""
        self._key = checked_key(api_key, names[0], needed=base_url is None)
        self._address = Address.of(base_url, names[1], self._key)
        self._model = model
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._price = price
        # OpenAI's newer models take no other; compatible servers know the older name
        self._limit_name = "max_completion_tokens" if base_url is None else "max_tokens"
        self._counter = tokens.ChatTokens() if base_url is None else None
        check_environment()
        self._clients = PerLoop(lambda: made(self._new_client))

    def __repr__(self) -> str:
        return f"OpenAIChat(model={self._model!r})"

    @property
    def provider(self) -> str:
        return "openai"

    @property
    def model(self) -> str:
        return self._model

    @property
    def writes(self) -> bool:
        return True

    @property
    def native_citations(self) -> bool:
        return False

    @property
    def counter(self) -> TokenCounter | None:
        return self._counter

    def cost(self, usage: Usage, model: str) -> float | None:
        if self._price is None or model != self._model:
            return None
        return (usage.input_tokens * self._price[0] + usage.output_tokens * self._price[1]) / 1e6

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """One request. Raises the ProviderError that fits."""
        return cleaned(self._parts(request))

    async def _parts(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        calls: dict[int, dict[str, str]] = {}
        said, reason, usage = "", None, Usage()
        async with self._errors():
            stream = await self._clients.get().chat.completions.create(**self._params(request))
            async with stream:
                await self._refuse_other_bodies(stream.response)
                async for chunk in stream:
                    usage = _usage(chunk.usage) if chunk.usage is not None else usage
                    for choice in (chunk.choices or [])[:1]:
                        reason = choice.finish_reason or reason
                        text = choice.delta.content or choice.delta.refusal or ""
                        _gather(calls, choice.delta.tool_calls or ())
                        if text:
                            said += text
                            yield TextPart(text)
        for part in self._ending(request, said, reason, calls, usage):
            yield part

    async def close(self) -> None:
        """Closes the connections of every loop that still runs."""
        await self._clients.close(lambda client: client.close())

    def _new_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key=self._key or NO_KEY,
            base_url=self._address.url,
            timeout=self._timeout_s,
            max_retries=self._max_retries,
        )

    async def _refuse_other_bodies(self, response: httpx2.Response) -> None:
        """Raises what fits an answer of success that is no stream of events: an error, a page."""
        if is_stream(response.headers.get("content-type", "")):
            return
        body = await response.aread()
        if not body.lstrip().startswith(EVENTS):
            raise self._address.unusable(body, tr("no es una respuesta de chat", "it is not an answer of a chat"))

    def _params(self, request: ChatRequest) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "system", "content": request.system}]
        messages += [{"role": turn.role, "content": turn.content} for turn in request.history]
        messages.append({"role": "user", "content": request.message})
        for one in request.rounds:
            messages.append(one.raw)
            messages.append({"role": "tool", "tool_call_id": one.call_id, "content": one.text or nothing_found()})
        params: dict[str, Any] = {
            "model": request.model or self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._limit_name: request.max_tokens,
        }
        if request.may_search or request.rounds:
            params |= {"tools": [_TOOL], "tool_choice": "auto" if request.may_search else "none"}
        return params

    def _ending(
        self, request: ChatRequest, said: str, reason: str | None, calls: dict[int, dict[str, str]], usage: Usage
    ) -> list[ChatPart]:
        if reason is None:
            if said or calls:
                raise ProviderUnavailable(provider=self._address.label, detail=_broken_off())
            detail = tr("no es una respuesta de chat.", "it is not an answer of a chat.")
            raise ProviderAnswerInvalid(provider=self._address.label, detail=detail)
        parts: list[ChatPart] = []
        if calls and request.may_search:
            parts.append(_search(said, next(iter(calls.values()))))
        elif not said and reason == "content_filter":
            parts.append(TextPart(tr("El modelo no quiso responder.", "The model declined to answer.")))
        elif not said and reason != "length":
            detail = tr(f"no trae texto ({reason}).", f"it has no text ({reason}).")
            raise ProviderAnswerInvalid(provider=self._address.label, detail=detail)
        parts.append(EndPart(reason, usage, request.model or self._model))
        return parts

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        # Raised behind the handlers: the vendor's exception may quote the key, and would be printed as the cause.
        problem: ProviderError
        try:
            yield
            return
        except openai.APIStatusError as error:
            problem = self._address.refusal(error)
        except (openai.APITimeoutError, httpx2.TimeoutException):
            detail = tr(
                f"no contestó en {number(self._timeout_s, None)} s.",
                f"no answer within {number(self._timeout_s, None)} s.",
            )
            problem = ProviderUnavailable(provider=self._address.label, detail=detail)
        except openai.APIConnectionError as error:
            problem = ProviderUnavailable(
                provider=self._address.label, detail=self._redacted(str(error.__cause__ or error))
            )
        except httpx2.HTTPError:
            problem = ProviderUnavailable(provider=self._address.label, detail=_broken_off())
        except openai.APIError as error:  # inside the stream
            problem = self._address.broken_off(error)
        except _GARBAGE:
            detail = tr("no es una respuesta de chat.", "it is not an answer of a chat.")
            problem = ProviderAnswerInvalid(provider=self._address.label, detail=detail)
        raise problem

    def _redacted(self, message: str) -> str:
        return redacted(message, self._key)


def _gather(calls: dict[int, dict[str, str]], deltas: Any) -> None:
    """Adds the pieces of tool calls to those that came before."""
    for delta in deltas:
        call = calls.setdefault(delta.index or 0, {"id": "", "arguments": ""})
        call["id"] = delta.id or call["id"]
        call["arguments"] += (delta.function and delta.function.arguments) or ""


def _search(said: str, call: dict[str, str]) -> SearchPart:
    function = {"name": NAME, "arguments": call["arguments"] or "{}"}
    call_id = call["id"] or "call_0"
    tool_call = {"id": call_id, "type": "function", "function": function}
    raw = {"role": "assistant", "content": said or None, "tool_calls": [tool_call]}
    return SearchPart(call_id, _query(call["arguments"]), raw)


def _query(arguments: str) -> str:
    """What to search; "" where the model's JSON does not say."""
    try:
        asked = json.loads(arguments)
    except ValueError:
        return ""
    query = asked.get("consulta") if isinstance(asked, dict) else None
    return query if isinstance(query, str) else ""


def _usage(usage: Any) -> Usage:
    cached = getattr(usage.prompt_tokens_details, "cached_tokens", None) or 0
    return Usage((usage.prompt_tokens or 0) - cached, usage.completion_tokens or 0, cached)


def _broken_off() -> str:
    return tr("la respuesta se cortó.", "the answer broke off.")
