"""Agents as rows, conversations as they are stored, summed up, read again, rated and exported."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from tests.providers.anthropic_server import Reply, Server, fault, message, serving, texts

from ateneo.agents.definition import checked
from ateneo.agents.events import TextDelta
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.feedback import QUESTIONS, REJECTED, export
from ateneo.agents.prompt import DEFAULT_PROMPT
from ateneo.agents.service import DEFAULT_AGENT, AgentService
from ateneo.agents.transcript import transcript
from ateneo.db import agents, conversations
from ateneo.db.documents import NewDocument, save
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, Unknown
from ateneo.evaluation.datasets import QuestionSet, read_dataset
from ateneo.providers.anthropic import AnthropicChat
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.search.service import VectorSearchService
from ateneo.types import Agent, Chunk, Turn

FERIADO = "El personal que trabaje un feriado cobra el doble."
LIMPIEZA = "La limpieza de los sanitarios se hace dos veces por turno."
QUESTION = "¿cuánto cobro si trabajo un feriado?"


@pytest.fixture(scope="module")
def embedding() -> EmbeddingService:
    return EmbeddingService(LocalEmbedder(bundled_model_dir()))


@pytest.fixture
async def search(database: Database, embedding: EmbeddingService) -> VectorSearchService:
    """Two companies' documents, searched by their words."""
    await _put(database, "textil", "manual.md", {"area": "rrhh"}, FERIADO)
    await _put(database, "textil", "aseo.md", {"area": "aseo"}, LIMPIEZA)
    await _put(database, "clinica", "manual.md", {}, "Los feriados de la clínica se pagan triples.")
    return VectorSearchService(database, embedding)


async def _put(db: Database, empresa: str, source: str, metadata: dict[str, str], *texts_: str) -> None:
    new = NewDocument(source, source, "text/markdown", f"{empresa}{source}".encode(), 1, metadata=metadata)
    chunks = [Chunk(number, text, 5) for number, text in enumerate(texts_)]
    await save(db, empresa, new, chunks, None, None)


@asynccontextmanager
async def claude(
    search: VectorSearchService, reply: Callable[[int], Reply], **options: object
) -> AsyncIterator[tuple[AgentService, Server]]:
    with serving(reply) as server:
        model = AnthropicChat("k", "claude-sonnet-5-5", server.url, max_retries=0)
        service = AgentService(search, model, **options)  # type: ignore[arg-type]
        yield service, server
        await service.close()


# --- agents -------------------------------------------------------------------------------------------------------


async def test_an_agent_is_kept_changed_and_deleted(database: Database) -> None:
    agent = Agent("rrhh", "Ana", "Sos Ana.", "m", "es", 5, 0.3, {"area": ["rrhh", "aseo"]}, 900, 50, ())
    assert await agents.save(database, "textil", agent)
    assert not await agents.save(database, "textil", agent)
    assert await agents.find(database, "textil", "rrhh") == (agent, True)
    assert await agents.find(database, "textil", "otro") == (None, True)
    assert await agents.find(database, "clinica", "rrhh") == (None, False)
    assert await agents.list_agents(database, "textil") == [agent]
    with pytest.raises(Unknown):
        await agents.delete(database, "clinica", "rrhh")
    await agents.delete(database, "textil", "rrhh")
    assert await agents.list_agents(database, "textil") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agent_id", "con espacio"),
        ("agent_id", ""),
        ("name", "x" * 201),
        ("instructions", "x" * 20_001),
        ("language", "castellano antiguo"),
        ("model", "a\nb"),
        ("model", "caro"),
        ("model", ""),
        ("k", 0),
        ("dense_weight", 1.1),
        ("context_tokens", 0),
        ("answer_tokens", 0),
        ("answer_tokens", 51),
        ("tools", ("borrar",)),
    ],
)
def test_an_agent_that_cannot_be_is_refused_by_field(field: str, value: object) -> None:
    fields: dict[str, object] = {"agent_id": "a"} | {field: value}
    with pytest.raises(BadArgument, match=field):
        checked(Agent(**fields), models=["m"], most_answer_tokens=50)  # type: ignore[arg-type]


