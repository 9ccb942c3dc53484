"""`/v1/chat/completions` and `/v1/models`, as OpenAI's own client reads them."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from tests.api.conftest import Api
from tests.api.test_chat_stream import claude
from tests.providers.anthropic_server import Reply, fault, message, texts

QUESTION = "¿Cuánto se paga el feriado trabajado?"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[AsyncOpenAI]:
    key = api.acme["Authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0) as opened:
        yield opened


def asked(text: Any = QUESTION, *before: tuple[str, str]) -> Any:
    return [*({"role": role, "content": said} for role, said in before), {"role": "user", "content": text}]


async def test_agents_are_models(client: AsyncOpenAI) -> None:
    assert "asistente" in [one.id async for one in client.models.list()]


async def test_an_answer_with_its_sources(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="asistente", messages=asked(), temperature=0.3)
    [choice] = answer.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert choice.message.content and "recargo" in choice.message.content
    assert "Fuentes:\n[1] Feriados y horas extra" in choice.message.content
    assert answer.model_extra and answer.model_extra["citations"][0]["quote"] in choice.message.content
    assert answer.usage and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_is_the_same_answer(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="asistente", messages=asked())
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            model="asistente", messages=asked(), stream=True, stream_options={"include_usage": True}
        )
    ]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert (chunks[-1].choices, bool(chunks[-1].usage)) == ([], True)


async def test_parts_and_earlier_turns(api: Api) -> None:
    async with claude(api, lambda n: message("Con recargo [1].")) as (http, server):
        body = {
            "model": "asistente",
            "messages": asked(
                [{"type": "text", "text": "¿Y el"}, {"type": "text", "text": "feriado?"}],
                ("system", "Sos un pirata."),
                ("user", "Hola"),
                ("assistant", "Hola, ¿qué necesitás?"),
            ),
        }
        answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    sent = str(server.requests)
    assert "¿qué necesitás?" in sent and "¿Y el" in sent
    assert "pirata" not in sent


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "assistant", "content": "Hola"}],
        asked([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
        asked(""),
        [],
    ],
    ids=["nobody asks", "an image", "nothing", "no message"],
)
async def test_what_cannot_be_answered_is_the_callers_error(client: AsyncOpenAI, messages: Any) -> None:
    with pytest.raises((openai.UnprocessableEntityError, openai.BadRequestError)):
        await client.chat.completions.create(model="asistente", messages=messages)


async def test_a_key_of_nobody(api: Api) -> None:
    async with AsyncOpenAI(base_url=f"{api.url}/v1", api_key="ate_no", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()


async def test_a_failure_in_the_stream_reaches_the_client(api: Api) -> None:
    async with claude(api, lambda n: Reply(stream=texts("Con recargo [1]. Ade"))) as (http, _):
        client = AsyncOpenAI(
            base_url=f"{str(http.base_url).rstrip('/')}/v1",
            api_key=api.acme["Authorization"].removeprefix("Bearer "),
            max_retries=0,
        )
        stream = await client.chat.completions.create(model="asistente", messages=asked(), stream=True)
        said = []
        with pytest.raises(openai.APIError):
            async for chunk in stream:
                said.append(chunk.choices[0].delta.content or "")
        await client.close()
    assert "Con recargo" in "".join(said)


async def test_a_provider_that_fails_at_once_is_no_stream(api: Api) -> None:
    async with claude(api, lambda n: fault(500, "api_error")) as (http, _):
        body = {"model": "asistente", "messages": asked(), "stream": True}
        answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code >= 500 or "error" in answer.text


async def test_another_companys_text_is_not_answered_from(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="asistente", messages=asked("¿Cuál es la fórmula secreta del tinte índigo?")
    )
    assert "añil" not in (answer.choices[0].message.content or "")
