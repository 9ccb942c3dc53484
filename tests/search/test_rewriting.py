"""A question searched beside another wording of it, by a chat model, and alone where that fails."""

from collections.abc import AsyncIterator, Callable

import pytest
from tests.providers.chat_server import ChatReply, chat_serving, frame, saying

from ateneo.db import usage
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.search.rewriting import Rewriting
from ateneo.search.service import VectorSearchService

TEXTS = ["El recargo por feriado es del cien por ciento.", "El laburo en equipo se premia.", "Vacaciones: 14 días."]
Opened = Callable[[str], VectorSearchService]


@pytest.fixture
async def opened(database: Database) -> AsyncIterator[Opened]:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido)"
            " VALUES ($1, 'd', 'acme', $2, $3)",
            [(f"c{n}", n, text) for n, text in enumerate(TEXTS)],
        )
    embedding = EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1))

    def over(url: str) -> VectorSearchService:
        chat = OpenAIChat("tiny", api_key="k", base_url=url, timeout_s=5, max_retries=0)
        return VectorSearchService(database, embedding, rewriting=Rewriting(chat, 1.0))

    yield over


async def test_both_wordings_are_searched_and_paid_once(opened: Opened) -> None:
    with chat_serving(lambda _: saying('"recargo" por feriado')) as server:
        service = opened(server.url)
        alone = await service.search("acme", "laburo", rewrite=False)
        assert ([hit.chunk_id for hit in alone.hits], server.requests) == (["c1"], [])
        found = await service.search("acme", "laburo", explain=True)
        again = await service.search("acme", "laburo", 1, skip=1)
        exact = await service.search("acme", '"laburo en equipo"')
        await service.close()
    assert {hit.chunk_id for hit in found.hits} == {"c0", "c1"}
    assert again.hits == found.hits[1:]
    assert [hit.chunk_id for hit in exact.hits] == ["c1"]
    assert found.plan and found.plan["rewriting"]["query"] == "recargo por feriado"
    assert len(server.requests) == len(found.spent) == 1
    [bill] = await usage.month(service.db)
    assert (bill.empresa_id, bill.tokens) == ("acme", 35)


@pytest.mark.parametrize(
    "reply",
    [
        ChatReply(('{"error": {"message": "cuota"}}',), status=429),
        ChatReply((frame({"content": "r"}),), done=False, hold=True),
        saying("recargo", finish="length"),
        saying("recargo " * 100),
    ],
)
async def test_where_it_fails_the_question_is_searched_as_asked(opened: Opened, reply: ChatReply) -> None:
    with chat_serving(lambda _: reply) as server:
        service = opened(server.url)
        found = await service.search("acme", "laburo", explain=True)
        await service.close()
    assert [hit.chunk_id for hit in found.hits] == ["c1"]
    assert found.plan and found.plan["rewriting"]["failed"] in found.warnings


async def test_it_is_refused_where_nothing_rewrites(database: Database) -> None:
    service = VectorSearchService(database, EmbeddingService(LocalEmbedder(bundled_model_dir(), threads=1)))
    with pytest.raises(BadArgument, match="rewrite"):
        await service.search("acme", "laburo", rewrite=True)
