"""What an agent remembers: its own conversations alone, what its filter leaves, and no more of a history than fits."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.examples import examples
from tests.providers.anthropic_server import Server, message, serving

from ateneo.agents.memory import bounded
from ateneo.agents.service import AgentService
from ateneo.db import agents, conversations
from ateneo.db.documents import NewDocument, save
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import OtherAgent, Unknown
from ateneo.providers.anthropic import AnthropicChat
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.service import VectorSearchService
from ateneo.types import Agent, Chunk, Turn

SALARY = "El sueldo de la gerencia es de cuarenta mil florines."
OPENING = "La planta abre los lunes a las siete."


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))


@pytest.fixture
async def asked(database: Database, embedding: EmbeddingService) -> AsyncIterator[tuple[AgentService, Server]]:
    """A company with a document for the board, one for everybody, and an agent for each."""
    for source, area, text in (("sueldos.md", "gerencia", SALARY), ("horarios.md", "planta", OPENING)):
        new = NewDocument(source, source, "text/markdown", source.encode(), 1, metadata={"area": area})
        await save(database, "acme", new, [Chunk(0, text, 12)], None, None)
    for agent_id, where in (("gerencia", None), ("planta", {"area": "planta"})):
        await agents.save(database, "acme", Agent(agent_id, filter=where, tools=()))
    with serving() as server:
        rewrites = "Reescribí la última pregunta"
        server.reply = lambda n: message(
            "¿cuándo abre la planta?" if rewrites in str(server.requests[n]["system"]) else "Dicho [1]."
        )
        service = AgentService(
            VectorSearchService(database, embedding), AnthropicChat("k", "m", server.url, max_retries=0)
        )
        yield service, server
        await service.close()


def sent(server: Server) -> str:
    return str(server.requests[-1]["messages"])


async def test_a_conversation_goes_on_with_its_own_agent_alone(asked: tuple[AgentService, Server]) -> None:
    service, server = asked
    begun = await service.chat("acme", "gerencia", "¿cuánto es el sueldo de la gerencia?", store=True)
    requests = len(server.requests)
    for agent_id in ("planta", "asistente"):
        with pytest.raises(OtherAgent, match="gerencia"):
            await service.chat("acme", agent_id, "¿y eso?", conversation_id=begun.conversation_id)
    assert len(server.requests) == requests
    assert begun.conversation_id is not None
    assert (await conversations.get(service.vector_search.db, "acme", begun.conversation_id)).turns == 1
    again = await service.chat("acme", "gerencia", "¿y el sueldo?", conversation_id=begun.conversation_id)
    assert again.position == 1
    assert "¿cuánto es el sueldo de la gerencia?" in sent(server)
    await agents.delete(service.vector_search.db, "acme", "gerencia")
    with pytest.raises(Unknown):
        await service.chat("acme", "gerencia", "¿y el sueldo?", conversation_id=begun.conversation_id)


async def test_the_default_agent_goes_on_by_any_name_where_there_is_no_other(
    asked: tuple[AgentService, Server],
) -> None:
    service, _ = asked
    db = service.vector_search.db
    for agent_id in ("gerencia", "planta"):
        await agents.delete(db, "acme", agent_id)
    begun = await service.chat("acme", "lo-que-sea", "¿cuándo abre la planta?", store=True)
    assert (await service.chat("acme", "otro", "¿y eso?", conversation_id=begun.conversation_id)).position == 1


async def test_what_a_narrower_filter_leaves_out_is_not_remembered(asked: tuple[AgentService, Server]) -> None:
    """The filter was changed since: of the turns those within it are told, and a summary of the others is not."""
    service, server = asked
    db = service.vector_search.db
    begun = await service.chat("acme", "gerencia", "¿cuánto es el sueldo de la gerencia?", store=True)
    talk = begun.conversation_id
    assert talk is not None
    only_planta: dict[str, Any] = {"area": "planta"}
    await agents.save(db, "acme", Agent("gerencia", filter=only_planta, tools=()))
    await service.chat("acme", "gerencia", "¿cuándo abre la planta?", conversation_id=talk)
    assert "sueldo" not in sent(server)
    await service.chat("acme", "gerencia", "¿y los lunes?", conversation_id=talk)
    assert "¿cuándo abre la planta?" in sent(server)
    assert "sueldo" not in sent(server)
    await conversations.keep_summary(db, "acme", talk, "El sueldo es de cuarenta mil.", 1)
    await service.chat("acme", "gerencia", "¿y los martes?", conversation_id=talk)
    assert "sueldo" not in sent(server)
    await agents.save(db, "acme", Agent("gerencia", tools=()))
    await service.chat("acme", "gerencia", "¿y los miércoles?", conversation_id=talk)
    assert "El sueldo es de cuarenta mil." in sent(server)


async def test_what_is_gone_is_not_remembered_under_a_filter(asked: tuple[AgentService, Server]) -> None:
    """Nobody can tell any more whether it was within it."""
    service, server = asked
    db = service.vector_search.db
    begun = await service.chat("acme", "planta", "¿cuándo abre la planta?", store=True)
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM knowledge_chunks WHERE contenido LIKE '%lunes%'")
    new = NewDocument("h2.md", "h2.md", "text/markdown", b"h2", 1, metadata={"area": "planta"})
    await save(db, "acme", new, [Chunk(0, "La planta cierra a las seis.", 7)], None, None)
    await service.chat("acme", "planta", "¿a qué hora cierra la planta?", conversation_id=begun.conversation_id)
    assert "¿cuándo abre la planta?" not in sent(server)


async def test_a_callers_history_has_a_budget(asked: tuple[AgentService, Server], embedding: EmbeddingService) -> None:
    service, server = asked
    history = [
        Turn("user" if n % 2 == 0 else "assistant", f"Turno {n}: " + "la planta abre temprano. " * 300)
        for n in range(100)
    ]
    await service.chat("acme", "planta", "¿cuándo abre la planta?", history=history)
    told = [one["content"] for one in server.requests[-1]["messages"]][:-1]
    assert sum(embedding.count_tokens(told)) <= 2000
    assert told[-1].startswith("Turno 99")
    assert told[0].startswith("Turno 9")
    assert server.requests[-1]["messages"][0]["role"] == "user"


def test_a_history_that_fits_stays_as_it_is(embedding: EmbeddingService) -> None:
    history = (Turn("user", "¿Cuándo abre?"), Turn("assistant", "A las siete. " * 200))
    assert bounded(history, embedding, budget=2000) == history
    assert bounded((), embedding, budget=2000) == ()


@hypothesis_settings(max_examples=examples(40))
@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.text(min_size=1, max_size=40), st.integers(1, 400)),
        max_size=8,
    ),
    st.integers(4, 300),
)
def test_no_history_is_over_its_budget(
    embedding: EmbeddingService, said: list[tuple[Any, str, int]], budget: int
) -> None:
    history = [Turn(role, text * times) for role, text, times in said]
    kept = bounded(history, embedding, budget=budget)
    assert sum(embedding.count_tokens([turn.content for turn in kept])) <= budget
    starts = [turn.content.removesuffix("…") for turn in kept]
    last = history[len(history) - len(kept) :]
    assert all(whole.content.startswith(start) for whole, start in zip(last, starts, strict=True))
