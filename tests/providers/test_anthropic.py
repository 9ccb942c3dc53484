import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import get_args

import pytest
from anthropic.resources.messages.messages import DEPRECATED_MODELS
from anthropic.types import Model
from tests.providers.anthropic_server import Reply, Server, call, cited, fault, message, serving, texts
from tests.providers.collected import collected

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
from ateneo.types import ChatRequest, Hit, SearchRound, TextPart, Turn, Usage

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
        answer = await collected(model, request(history=history))
    assert (answer.text, answer.stop_reason, answer.model) == ("Son 14 días [1].", "end_turn", "claude-test")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7)
    assert len(answer.pieces) > 1
    assert server.requests == [
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 64,
            "system": "Sistema.",
            "stream": True,
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
        assert (await collected(model, request())).stop_reason == stop_reason


async def test_a_refusal_without_words_says_so() -> None:
    async with chat(lambda n: message(None, stop_reason="refusal")) as (model, _):
        answer = await collected(model, request())
    assert answer.text == "El modelo no quiso responder."


async def test_an_answer_that_was_all_thinking_is_cut_not_garbage() -> None:
    async with chat(lambda n: message(None, stop_reason="max_tokens")) as (model, _):
        answer = await collected(model, request())
    assert (answer.text, answer.stop_reason) == ("", "max_tokens")


async def test_joins_text_blocks_and_leaves_the_others() -> None:
    blocks = [
        {"type": "thinking", "thinking": "mmm", "signature": "x"},
        {"type": "text", "text": "Son 14 "},
        {"type": "a_block_of_the_future", "text": None},
        {"type": "text", "text": "días."},
    ]
    async with chat(lambda n: message(content=blocks)) as (model, _):
        assert (await collected(model, request())).text == "Son 14 días."


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
            await collected(model, request())
    assert type(raised.value) is error
    assert "así no" in str(raised.value)
    assert len(server.requests) == tries


async def test_says_when_to_come_back() -> None:
    # x-should-retry keeps the SDK from waiting those seconds itself.
    headers = {"retry-after": "17", "retry-after-ms": "", "x-should-retry": "false"}
    async with chat(lambda n: fault(429, "rate_limit_error", **headers)) as (model, _):
        with pytest.raises(ProviderBusy) as raised:
            await collected(model, request())
    assert raised.value.fields["retry_after"] == 17.0


async def test_recovers_after_an_overload() -> None:
    async with chat(lambda n: fault(529, "overloaded_error") if n == 0 else message("Listo.")) as (model, server):
        assert (await collected(model, request())).text == "Listo."
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
            await collected(model, request())


async def test_no_answer_in_time() -> None:
    async with chat(lambda n: Reply(delay_s=0.6), timeout_s=0.2, max_retries=0) as (model, _):
        with pytest.raises(ProviderUnavailable, match=r"no contestó en 0,2 s"):
            await collected(model, request())


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        model = AnthropicChat(KEY, "claude-sonnet-5-5", f"http://127.0.0.1:{unused.getsockname()[1]}", max_retries=0)
        with pytest.raises(ProviderUnavailable):
            await collected(model, request())
        await model.close()


async def test_the_key_stands_in_no_error_and_no_repr() -> None:
    async with chat(lambda n: fault(401, "authentication_error", f"invalid key {KEY}")) as (model, _):
        with pytest.raises(ProviderRejected) as raised:
            await collected(model, request())
        assert KEY not in repr(model)
    assert KEY not in str(raised.value) + repr(raised.value) + repr(raised.value.__cause__)


def test_one_instance_serves_several_event_loops() -> None:
    with serving() as server:
        model = AnthropicChat(KEY, "claude-sonnet-5-5", server.url)

        async def ask_twice() -> None:
            await asyncio.gather(collected(model, request()), collected(model, request()))
            await model.close()

        asyncio.run(ask_twice())
        asyncio.run(ask_twice())
    assert len(server.requests) == 4


async def test_close_twice_and_ask_again() -> None:
    async with chat(lambda n: message()) as (model, server):
        await collected(model, request())
        await model.close()
        await model.close()
        await collected(model, request())
    assert len(server.requests) == 2


def test_the_default_model_is_known_and_current() -> None:
    name = Settings.model_fields["chat_model"].default
    assert name in get_args(get_args(Model)[0])
    assert name not in DEPRECATED_MODELS


# --- the stream ---------------------------------------------------------------------------------------------------

PASSAGE = Hit("c1", "doc", 3, "Son 14 días. Por  mudanza,\ndos.", 1.0, 0.5, 1.0, 1, 1, title="Manual", page=2)


def native(*, rounds: tuple[SearchRound, ...] = (), may_search: bool = False, stable: int = 0) -> ChatRequest:
    given = (PASSAGE, *(hit for one in rounds for hit in one.passages))
    units = {hit.chunk_id: ("Son 14 días. ", "Por  mudanza,\ndos.") for hit in given}
    return ChatRequest("Sistema. " + "x" * 5000, "¿Cuántos?", given, 64, (), stable, may_search, rounds, units=units)


async def test_passages_travel_as_search_results_of_one_block_a_sentence() -> None:
    with serving() as server:
        model = AnthropicChat(KEY, "claude-sonnet-5-5", server.url, citations="native")
        await collected(model, native())
        await model.close()
    [sent] = server.requests
    [result, question] = sent["messages"][0]["content"]
    assert (result["type"], result["source"], result["title"]) == ("search_result", "c1", "[1] Manual · p. 2")
    assert result["citations"] == {"enabled": True}
    assert [block["text"] for block in result["content"]] == ["Son 14 días. ", "Por  mudanza,\ndos."]
    assert question == {"type": "text", "text": "¿Cuántos?"}


async def test_native_citations_follow_what_they_support() -> None:
    reply = message(content=[cited("Son 14.", ("c1", "Son 14 días. ")), {"type": "text", "text": " Chau."}])
    async with chat(lambda n: reply) as (model, _):
        kinds = [type(part).__name__ async for part in model.stream(request()) if type(part).__name__ != "EndPart"]
    assert kinds.index("QuotePart") == len(kinds) - 2
    async with chat(lambda n: reply) as (model, _):
        answer = await collected(model, request())
    assert [(one.chunk_id, one.quote) for one in answer.quotes] == [("c1", "Son 14 días. ")]


async def test_a_long_stable_prompt_is_marked_for_the_cache_and_a_short_one_is_not() -> None:
    async with chat(lambda n: message(usage={"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 900,
                                             "cache_creation_input_tokens": 80})) as (model, server):  # fmt: skip
        answer = await collected(model, native(stable=4000))
        await collected(model, native(stable=20))
    stable, rest = server.requests[0]["system"]
    assert (len(stable["text"]), stable["cache_control"]) == (4000, {"type": "ephemeral"})
    assert "cache_control" not in rest
    assert stable["text"] + rest["text"] == server.requests[1]["system"]
    assert answer.usage == Usage(5, 1, 900, 80)
    # 5 x 2 + 1 x 10 + 900 x 0.2 + 80 x 2.5 dollars a million
    assert model.cost(answer.usage, "claude-sonnet-5-5") == pytest.approx(400e-6)
    assert model.cost(answer.usage, "claude-nadie") is None


async def test_the_model_may_search_and_gets_its_thinking_back() -> None:
    thinking = {"type": "thinking", "thinking": "mmm", "signature": "firma"}
    async with chat(lambda n: call("mudanza", thinking, call_id="t1")) as (model, server):
        answer = await collected(model, native(may_search=True))
        assert answer.call is not None
        assert (answer.call.call_id, answer.call.query) == ("t1", "mudanza")
        other = SearchRound("t1", "mudanza", (replace(PASSAGE, chunk_id="c2"),), "", 2, answer.call.raw)
        await collected(model, native(rounds=(other,)))
    first, second = server.requests
    assert first["tools"][0]["name"] == "buscar"
    assert first["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert second["tool_choice"] == {"type": "none"}
    _, asked, told = second["messages"]
    assert asked["content"][0] == thinking
    assert asked["content"][1] == {"type": "tool_use", "id": "t1", "name": "buscar", "input": {"consulta": "mudanza"}}
    [result] = told["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "t1")
    assert [(one["source"], one["title"]) for one in result["content"]] == [("c2", "[2] Manual · p. 2")]


@pytest.mark.parametrize("query", [None, 7, "", ["x"]])
async def test_a_search_for_nothing_is_a_search_for_nothing(query: object) -> None:
    async with chat(lambda n: call(query)) as (model, _):
        answer = await collected(model, native(may_search=True))
    assert answer.call is not None
    assert answer.call.query == ""


async def test_what_was_said_before_the_stream_broke_off_is_kept() -> None:
    said: list[str] = []
    async with chat(lambda n: Reply(stream=texts("Son 14 días corridos"))) as (model, server):
        with pytest.raises(ProviderUnavailable):
            async for part in model.stream(request()):
                assert isinstance(part, TextPart)
                said.append(part.text)
    assert "".join(said) == "Son 14 días corridos"
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ProviderBusy),
        ("rate_limit_error", ProviderBusy),
        ("api_error", ProviderUnavailable),
        ("timeout_error", ProviderUnavailable),
        ("invalid_request_error", ProviderRefusedInput),
    ],
)
async def test_an_error_inside_the_stream_is_the_error_that_it_says(kind: str, error: type[ProviderError]) -> None:
    failing = (*texts("Son"), {"type": "error", "error": {"type": kind, "message": "así no"}})
    async with chat(lambda n: Reply(stream=failing)) as (model, _):
        with pytest.raises(error, match="así no") as raised:
            await collected(model, request())
    assert type(raised.value) is error


