"""A model's JSON may hold half characters and NUL wherever it has text: what is made of it is stored and sent."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.agents.test_conversations import QUESTION, embedding, search  # noqa: F401
from tests.providers.anthropic_server import message, serving
from tests.providers.chat_server import ChatReply, chat_serving, frame, saying

from ateneo.agents.service import AgentService
from ateneo.agents.transcript import transcript
from ateneo.db.pool import Database
from ateneo.ports import ChatModel
from ateneo.providers.anthropic import AnthropicChat
from ateneo.providers.clean_parts import cleaned
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.search.service import VectorSearchService
from ateneo.types import ChatPart, EndPart, TextPart, Usage

HALF, EMOJI = "feriado\ud83d\x00", "\ud83d\ude00"
BAD = {"prompt_tokens": -5, "completion_tokens": 2**40, "total_tokens": 1}


def openai_reply(n: int) -> ChatReply:
    """A search first, then an answer in pieces between the halves of an emoji."""
    if n == 0:
        call = {"index": 0, "id": f"c{HALF}", "type": "function",
                "function": {"name": "buscar", "arguments": json.dumps({"consulta": HALF}) + HALF[7:8]}}  # fmt: skip
        return ChatReply((frame({"content": HALF}), frame({"tool_calls": [call]}), frame({}, "tool_calls")))
    pieces = [f"El doble {EMOJI[0]}", f"{EMOJI[1]} [1]. {HALF}"]
    usage = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": BAD})
    return ChatReply((*(frame({"content": one}) for one in pieces), frame({}, f"stop{HALF}"), usage))


def claude_reply(n: int) -> Any:
    """The same. Half a character in a call's arguments is an error of its SDK's: the answer that cannot be read."""
    if n == 0:
        call = {"type": "tool_use", "id": f"c{HALF}", "name": "buscar", "input": {"consulta": "feriado\x00"}}
        return message(content=[{"type": "text", "text": HALF}, call], stop_reason="tool_use", model=f"m{HALF}")
    usage = {"input_tokens": -5, "output_tokens": 2**40}
    return message(f"El doble {EMOJI} [1]. {HALF}", model=f"m{HALF}", usage=usage, stop_reason=f"end{HALF}")


@pytest.fixture(params=["openai", "anthropic"])
def chat(request: pytest.FixtureRequest) -> Any:
    if request.param == "openai":
        with chat_serving(openai_reply) as server:
            yield OpenAIChat("tiny", base_url=server.url), server
    else:
        with serving(claude_reply) as other:
            yield AnthropicChat("k", "claude-sonnet-5-5", other.url, max_retries=0), other


async def test_what_a_model_says_is_stored_and_sent_back(
    search: VectorSearchService,  # noqa: F811
    database: Database,
    chat: tuple[ChatModel, Any],
) -> None:
    model, server = chat
    service = AgentService(search, model)
    answer = await service.chat("textil", "x", QUESTION, store=True)
    await service.close()
    assert answer.error is None and answer.conversation_id is not None
    assert "El doble \U0001f600 [1]" in answer.text
    answer.text.encode()
    assert "\x00" not in answer.text and "\x00" not in "".join(answer.queries)
    assert answer.input_tokens < 100 and answer.output_tokens in (10**8, 10**8 + 7)
    [turn] = await transcript(database, "textil", answer.conversation_id)
    assert (turn.answer, turn.model, turn.queries) == (answer.text, answer.model, answer.queries)
    assert len(server.requests) == 2  # the call went back with its result


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "5", None, 5.0])
async def test_figures_that_are_none(odd: Any) -> None:
    async def parts() -> AsyncIterator[ChatPart]:
        yield TextPart("a")
        yield EndPart(None, Usage(odd, odd), 7)  # type: ignore[arg-type]

    found = [one async for one in cleaned(parts())]  # type: ignore[arg-type]
    expected = 5 if odd == 5.0 else 0
    assert found == [TextPart("a"), EndPart(None, Usage(expected, expected), "")]


async def test_a_rewritten_question_is_stored(
    search: VectorSearchService,  # noqa: F811
    database: Database,
) -> None:
    with chat_serving(lambda n: saying(f"¿Cuánto por {HALF}?")) as server:
        service = AgentService(search, OpenAIChat("tiny", base_url=server.url), history_tokens=1, may_search=False)
        one = (await service.chat("textil", "x", QUESTION, store=True)).conversation_id
        again = await service.chat("textil", "x", QUESTION, conversation_id=one)
        await service.close()
    assert one is not None and again.error is None
    turns = await transcript(database, "textil", one)
    assert [turn.state for turn in turns] == ["complete", "complete"]
    assert turns[1].queries[0].startswith("¿Cuánto por feriado")
