"""What an agent may cost: the operator's models alone, answers and histories within their tokens."""

import pytest
from tests.agents.test_conversations import QUESTION, claude, embedding, search  # noqa: F401
from tests.providers.anthropic_server import Reply, message

from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.service import AgentService
from ateneo.db import agents, conversations
from ateneo.db.pool import Database
from ateneo.errors import ModelNotAllowed
from ateneo.search.service import VectorSearchService
from ateneo.types import Agent, Answer

OWN, OTHER = "claude-sonnet-5-5", "claude-opus-5-5"


async def test_an_agent_that_names_another_model_asks_no_model(
    search: VectorSearchService,  # noqa: F811
    database: Database,
) -> None:
    """It was stored before; the company's other agents go on."""
    await agents.save(database, "textil", Agent("caro", model=OTHER))
    await agents.save(database, "textil", Agent("propio", model=OWN))
    async with claude(search, lambda n: message("El doble [1].")) as (service, server):
        with pytest.raises(ModelNotAllowed) as refused:
            await service.chat("textil", "caro", QUESTION, store=True)
        assert OTHER in refused.value.message and OWN in refused.value.message
        assert "ATENEO_CHAT_MODELS" in refused.value.remedy and "agents set caro" in refused.value.remedy
        assert server.requests == []
        await service.chat("textil", "propio", QUESTION)
    assert [one["model"] for one in server.requests] == [OWN]
    assert await conversations.list_conversations(database, "textil") == []
    extractive = AgentService(search, ExtractiveChat())
    assert (await extractive.chat("textil", "caro", QUESTION)).state != "interrupted"


@pytest.mark.parametrize(("agents_own", "asked"), [(9999, None), (None, 9999), (5000, 9999)])
async def test_no_answer_is_longer_than_the_settings_allow(
    search: VectorSearchService,  # noqa: F811
    database: Database,
    agents_own: int | None,
    asked: int | None,
) -> None:
    await agents.save(database, "textil", Agent("rrhh", answer_tokens=agents_own))
    async with claude(search, lambda n: message("El doble [1]."), answer_tokens=50) as (service, server):
        await service.chat("textil", "rrhh", QUESTION, max_tokens=asked)
    assert [one["max_tokens"] for one in server.requests] == [50]


async def test_what_a_long_conversation_asks_does_not_grow(search: VectorSearchService, database: Database) -> None:  # noqa: F811
    """A model that gives no summary would be asked for one of ever more."""

    def reply(n: int) -> Reply:
        return message(QUESTION) if "Reescribí" in server.requests[n]["system"] else message(" ")

    said = Answer("El doble. " * 40, (), "p", "m", extractive=False)
    async with claude(search, reply, history_tokens=300) as (service, server):
        one = await conversations.begin(database, "textil", "asistente", QUESTION)
        longest = []
        for _ in range(3):
            for _ in range(20):
                await conversations.add(database, "textil", one, QUESTION, said)
            before = len(server.requests)
            await service.chat("textil", "asistente", QUESTION, conversation_id=one)
            longest.append(max(len(str(request["messages"])) for request in server.requests[before:]))
    assert longest[0] > 1000
    assert longest[0] == longest[1] == longest[2]
