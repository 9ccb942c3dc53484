import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.providers.chat_server import ChatReply, ChatServer, calling, chat_serving, frame, saying
from tests.providers.collected import collected

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.types import ChatRequest, SearchRound, TextPart, Turn, Usage

KEY = "sk-secreta-123456"


def request(*, may_search: bool = False, rounds: tuple[SearchRound, ...] = (), model: str | None = None) -> ChatRequest:
    history = (Turn("user", "Hola"), Turn("assistant", "Buen día"))
    return ChatRequest("Sistema.", "¿Cuántos?", (), 64, history, 0, may_search, rounds, model)


@asynccontextmanager
async def chat(
    reply: Callable[[int], ChatReply], *, timeout_s: float = 5
) -> AsyncIterator[tuple[OpenAIChat, ChatServer]]:
    with chat_serving(reply) as server:
        model = OpenAIChat(
            "tiny", api_key=KEY, base_url=server.url, timeout_s=timeout_s, max_retries=0, price=(1.0, 2.0)
        )
        yield model, server
        await model.close()


async def test_asks_with_the_system_prompt_and_the_history() -> None:
    async with chat(lambda n: saying("Son 14 días [1].")) as (model, server):
        answer = await collected(model, request(model="otro"))
    assert (answer.text, answer.stop_reason, answer.model) == ("Son 14 días [1].", "stop", "otro")
    assert len(answer.pieces) == 4
    assert answer.usage == Usage(20, 5, 10)
    assert server.requests == [
        {
            "model": "otro",
            "messages": [
                {"role": "system", "content": "Sistema."},
                {"role": "user", "content": "Hola"},
                {"role": "assistant", "content": "Buen día"},
                {"role": "user", "content": "¿Cuántos?"},
            ],
            "max_tokens": 64,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert model.cost(answer.usage, "tiny") == pytest.approx(30e-6)
    assert model.cost(answer.usage, "otro") is None


async def test_the_model_may_search() -> None:
    async with chat(lambda n: calling('{"consulta": "mudanza"}') if n == 0 else saying("Dos [1].")) as (model, server):
        asked = await collected(model, request(may_search=True))
        assert asked.call is not None
        assert (asked.call.call_id, asked.call.query) == ("call_9", "mudanza")
        told = SearchRound("call_9", "mudanza", (), "[1] Manual (fragmento c1)", 1, asked.call.raw)
        nothing = SearchRound("call_9", "mudanza", (), "", 1, asked.call.raw)
        answer = await collected(model, request(rounds=(told, nothing)))
    first, second = server.requests
    assert (first["tools"][0]["function"]["name"], first["tool_choice"]) == ("buscar", "auto")
    assert second["tool_choice"] == "none"
    assert second["messages"][-4]["tool_calls"][0]["function"]["arguments"] == '{"consulta": "mudanza"}'
    assert second["messages"][-3] == {"role": "tool", "tool_call_id": "call_9", "content": "[1] Manual (fragmento c1)"}
    assert "nada nuevo" in second["messages"][-1]["content"]
    assert answer.text == "Dos [1]."


@pytest.mark.parametrize("arguments", ["", "{", "[]", '{"consulta": 3}', "{}"])
async def test_a_search_for_nothing_is_a_search_for_nothing(arguments: str) -> None:
    async with chat(lambda n: calling(arguments)) as (model, _):
        answer = await collected(model, request(may_search=True))
    assert answer.call is not None
    assert answer.call.query == ""


@pytest.mark.parametrize(("finish", "text"), [("length", ""), ("length", "Son"), ("content_filter", "No")])
async def test_carries_the_stop_reason(finish: str, text: str) -> None:
    async with chat(lambda n: saying(text, finish)) as (model, _):
        answer = await collected(model, request())
    assert (answer.text, answer.stop_reason) == (text, finish)


async def test_a_refusal_is_said() -> None:
    reply = ChatReply((frame({"refusal": "Prefiero no."}), frame({}, "stop")))
    async with chat(lambda n: reply) as (model, _):
        assert (await collected(model, request())).text == "Prefiero no."
    async with chat(lambda n: saying("", "content_filter")) as (model, _):
        assert (await collected(model, request())).text == "El modelo no quiso responder."


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"message": "así no"}, ProviderRefusedInput),
        (400, {"message": "así no", "param": "max_tokens"}, ProviderRejected),
        (401, {"message": f"así no, {KEY}"}, ProviderRejected),
        (404, {"message": "así no"}, ProviderRejected),
        (429, {"message": "así no"}, ProviderBusy),
        (429, {"message": "así no", "code": "insufficient_quota"}, ProviderRejected),
        (500, {"message": "así no"}, ProviderUnavailable),
        (503, {"message": "así no"}, ProviderUnavailable),
    ],
)
async def test_maps_errors(status: int, body: dict[str, str], error: type[ProviderError]) -> None:
    reply = ChatReply((json.dumps({"error": body}),), status, headers={"retry-after": "7"})
    async with chat(lambda n: reply) as (model, _):
        with pytest.raises(error, match="así no") as raised:
            await collected(model, request())
    assert type(raised.value) is error
    assert KEY not in str(raised.value) + repr(raised.value) + repr(raised.value.__cause__) + repr(model)
    if error is ProviderBusy:
        assert raised.value.fields["retry_after"] == 7.0


async def test_what_was_said_before_the_stream_broke_off_is_kept() -> None:
    said = ""
    async with chat(lambda n: saying("Son 14 días", None)) as (model, _):
        with pytest.raises(ProviderUnavailable, match="se cortó"):
            async for part in model.stream(request()):
                assert isinstance(part, TextPart)
                said += part.text
    assert said == "Son 14 días"


async def test_an_error_inside_the_stream() -> None:
    reply = ChatReply((frame({"content": "Son"}), json.dumps({"error": {"message": "me caí"}})))
    async with chat(lambda n: reply) as (model, _):
        with pytest.raises(ProviderUnavailable, match="me caí"):
            await collected(model, request())


@pytest.mark.parametrize(
    "frames", [(), ("no es json",), ("[1, 2]",), ('{"choices": 3}',), ('{"choices": [{}]}',), (frame({}, "stop"),)]
)
async def test_garbage_is_an_invalid_answer(frames: tuple[str, ...]) -> None:
    async with chat(lambda n: ChatReply(frames)) as (model, _):
        with pytest.raises(ProviderAnswerInvalid):
            await collected(model, request())


async def test_closing_the_stream_or_its_silence_ends_the_request() -> None:
    held = ChatReply((frame({"content": "Son"}),), done=False, hold=True)
    async with chat(lambda n: held) as (model, server):
        async with aclosing(model.stream(request())) as parts:
            assert await anext(parts) == TextPart("Son")
        assert await asyncio.to_thread(server.left.wait, 5)
    async with chat(lambda n: held, timeout_s=0.2) as (model, server):
        with pytest.raises(ProviderUnavailable, match=r"0,2 s"):
            await collected(model, request())
        assert await asyncio.to_thread(server.left.wait, 5)


def test_a_key_is_needed_for_openai_alone() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        OpenAIChat("gpt")
    OpenAIChat("llama", base_url="http://127.0.0.1:11434/v1")
    with pytest.raises(SettingsError):
        OpenAIChat("llama", base_url="ftp://x")
