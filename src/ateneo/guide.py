"""The guide's classes with the guide's constructors: each reads the settings and takes, at most, a `db`.

`db` is what the caller has: a connection, pool, engine or session (docs/how-to/drivers.md). The embedding service is
one a process.
"""

from functools import cache
from typing import Any

from ateneo.agents import service
from ateneo.embedding import service as embedding
from ateneo.embedding.current_model import Models
from ateneo.factories.chat_models import agent_options, make_chat_model
from ateneo.factories.embedders import embedding_options, make_embedder, make_models
from ateneo.factories.ingestion import ingestion_options
from ateneo.factories.rerankers import make_reranking, search_options
from ateneo.ingestion import service as ingestion
from ateneo.search import service as vector_search
from ateneo.search.reranking import Reranking
from ateneo.settings import Settings, load


class EmbeddingService(embedding.EmbeddingService):
    """`EmbeddingService()` reads the settings."""

    def __init__(self, settings: Settings | None = None) -> None:
        chosen = settings or load()
        super().__init__(make_embedder(chosen), **embedding_options(chosen))


@cache
def get_embedding_service() -> EmbeddingService:
    """The process's embedding service, made at the first call."""
    return EmbeddingService()


@cache
def _models() -> Models:
    return make_models(load(), get_embedding_service())


@cache
def _reranking() -> Reranking | None:
    return make_reranking(load())


class VectorSearchService(vector_search.VectorSearchService):
    """`VectorSearchService(db)`."""

    def __init__(self, db: Any) -> None:
        super().__init__(db, _models(), reranking=_reranking(), **search_options(load()))


class IngestionService(ingestion.IngestionService):
    """`IngestionService(db)`."""

    def __init__(self, db: Any) -> None:
        super().__init__(db, _models(), **ingestion_options(load()))


class AgentService(service.AgentService):
    """`AgentService(db)`; `vector_search` is the search that it answers from."""

    def __init__(self, db: Any) -> None:
        settings = load()
        search = VectorSearchService(db)
        chat = make_chat_model(settings, get_embedding_service())
        super().__init__(search, chat, **agent_options(settings))
