"""`/agents/{agent_id}/chat` as server-sent events, with a Claude of our own behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.providers import anthropic_server
from tests.providers.anthropic_server import Reply, Server, fault, message, texts

PATH = "/agents/asistente/chat"
QUESTION = {"message": "¿Cuánto se paga el feriado trabajado?"}


@asynccontextmanager
async def claude(api: Api, reply: Callable[[int], Reply]) -> AsyncIterator[tuple[httpx.AsyncClient, Server]]:
    with anthropic_server.serving(reply) as server:
        chosen = settings(api.database_url, ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=server.url)
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