async def test_an_agent_answers_as_it_is_defined(search: VectorSearchService, database: Database) -> None:
    agent = Agent("rrhh", "Ana", "Sos Ana.", "claude-opus-5-5", "en", 7, None, {"area": "rrhh"}, 500, 33, ())
    await agents.save(database, "textil", agent)
    async with claude(search, lambda n: message("Double [1]."), models=["claude-opus-5-5"]) as (service, server):
        answer = await service.chat("textil", "rrhh", "feriado limpieza sanitarios")
    [sent] = server.requests
    assert (sent["model"], sent["max_tokens"]) == ("claude-opus-5-5", 33)
    assert sent["system"].startswith("Sos Ana.\n\nReglas:")
    assert "Respondé siempre en inglés." in sent["system"]
    assert "tools" not in sent
    assert [hit.source for hit in answer.passages] == ["manual.md"]


async def test_any_name_is_the_default_agent_until_there_are_agents(
    search: VectorSearchService, database: Database
) -> None:
    async with claude(search, lambda n: message("Doble [1].")) as (service, server):
        await service.chat("textil", "inventado\x00", QUESTION)
        await agents.save(database, "textil", Agent("rrhh"))
        with pytest.raises(Unknown, match="inventado"):
            await service.chat("textil", "inventado", QUESTION)
        await service.chat("textil", DEFAULT_AGENT, QUESTION)
        await service.chat("clinica", "inventado", QUESTION)
    assert [one["system"].startswith(DEFAULT_PROMPT) for one in server.requests] == [True] * 3


# --- conversations ------------------------------------------------------------------------------------------------


async def test_a_conversation_is_kept_and_goes_on(search: VectorSearchService, database: Database) -> None:
    replies = [message("El doble [1], o más [8]."), message("¿Cuánto cobra por un feriado un jornalizado?"),
               message("También el doble [1].")]  # fmt: skip
    async with claude(search, lambda n: replies[n]) as (service, server):
        first = await service.chat("textil", "x", QUESTION, store=True)
        second = await service.chat("textil", "x", "¿y un jornalizado?", conversation_id=first.conversation_id)
    assert first.conversation_id is not None
    assert (first.position, second.position, second.conversation_id) == (0, 1, first.conversation_id)
    assert second.queries == ("¿Cuánto cobra por un feriado un jornalizado?",)
    assert [turn["content"] for turn in server.requests[2]["messages"]] == [
        QUESTION,
        "El doble, o más.",
        "¿y un jornalizado?",
    ]
    [listed] = await conversations.list_conversations(database, "textil")
    assert (listed.title, listed.turns, listed.agent_id) == (QUESTION, 2, DEFAULT_AGENT)
    stored = await transcript(database, "textil", first.conversation_id)
    assert [turn.answer for turn in stored] == ["El doble [1], o más.", "También el doble [1]."]
    assert stored[0].citations == first.citations
    assert (stored[0].citations_dropped, stored[0].input_tokens, stored[1].input_tokens) == (1, 11, 22)
    assert stored[0].passages == tuple(hit.chunk_id for hit in first.passages)


async def test_a_conversation_is_its_company_s(search: VectorSearchService, database: Database) -> None:
    async with claude(search, lambda n: message("El doble [1].")) as (service, _):
        one = (await service.chat("textil", "x", QUESTION, store=True)).conversation_id
        assert one is not None
        with pytest.raises(Unknown):
            await service.chat("clinica", "x", QUESTION, conversation_id=one)
    assert await conversations.list_conversations(database, "clinica") == []
    for refused in (
        transcript(database, "clinica", one),
        conversations.delete(database, "clinica", one),
        conversations.rate(database, "clinica", one, 0, 1, None),
    ):
        with pytest.raises(Unknown):
            await refused
    await conversations.delete(database, "textil", one)
    with pytest.raises(Unknown):
        await transcript(database, "textil", one)


