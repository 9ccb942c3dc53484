"""`/agents/{agent_id}/chat` as server-sent events, with a Claude of our own behind it."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.providers import anthropic_server
from tests.providers.anthropic_server import Reply, Server, fault, message, texts
from tests.providers.chat_server import ChatReply, chat_serving, frame

from ateneo.providers.openai_chat import OpenAIChat
from ateneo.types import Usage

PATH = "/agents/asistente/chat"
QUESTION = {"message": "¿Cuánto se paga el feriado trabajado?"}


@asynccontextmanager
async def claude(
    api: Api, reply: Callable[[int], Reply], **variables: str
) -> AsyncIterator[tuple[httpx.AsyncClient, Server]]:
    with anthropic_server.serving(reply) as server:
        chosen = settings(api.database_url, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=server.url, **variables)
        with serving(chosen) as url:
            async with httpx.AsyncClient(base_url=url, headers=api.acme, timeout=60) as client:
                yield client, server


async def events_of(response: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    frames = [frame.split("\n") for frame in (await response.aread()).decode().split("\n\n") if frame]
    fields = [dict(line.split(": ", 1) for line in lines) for lines in frames]
    return [(one["event"], json.loads(one["data"])) for one in fields if "event" in one]


async def test_typed_events_end_with_the_answer(api: Api) -> None:
    async with claude(api, lambda n: message("Con recargo [1]. Y un auto [9].")) as (client, _):
        response = await client.post(PATH, json=QUESTION | {"stream": True})
        events = await events_of(response)
        whole = (await client.post(PATH, json=QUESTION)).json()
    assert response.headers["content-type"].startswith("text/event-stream")
    names = [name for name, _ in events]
    assert names[:3] == ["searching", "passages", "text"]
    assert set(names[3:-1]) == {"text", "citation"}
    done = events[-1][1]
    assert names[-1] == "done"
    assert "".join(data["text"] for name, data in events if name == "text") == done["text"]
    assert done["text"] == "Con recargo [1]. Y un auto."
    [citation] = [data for name, data in events if name == "citation"]
    passage = events[1][1]["passages"][0]
    assert passage["contenido"][citation["start"] : citation["end"]] == citation["quote"]
    times = {"latency_ms", "first_text_ms", "conversation_id"}
    assert {k: v for k, v in done.items() if k not in times} == {k: v for k, v in whole.items() if k not in times}
    assert done["cost"] is None
    assert (done["state"], done["markers_removed"]) == ("complete", 1)


async def test_claims_come_with_their_verdicts(api: Api) -> None:
    def reply(n: int) -> Reply:
        return message("Con recargo [1]. Es gratis [1].") if n % 2 == 0 else message('{"1": "si", "2": "no"}')

    async with claude(api, reply, ATENEO_VERIFY_CLAIMS="chat") as (client, _):
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
        completion = {"model": "asistente", "messages": [{"role": "user", "content": QUESTION["message"]}]}
        other = (await client.post("/v1/chat/completions", json=completion)).json()
        stored = (await client.get(f"/conversations/{events[-1][1]['conversation_id']}")).json()
    claims = [
        {"text": "Con recargo.", "numbers": [1], "support": "supported"},
        {"text": "Es gratis.", "numbers": [1], "support": "unsupported"},
    ]
    assert events[-2] == ("claims", {"claims": claims})
    assert events[-1][1]["claims"] == other["claims"] == stored["turns"][0]["claims"] == claims
    assert other["choices"][0]["message"]["content"].endswith("Sus fuentes no sostienen:\n- Es gratis.")


async def test_the_accept_header_asks_for_a_stream_too(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, json=QUESTION, headers={"accept": "text/event-stream"})
    names = [name for name, _ in await events_of(response)]
    assert (names[0], names[-1]) == ("searching", "done")


@pytest.mark.parametrize(("message_", "code"), [("", "empty-query"), ("a" * 100_000, "query-too-long")])
async def test_a_question_that_is_none_is_a_problem_not_a_stream(
    client: httpx.AsyncClient, message_: str, code: str
) -> None:
    response = await client.post(PATH, json={"message": message_, "stream": True})
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_a_failure_ends_the_stream_with_what_was_said(api: Api) -> None:
    async with claude(api, lambda n: Reply(stream=texts("Con recargo [1]. Ade"))) as (client, _):
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
        whole = await client.post(PATH, json=QUESTION)
    name, data = events[-1]
    assert (name, data["code"]) == ("error", "provider-unavailable")
    assert data["detail"]
    assert data["answer"]["text"] == "Con recargo [1]. Ade"
    assert (whole.status_code, whole.json()["state"]) == (200, "interrupted")
    assert whole.json()["error"] == "provider-unavailable"


async def test_a_failure_before_the_first_word(api: Api) -> None:
    busy = fault(429, "rate_limit_error", **{"retry-after-ms": "7000", "x-should-retry": "false"})
    async with claude(api, lambda n: busy) as (client, _):
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
        whole = await client.post(PATH, json=QUESTION)
    assert (events[-1][0], events[-1][1]["code"]) == ("error", "provider-busy")
    assert (whole.status_code, whole.headers["retry-after"]) == (503, "7")


async def test_a_client_that_leaves_ends_the_provider_s_stream(api: Api) -> None:
    async with claude(api, lambda n: Reply(stream=texts("Con recargo"), hold=True)) as (client, server):
        async with client.stream("POST", PATH, json=QUESTION | {"stream": True}) as response:
            async for line in response.aiter_lines():
                if line == "event: text":
                    break
        assert await asyncio.to_thread(server.left.wait, 10)


@asynccontextmanager
async def other_chat(api: Api, reply: Callable[[int], ChatReply]) -> AsyncIterator[httpx.AsyncClient]:
    with chat_serving(reply) as server:
        chosen = settings(
            api.database_url,
            ATENEO_CHAT_PROVIDER="openai",
            ATENEO_CHAT_MODEL="tiny",
            ATENEO_CHAT_BASE_URL=server.url,
            ATENEO_CHAT_SEARCH="false",
        )
        with serving(chosen) as url:
            async with httpx.AsyncClient(base_url=url, headers=api.acme, timeout=60) as client:
                yield client


def spoken(*said: str) -> ChatReply:
    """Each text a frame of its own, in pure ASCII, as servers write JSON."""
    return ChatReply((*(frame({"content": one}) for one in said), frame({}, "stop")))


async def test_half_characters_and_nul_are_no_failure(api: Api) -> None:
    """Servers cut an emoji in two, each half an escape of its own: they are put together; NUL is left out."""
    async with other_chat(api, lambda n: spoken("Con recargo ", "\ud83d", "\ude00", "\x00 [1].")) as client:
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
        stored = await client.get(f"/conversations/{events[-1][1]['conversation_id']}")
    assert [name for name, _ in events][-1] == "done"
    assert stored.json()["turns"][0]["answer"] == events[-1][1]["text"] == "Con recargo \U0001f600 [1]."


async def test_a_server_that_breaks_off_is_told(api: Api) -> None:
    broken = ChatReply((frame({"content": "Con recargo"}),), done=False)
    async with other_chat(api, lambda n: broken) as client:
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
    name, data = events[-1]
    assert (name, data["code"], data["answer"]["text"]) == ("error", "provider-unavailable", "Con recargo")


@pytest.mark.parametrize("odd", ['{"choices": [{"delta": 1}]}', '{"choices": 5}', "[1]", '"x"', "null", "{", '{"a": '])
async def test_a_server_that_says_something_else_is_told(api: Api, odd: str) -> None:
    async with other_chat(api, lambda n: ChatReply((frame({"content": "Con recargo"}), odd))) as client:
        events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
    assert events[-1][0] == "error"
    assert events[-1][1]["answer"]["text"] == "Con recargo"


async def test_what_nobody_foresaw_ends_the_stream_as_an_error(api: Api, log: io.StringIO) -> None:
    """A price that is no number, which only multiplying tells: raised between two events, and by `answer` itself."""

    def broken(self: OpenAIChat, usage: Usage, model: str) -> float | None:
        raise ArithmeticError("la clave es hunter2")

    async with other_chat(api, lambda n: spoken("Con recargo [1].")) as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OpenAIChat, "cost", broken)
            events = await events_of(await client.post(PATH, json=QUESTION | {"stream": True}))
    assert (events[-1][0], events[-1][1]["code"]) == ("error", "unexpected")
    assert "ArithmeticError" in log.getvalue()
    assert "hunter2" not in log.getvalue()


@pytest.mark.parametrize("fault", ["renamed", "terminated"])
async def test_a_database_that_fails_in_the_middle_ends_the_stream_as_an_error(api: Api, fault: str) -> None:
    """Once the model has said something, a citation is looked up: there is no table, or no connection."""
    held = threading.Event()

    def reply(n: int) -> ChatReply:
        held.wait(20)
        return spoken("Con recargo [1]. Y más.")

    away, back = FAULTS[fault]
    async with (
        other_chat(api, reply) as client,
        client.stream("POST", PATH, json=QUESTION | {"stream": True}) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if line == "event: passages":
                break
        try:
            await _run(api, away)
            held.set()
            rest = [line async for line in lines]
        finally:
            await _run(api, back)
    events = [line.removeprefix("event: ") for line in rest if line.startswith("event: ")]
    assert events[-1] == "error"
    data = json.loads([line for line in rest if line.startswith("data: ")][-1].removeprefix("data: "))
    assert data["code"] in ("not-upgraded", "database-unavailable", "database")
    assert "Con recargo" in data["answer"]["text"]


FAULTS = {
    "renamed": (
        ["/ateneo_api?", "ALTER TABLE public.knowledge_chunks RENAME TO hidden_chunks"],
        ["/ateneo_api?", "ALTER TABLE public.hidden_chunks RENAME TO knowledge_chunks"],
    ),
    "terminated": (
        [
            "/postgres?",
            "ALTER DATABASE ateneo_api WITH ALLOW_CONNECTIONS false",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ateneo_api'",
        ],
        ["/postgres?", "ALTER DATABASE ateneo_api WITH ALLOW_CONNECTIONS true"],
    ),
}


async def _run(api: Api, where_and_what: list[str]) -> None:
    where, *statements = where_and_what
    connection = await asyncpg.connect(api.database_url.replace("/ateneo_api?", where))
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
