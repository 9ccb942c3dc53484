"""Claude, through the official SDK."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import anthropic
from anthropic import types as claude

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
)
from ateneo.lang import tr
from ateneo.providers.loops import PerLoop
from ateneo.types import Answer, ChatRequest, Turn

_NAME = "anthropic"


class AnthropicChat:
    """A ChatModel. `timeout_s` is seconds for one try; `max_retries` are the SDK's own, with backoff, honouring
    Retry-After, for 408, 409, 429, 5xx and lost connections. The key stands in no repr and no error."""

    def __init__(
        self,
        api_key: str,
        model: str,
        base_url: str | None = None,
        *,
        timeout_s: float = 120.0,
        max_retries: int = 2,
    ) -> None:
        self._api_key = api_key
        self._model = model
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._clients = PerLoop(self._new_client)

    @property
    def provider(self) -> str:
        return _NAME

    @property
    def model(self) -> str:
        return self._model

    async def answer(self, request: ChatRequest) -> Answer:
        """Asks once. `text` still holds its `[n]` markers, `citations` is empty: the caller resolves them.

        Raises the ProviderError that fits.
        """
        messages = [_param(turn) for turn in (*request.history, Turn("user", request.message))]
        with self._errors():
            message = await self._clients.get().messages.create(
                model=self._model, max_tokens=request.max_tokens, system=request.system, messages=messages
            )
        return self._read(message)

    async def close(self) -> None:
        """Closes the connections of every loop that still runs."""
        await self._clients.close(lambda client: client.close())

    def _new_client(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=self._api_key, base_url=self._base_url, timeout=self._timeout_s, max_retries=self._max_retries
        )

    def _read(self, message: object) -> Answer:
        # The SDK does not validate: a body of another shape arrives as a str, a list, or a Message full of None.
        if not (
            isinstance(message, claude.Message)
            and isinstance(message.content, list)
            and isinstance(message.usage, claude.Usage)
        ):
            raise ProviderAnswerInvalid(provider=_NAME, detail=tr("no es un mensaje.", "it is not a message."))
        text = "".join(block.text for block in message.content if isinstance(block, claude.TextBlock) and block.text)
        if not text and message.stop_reason == "refusal":
            text = tr("El modelo no quiso responder.", "The model declined to answer.")
        if not text:
            detail = tr("no trae texto ({reason}).", "it has no text ({reason}).").format(reason=message.stop_reason)
            raise ProviderAnswerInvalid(provider=_NAME, detail=detail)
        return Answer(
            text=text,
            citations=(),
            provider=_NAME,
            model=message.model or self._model,
            extractive=False,
            input_tokens=message.usage.input_tokens or 0,
            output_tokens=message.usage.output_tokens or 0,
            stop_reason=message.stop_reason,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except anthropic.APIStatusError as error:
            raise self._from_status(error) from None
        except anthropic.APITimeoutError as error:
            detail = tr(f"no contestó en {self._timeout_s:g} s.", f"no answer within {self._timeout_s:g} s.")
            raise ProviderUnavailable(provider=_NAME, detail=detail) from error
        except anthropic.APIConnectionError as error:
            raise ProviderUnavailable(provider=_NAME, detail=str(error.__cause__ or error)) from error
        except (json.JSONDecodeError, UnicodeDecodeError, anthropic.APIResponseValidationError) as error:
            detail = tr("no es JSON válido.", "it is not valid JSON.")
            raise ProviderAnswerInvalid(provider=_NAME, detail=detail) from error

    def _from_status(self, error: anthropic.APIStatusError) -> ProviderError:
        status = error.status_code
        detail = (error.api_message or f"HTTP {status}").replace(self._api_key, "***")
        if status in {401, 402, 403, 404}:
            return ProviderRejected(provider=_NAME, detail=detail, http_status=status)
        if status in {429, 529}:
            return ProviderBusy(provider=_NAME, detail=detail, retry_after=_seconds(error))
        if status in {400, 413, 422}:
            return ProviderRefusedInput(provider=_NAME, detail=detail)
        if status in {408, 409} or status >= 500:
            return ProviderUnavailable(provider=_NAME, detail=detail)
        return ProviderError(provider=_NAME, detail=detail)


def _param(turn: Turn) -> claude.MessageParam:
    if turn.role == "user":
        return claude.UserMessageParam(role="user", content=turn.content)
    return claude.AssistantMessageParam(role="assistant", content=turn.content)


def _seconds(error: anthropic.APIStatusError) -> float | None:
    """The Retry-After header in seconds; None where it is absent or a date."""
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