async def test_nothing_is_kept_unless_asked(search: VectorSearchService, database: Database) -> None:
    async with claude(search, lambda n: message("El doble [1].")) as (service, _):
        answer = await service.chat("textil", "x", QUESTION)
        with pytest.raises(BadArgument, match="history"):
            await service.chat("textil", "x", QUESTION, conversation_id="x", history=[Turn("user", "Hola")])
    assert answer.conversation_id is None
    assert await conversations.list_conversations(database, "textil") == []


@pytest.mark.parametrize(
    ("reply", "state", "text", "error"),
    [
        (Reply(stream=texts("El doble [1]. Ade")), "interrupted", "El doble [1]. Ade", "provider-unavailable"),
        (fault(529, "overloaded_error"), "interrupted", "", "provider-busy"),
        (message("El do", stop_reason="max_tokens"), "cut", "El do\n\n(Ninguna", None),
    ],
)
async def test_however_it_ended_it_is_kept(
    search: VectorSearchService, database: Database, reply: Reply, state: str, text: str, error: str | None
) -> None:
    async with claude(search, lambda n: reply) as (service, _):
        assert [event async for event in service.stream("textil", "x", QUESTION, store=True)]
    [listed] = await conversations.list_conversations(database, "textil")
    [turn] = await transcript(database, "textil", listed.conversation_id)
    assert (turn.state, turn.error) == (state, error)
    assert turn.answer.startswith(text)


async def test_what_was_said_to_somebody_who_left_is_kept(search: VectorSearchService, database: Database) -> None:
    async with claude(search, lambda n: Reply(stream=texts("El doble [1]. Y"), hold=True)) as (service, server):
        said = asyncio.Event()

        async def ask() -> None:
            async with aclosing(service.stream("textil", "x", QUESTION, store=True)) as events:
                async for event in events:
                    if isinstance(event, TextDelta) and event.text.endswith("Y"):
                        said.set()

        task = asyncio.create_task(ask())
        await asyncio.wait_for(said.wait(), 10)
        task.cancel()
        await asyncio.wait([task])
        assert await asyncio.to_thread(server.left.wait, 5)
    [listed] = await conversations.list_conversations(database, "textil")
    [turn] = await transcript(database, "textil", listed.conversation_id)
    assert (turn.state, turn.answer, len(turn.citations)) == ("cancelled", "El doble [1]. Y", 1)


async def test_a_long_conversation_is_summed_up_once(search: VectorSearchService, database: Database) -> None:
    def reply(n: int) -> Reply:
        if "Resumí" in server.requests[n]["system"]:
            return message("Preguntó por feriados.")
        return message(QUESTION if "Reescribí" in server.requests[n]["system"] else f"El doble [1]. {'Bla. ' * 40}{n}")

    async with claude(search, reply, history_tokens=300) as (service, server):
        one = (await service.chat("textil", "x", QUESTION, store=True)).conversation_id
        for _ in range(7):
            await service.chat("textil", "x", QUESTION, conversation_id=one)
    assert one is not None
    summaries = [request for request in server.requests if "Resumí" in request["system"]]
    assert 2 <= len(summaries) <= 4
    assert "(antes) Preguntó por feriados." in summaries[1]["messages"][0]["content"]
    last = server.requests[-1]["messages"]
    assert last[0]["content"] == "Resumen de lo anterior: Preguntó por feriados."
    assert len(last) < 6
    kept = await conversations.get(database, "textil", one)
    assert (kept.summary, kept.turns) == ("Preguntó por feriados.", 8)
    assert 0 < kept.summary_to < 8


async def test_without_a_language_model_old_turns_are_left_out(
    search: VectorSearchService, embedding: EmbeddingService, database: Database
) -> None:
    service = AgentService(search, ExtractiveChat(), history_tokens=1)
    one = (await service.chat("textil", "x", QUESTION, store=True)).conversation_id
    answer = await service.chat("textil", "x", "¿y la limpieza?", conversation_id=one)
    assert answer.queries == ("¿y la limpieza?",)
    longer = AgentService(search, ExtractiveChat())
    answer = await longer.chat("textil", "x", "¿y los sábados?", conversation_id=one)
    assert answer.queries == (f"{QUESTION} ¿y la limpieza? ¿y los sábados?",)


