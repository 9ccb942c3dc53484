"""The guide's classes with the guide's constructors: each reads the settings and takes, at most, a `db`.

`db` is an asyncpg connection or pool of the caller's. The embedding service is one a process.
"""

from functools import cache
from typing import Any

from ateneo import wiring
from ateneo.services import agent, embedding, ingestion, vector_search
from ateneo.services.current_model import Models
from ateneo.services.reranking import Reranking
from ateneo.settings import Settings, load


class EmbeddingService(embedding.EmbeddingService):
    """`EmbeddingService()` reads the settings."""

    def __init__(self, settings: Settings | None = None) -> None:
        chosen = settings or load()
        super().__init__(wiring.embedder(chosen), **wiring.embedding_options(chosen))


@cache
def get_embedding_service() -> EmbeddingService:
    """The process's embedding service, made at the first call."""
    return EmbeddingService()


@cache
def _models() -> Models:
    return wiring.models(load(), get_embedding_service())


@cache
def _reranking() -> Reranking | None:
    return wiring.reranking(load())


class VectorSearchService(vector_search.VectorSearchService):
    """`VectorSearchService(db)`."""

    def __init__(self, db: Any) -> None:
        super().__init__(db, _models(), reranking=_reranking(), **wiring.search_options(load()))


class IngestionService(ingestion.IngestionService):
    """`IngestionService(db)`."""

    def __init__(self, db: Any) -> None:
        super().__init__(db, _models(), **wiring.ingestion_options(load()))


class AgentService(agent.AgentService):
    """`AgentService(db)`; `vector_search` is the search that it answers from."""

    def __init__(self, db: Any) -> None:
        settings = load()
        search = VectorSearchService(db)
        chat = wiring.chat_model(settings, get_embedding_service())
        super().__init__(search, chat, **wiring.agent_options(settings))
