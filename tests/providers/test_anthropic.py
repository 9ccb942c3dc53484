import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import get_args

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS
from anthropic.types import Model
from tests.providers.anthropic_server import Reply, Server, fault, message, serving

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
)
from ateneo.providers.anthropic import AnthropicChat
from ateneo.settings import Settings
from ateneo.types import ChatRequest, Turn

KEY = "sk-ant-secreta-123"


def request(text: str = "¿Cuántos días?", history: tuple[Turn, ...] = ()) -> ChatRequest:
    return ChatRequest(system="Sistema.", message=text, passages=(), max_tokens=64, history=history)


@asynccontextmanager
async def chat(
    reply: Callable[[int], Reply], *, timeout_s: float = 10, max_retries: int = 2
) -> AsyncIterator[tuple[AnthropicChat, Server]]:
    with serving(reply) as server:
        model = AnthropicChat(KEY, "claude-sonnet-5-5", server.url, timeout_s=timeout_s, max_retries=max_retries)
        yield model, server
        await model.close()


async def test_asks_with_the_system_prompt_and_the_history() -> None:
    history = (Turn("user", "Hola"), Turn("assistant", "Buen día"))
    async with chat(lambda n: message("Son 14 días [1].")) as (model, server):
        answer = await model.answer(request(history=history))
    assert (answer.text, answer.stop_reason, answer.extractive) == ("Son 14 días [1].", "end_turn", False)
    assert (answer.input_tokens, answer.output_tokens, answer.model) == (11, 7, "claude-test")
    assert answer.content[0].text == answer.text
    assert server.requests == [
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 64,
            "system": "Sistema.",
            "messages": [
                {"role": "user", "content": "Hola"},
                {"role": "assistant", "content": "Buen día"},
                {"role": "user", "content": "¿Cuántos días?"},
            ],
        }
    ]
    assert server.keys == [f"Bearer {KEY}"]


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
async def test_carries_the_stop_reason(stop_reason: str) -> None:
    async with chat(lambda n: message("Son", stop_reason=stop_reason)) as (model, _):
        assert (await model.answer(request())).stop_reason == stop_reason


async def test_a_refusal_without_words_says_so() -> None:
    async with chat(lambda n: message(None, stop_reason="refusal")) as (model, _):
        answer = await model.answer(request())
    assert answer.text == "El modelo no quiso responder."


async def test_joins_text_blocks_and_leaves_the_others() -> None:
    blocks = [
        {"type": "thinking", "thinking": "mmm", "signature": "x"},
        {"type": "text", "text": "Son 14 "},
        {"type": "a_block_of_the_future", "text": None},
        {"type": "text", "text": "días."},
    ]
    async with chat(lambda n: message(content=blocks)) as (model, _):
        assert (await model.answer(request())).text == "Son 14 días."


@pytest.mark.parametrize(
    ("status", "kind", "error", "tries"),
    [
        (400, "invalid_request_error", ProviderRefusedInput, 1),
        (401, "authentication_error", ProviderRejected, 1),
        (402, "billing_error", ProviderRejected, 1),
        (403, "permission_error", ProviderRejected, 1),
        (404, "not_found_error", ProviderRejected, 1),
        (413, "request_too_large", ProviderRefusedInput, 1),
        (422, "invalid_request_error", ProviderRefusedInput, 1),
        (429, "rate_limit_error", ProviderBusy, 3),
        (500, "api_error", ProviderUnavailable, 3),
        (503, "api_error", ProviderUnavailable, 3),
        (529, "overloaded_error", ProviderBusy, 3),
    ],
)
async def test_maps_errors(status: int, kind: str, error: type[ProviderError], tries: int) -> None:
    async with chat(lambda n: fault(status, kind, "así no")) as (model, server):
        with pytest.raises(error) as raised:
            await model.answer(request())
    assert type(raised.value) is error
    assert "así no" in str(raised.value)
    assert len(server.requests) == tries


async def test_says_when_to_come_back() -> None:
    # x-should-retry keeps the SDK from waiting those seconds itself.
    busy = fault(429, "rate_limit_error", **{"retry-after": "17", "x-should-retry": "false"})
    async with chat(lambda n: busy) as (model, _):
        with pytest.raises(ProviderBusy) as raised:
            await model.answer(request())
    assert raised.value.fields["retry_after"] == 17.0


async def test_recovers_after_an_overload() -> None:
    async with chat(lambda n: fault(529, "overloaded_error") if n == 0 else message("Listo.")) as (model, server):
        assert (await model.answer(request())).text == "Listo."
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>mantenimiento</html>", content_type="text/html"),
        Reply(body=b'{"content": [{"type'),
        Reply(body=b"\xff\xfe\xfd"),
        Reply(body=b""),
        Reply(body=b"[1, 2]"),
        Reply(body=b'{"hola": 1}'),
        Reply(body=b'{"content": "hola", "usage": 3}'),
        message(None),
        message(usage=None),
        message(content=[{"type": "text", "text": None}]),
    ],
)
async def test_garbage_is_an_invalid_answer(reply: Reply) -> None:
    async with chat(lambda n: reply) as (model, _):
        with pytest.raises(ProviderAnswerInvalid):
            await model.answer(request())


async def test_no_answer_in_time() -> None:
    async with chat(lambda n: Reply(delay_s=0.6), timeout_s=0.2, max_retries=0) as (model, _):
        with pytest.raises(ProviderUnavailable, match=r"no contestó en 0\.2 s"):
            await model.answer(request())


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = AnthropicChat(KEY, "claude-sonnet-5-5", f"http://127.0.0.1:{unused.getsockname()[1]}", max_retries=0)
        with pytest.raises(ProviderUnavailable):
            await model.answer(request())
        await model.close()


async def test_the_key_stands_in_no_error_and_no_repr() -> None:
    async with chat(lambda n: fault(401, "authentication_error", f"invalid key {KEY}")) as (model, _):
        with pytest.raises(ProviderRejected) as raised:
            await model.answer(request())
        assert KEY not in repr(model)
    assert KEY not in str(raised.value) + repr(raised.value) + repr(raised.value.__cause__)


def test_one_instance_serves_several_event_loops() -> None:
    with serving() as server:
        model = AnthropicChat(KEY, "claude-sonnet-5-5", server.url)

        async def ask_twice() -> None:
            await asyncio.gather(model.answer(request()), model.answer(request()))
            await model.close()

        asyncio.run(ask_twice())
        asyncio.run(ask_twice())
    assert len(server.requests) == 4


async def test_close_twice_and_ask_again() -> None:
    async with chat(lambda n: message()) as (model, server):
        await model.answer(request())
        await model.close()
        await model.close()
        await model.answer(request())
    assert len(server.requests) == 2


def test_the_default_model_is_known_and_current() -> None:
    name = Settings.model_fields["chat_model"].default
    assert name in get_args(get_args(Model)[0])
    assert name not in DEPRECATED_MODELS
