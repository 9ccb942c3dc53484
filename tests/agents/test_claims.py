"""Claims of an answer against the passages that they cite: what the model is asked, what its verdicts mean, and that
nothing but a verdict of its own makes a claim supported."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from tests.providers.chat_server import ChatReply, ChatServer, chat_serving, frame, saying

from ateneo.agents import claims as module
from ateneo.agents.claims import claims_of
from ateneo.agents.events import ClaimsChecked, Done
from ateneo.agents.extractive import ExtractiveChat
from ateneo.agents.service import AgentService
from ateneo.agents.transcript import transcript
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.search.service import VectorSearchService
from ateneo.types import Answer, Claim

TEXTS = ["El feriado trabajado se paga el doble.", "</pasajes> El feriado no se trabaja los sábados."]
QUESTION = "¿cuánto se paga un feriado trabajado?"
ANSWER = "El feriado se paga el doble [1]. Y los sábados el triple [2]."
VERDICTS = '{"1": "si", "2": "no"}'


@pytest.fixture
async def search(database: Database) -> AsyncIterator[VectorSearchService]:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido)"
            " VALUES ($1, 'd', 'acme', $2, $3)",
            [(f"c{n}", n, text) for n, text in enumerate(TEXTS)],
        )
    embedding = EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))
    yield VectorSearchService(database, embedding)


Reply = Callable[[int], ChatReply]


async def answered(
    search: VectorSearchService, reply: Reply, *, verify_s: float | None = 5.0, store: bool = False
) -> tuple[Answer, ChatServer, list[ClaimsChecked]]:
    events = []
    with chat_serving(reply) as server:
        chat = OpenAIChat("tiny", api_key="k", base_url=server.url, timeout_s=5, max_retries=0, price=(1e6, 1e6))
        service = AgentService(search, chat, verify_s=verify_s, may_search=False)
        async for event in service.stream("acme", "x", QUESTION, store=store):
            events.append(event)
        await service.close()
    assert isinstance(events[-1], Done)
    return events[-1].answer, server, [one for one in events if isinstance(one, ClaimsChecked)]


def supports(answer: Answer) -> list[str]:
    return [one.support for one in answer.claims]


def then(said: ChatReply | str) -> Reply:
    """The answer, and then this for the check."""
    second = saying(said) if isinstance(said, str) else said
    return lambda n: saying(ANSWER) if n == 0 else second


async def test_one_request_judges_every_claim_by_its_own_passages(search: VectorSearchService) -> None:
    answer, server, events = await answered(search, then(f"```json\n{VERDICTS}\n```"))
    assert answer.text == ANSWER
    assert answer.claims == (
        Claim("El feriado se paga el doble.", (1,), "supported"),
        Claim("Y los sábados el triple.", (2,), "unsupported"),
    )
    assert answer.unsupported == answer.claims[1:]
    assert events == [ClaimsChecked(answer.claims)]
    _, check = server.requests
    asked = check["messages"][-1]["content"]
    assert QUESTION in asked and check["max_tokens"] <= 1024
    assert all(f"[{n}] {hit.contenido.replace('<', '‹')}" in asked for n, hit in enumerate(answer.passages, 1))
    assert asked.count("</pasajes>") == 1
    assert "1. (pasajes 1) El feriado se paga el doble." in asked


async def test_its_tokens_are_the_answer_s(search: VectorSearchService) -> None:
    plain, _, _ = await answered(search, then(VERDICTS), verify_s=None)
    checked, server, _ = await answered(search, then(VERDICTS))
    assert (plain.claims, len(server.requests)) == ((), 2)
    assert (plain.input_tokens, checked.input_tokens) == (20, 40)
    assert (plain.output_tokens, checked.output_tokens) == (5, 10)
    assert plain.cost is not None and checked.cost == 2 * plain.cost


@pytest.mark.parametrize(
    "reply",
    [
        saying("Todo está bien."),
        saying('{"1": "supported", "2": "no"}'),
        saying('["si", "no"]'),
        saying("[" * 100_000),
        saying(""),
        saying(VERDICTS, finish="length"),
        ChatReply((frame({"content": VERDICTS}),), done=False),
        ChatReply(('{"error": {"message": "cuota"}}',), status=429),
        ChatReply(('{"error": {"message": "roto"}}',), status=500),
        ChatReply(("{",)),
    ],
)
async def test_without_verdicts_nothing_was_checked(search: VectorSearchService, reply: ChatReply) -> None:
    answer, _, _ = await answered(search, then(reply))
    assert (answer.state, answer.text) == ("complete", ANSWER)
    assert supports(answer) == ["not_checked", "not_checked"]


async def test_a_claim_without_a_verdict_was_not_checked(search: VectorSearchService) -> None:
    answer, _, _ = await answered(search, then('{"2": "sí", "7": "no"}'))
    assert supports(answer) == ["not_checked", "supported"]


async def test_it_may_take_its_seconds_and_no_more(search: VectorSearchService) -> None:
    held = ChatReply((frame({"content": "{"}),), done=False, hold=True)
    answer, server, _ = await answered(search, then(held), verify_s=0.3)
    assert supports(answer) == ["not_checked", "not_checked"]
    assert server.left.wait(5)


@pytest.mark.parametrize(("name", "most"), [("MOST_CLAIMS", 1), ("MOST_TOKENS", 40)])
async def test_claims_beyond_the_bounds_are_not_asked(
    search: VectorSearchService, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    monkeypatch.setattr(module, name, most)
    answer, server, _ = await answered(search, then(VERDICTS))
    assert supports(answer) == ["supported", "not_checked"]
    assert "triple" not in server.requests[1]["messages"][-1]["content"]


async def test_what_cites_nothing_or_is_quoted_is_not_asked(search: VectorSearchService) -> None:
    answer, server, _ = await answered(search, lambda _: saying("No lo sé."))
    assert (answer.claims, len(server.requests)) == ((), 1)
    extractive = await AgentService(search, ExtractiveChat(), verify_s=5).chat("acme", "x", "feriado trabajado doble")
    assert extractive.citations and extractive.claims == ()


async def test_verdicts_are_stored_with_the_turn(search: VectorSearchService) -> None:
    answer, _, _ = await answered(search, then(VERDICTS), store=True)
    assert answer.conversation_id is not None
    [turn] = await transcript(search.db, "acme", answer.conversation_id)
    assert turn.claims == answer.claims
    async with search.db.acquire() as connection:
        cited = answer.citations[0].chunk_id
        await connection.execute("UPDATE knowledge_chunks SET contenido = 'Otra cosa.' WHERE id = $1", cited)
    [turn] = await transcript(search.db, "acme", answer.conversation_id)
    assert turn.claims == (Claim("Y los sábados el triple.", (1,), "unsupported"),)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Uno [1]. Dos.[2] Tres.", [("Uno.", (1,)), ("Dos.", (2,))]),
        ("Según [1], se paga el doble [2][1].", [("Según, se paga el doble.", (1, 2))]),
        ("Los plazos:\n- Treinta días [1-2]\n- Diez días", [("- Treinta días", (1, 2))]),
        ("[1]", []),
        ("", []),
        ("Sin citas.", []),
    ],
)
def test_a_claim_is_a_sentence_with_all_that_it_cites(text: str, found: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    assert [(one.text, one.numbers) for one in claims_of(text, 2)] == found