async def test_a_model_that_falls_silent_is_given_up() -> None:
    async with chat(lambda n: Reply(stream=texts("Son"), hold=True), timeout_s=0.2, max_retries=0) as (model, server):
        with pytest.raises(ProviderUnavailable, match=r"0,2 s"):
            await collected(model, request())
        assert await asyncio.to_thread(server.left.wait, 5)


async def test_closing_the_stream_ends_the_request() -> None:
    async with chat(lambda n: Reply(stream=texts("Son 14"), hold=True)) as (model, server):
        async with aclosing(model.stream(request())) as parts:
            assert await anext(parts) == TextPart("Son 14")
        assert await asyncio.to_thread(server.left.wait, 5)


@pytest.mark.parametrize(
    "stream",
    [
        ({"type": "content_block_delta", "index": 4, "delta": {"type": "text_delta", "text": "x"}},),
        (texts("x")[0], {"type": "content_block_delta", "index": 4, "delta": {"type": "text_delta", "text": "x"}}),
        (texts("x")[0], {"type": "content_block_delta", "index": 0}),
        ({"type": "message_stop"},),
    ],
)
async def test_a_stream_without_sense_is_an_invalid_answer(stream: tuple[dict[str, object], ...]) -> None:
    async with chat(lambda n: Reply(stream=(*stream, {"type": "message_stop"}))) as (model, _):
        with pytest.raises(ProviderAnswerInvalid):
            await collected(model, request())