async def test_what_changed_since_is_not_shown_as_a_citation(search: VectorSearchService, database: Database) -> None:
    replies = [message("El doble [1]. Dos veces [2].")]
    async with claude(search, lambda n: replies[n]) as (service, _):
        answer = await service.chat("textil", "x", "feriado y limpieza de sanitarios", store=True)
    assert answer.conversation_id is not None
    gone, stays = answer.citations
    async with database.acquire() as connection:
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'Otra cosa.' WHERE id = $1", gone.chunk_id)
        await connection.execute(
            "UPDATE knowledge_chunks SET contenido = 'Aviso. ' || contenido WHERE id = $1", stays.chunk_id
        )
    [turn] = await transcript(database, "textil", answer.conversation_id)
    assert turn.answer == "El doble. Dos veces [1]."
    [citation] = turn.citations
    assert (citation.number, citation.start, turn.citations_dropped) == (1, 7, 1)
    assert turn.passages[0] == stays.chunk_id


async def test_pages_purge_and_order(database: Database) -> None:
    ids = [await conversations.begin(database, "textil", "x", f"pregunta {n} " + "x" * 99) for n in range(5)]
    first = await conversations.list_conversations(database, "textil", limit=3)
    rest = await conversations.list_conversations(database, "textil", limit=3, after=first[-1].conversation_id)
    assert [one.conversation_id for one in (*first, *rest)] == ids[::-1]
    assert all(len(one.title) == 80 for one in first)
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE ateneo.conversation SET updated_at = now() - interval '9 days' WHERE conversation_id = ANY ($1)",
            ids[:2],
        )
    assert await conversations.purge(database, "clinica", older_than_days=7) == 0
    assert await conversations.purge(database, "textil", older_than_days=7) == 2
    assert len(await conversations.list_conversations(database, "textil")) == 3


async def test_liked_answers_become_questions_that_eval_reads(
    search: VectorSearchService, database: Database, tmp_path: Path
) -> None:
    async with claude(search, lambda n: message("El doble [1].")) as (service, _):
        liked = await service.chat("textil", "x", QUESTION, store=True)
        hated = await service.chat("textil", "x", "¿feriado doble?", store=True)
        await service.chat("textil", "x", QUESTION, store=True)
    assert liked.conversation_id is not None
    assert hated.conversation_id is not None
    await conversations.rate(database, "textil", liked.conversation_id, 0, -1, "no")
    await conversations.rate(database, "textil", liked.conversation_id, 0, 1, "gracias")
    await conversations.rate(database, "textil", hated.conversation_id, 0, -1, "falta el convenio")
    with pytest.raises(Unknown):
        await conversations.rate(database, "textil", liked.conversation_id, 7, 1, None)
    done = await export(database, "textil", tmp_path / "salida")
    assert (done.questions, done.rejected, done.documents) == (1, 1, 2)
    dataset = read_dataset(tmp_path / "salida")
    assert isinstance(dataset, QuestionSet)
    [question] = dataset.questions
    assert (question.text, question.empresa_id, question.kind) == (QUESTION, "textil", DEFAULT_AGENT)
    assert question.passage == liked.citations[0].quote
    written = (dataset.folder / "textil" / question.document).read_text(encoding="utf-8")
    assert question.passage in written
    row = json.loads((tmp_path / "salida" / QUESTIONS).read_text(encoding="utf-8"))
    assert (row["source"], row["comment"]) == ("manual.md", "gracias")
    rejected = json.loads((tmp_path / "salida" / REJECTED).read_text(encoding="utf-8"))
    assert (rejected["comment"], rejected["question"]) == ("falta el convenio", "¿feriado doble?")
    assert rejected["passages"] == [hit.chunk_id for hit in hated.passages]
