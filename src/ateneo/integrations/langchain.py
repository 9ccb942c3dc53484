"""LangChain: a retriever and a vector store over one company's knowledge. Extra: `ateneo[langchain]`."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field

from ateneo.container import Container
from ateneo.errors import BadArgument
from ateneo.extras import extra
from ateneo.i18n import tr
from ateneo.ingestion.texts import TextService
from ateneo.ingestion.upload import checked_empresa
from ateneo.integrations.connection import Connection, Work, shared
from ateneo.integrations.finding import find, metadata
from ateneo.search.options import SearchOptions
from ateneo.types import Hit, Mode, StoredPassage, Tenant

with extra("langchain"):
    from langchain_core.callbacks.manager import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore

Found = list[tuple[StoredPassage, Hit]]


class AteneoRetriever(BaseRetriever):
    """The passages of `empresa_id` that fit a question, by meaning and words, as documents with their source.

    `filter`, `mode`, `dense_weight`, `min_score` and `rerank` as in SearchOptions; `invoke` takes all of those for one
    call. Without a `connection` the process's own is used, by the environment's settings. Raises BadArgument for an
    empresa_id that names nobody.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    empresa_id: Annotated[str, BeforeValidator(checked_empresa)]
    k: int = 4
    mode: Mode = "hybrid"
    dense_weight: float | None = None
    filter: dict[str, Any] | None = None
    min_score: float | None = None
    rerank: bool | None = None
    connection: Connection = Field(default_factory=shared, exclude=True, repr=False)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return [
            _document(*one) for one in self.connection.call(lambda container: self._find(container, query, options))
        ]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        found = await self.connection.acall(lambda container: self._find(container, query, options))
        return [_document(*one) for one in found]

    async def _find(self, container: Container, query: str, options: dict[str, Any]) -> Found:
        own = self.model_dump(include={"k", "mode", "dense_weight", "filter", "min_score", "rerank"})
        return await find(container, self.empresa_id, query, SearchOptions(**{**own, **options}))


class AteneoVectorStore(VectorStore):
    """Texts in Ateneo's record (`knowledge_chunks`) with their embeddings, searched with all else of `empresa_id`.

    Searches take `filter`, `mode`, `dense_weight` and the other SearchOptions. The embedding model
    is the settings' one: a database has one at a time.
    """

    def __init__(self, empresa_id: Tenant, *, connection: Connection | None = None) -> None:
        self.empresa_id = checked_empresa(empresa_id)
        self._connection = connection or shared()

    @property
    def embeddings(self) -> Embeddings:
        return AteneoEmbeddings(self._connection)

    # --- writing --------------------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embeds and stores the texts; one under an id that is there replaces it. Raises as TextService.add."""
        given = list(texts)
        return self._connection.call(lambda container: _texts(container).add(self.empresa_id, given, metadatas, ids))

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        given = list(texts)
        return await self._connection.acall(
            lambda container: _texts(container).add(self.empresa_id, given, metadatas, ids)
        )

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Deletes those of the ids that the company has. Raises BadArgument without ids: all is more than its texts."""
        wanted = _some(ids)
        self._connection.call(lambda container: _texts(container).delete(self.empresa_id, wanted))
        return True

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        wanted = _some(ids)
        await self._connection.acall(lambda container: _texts(container).delete(self.empresa_id, wanted))
        return True

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        empresa_id: Tenant = "",
        connection: Connection | None = None,
        **kwargs: Any,
    ) -> Self:
        """A store with the texts added. `embedding` is AteneoEmbeddings or None; raises BadArgument for another one."""
        store = cls._made(embedding, empresa_id, connection)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        empresa_id: Tenant = "",
        connection: Connection | None = None,
        **kwargs: Any,
    ) -> Self:
        store = cls._made(embedding, empresa_id, connection)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def _made(cls, embedding: Embeddings | None, empresa_id: Tenant, connection: Connection | None) -> Self:
        if embedding is not None and not isinstance(embedding, AteneoEmbeddings):
            rule = tr(
                "el modelo lo elige la configuración de Ateneo; pasá AteneoEmbeddings() o None",
                "Ateneo's settings choose the model; pass AteneoEmbeddings() or None",
            )
            raise BadArgument(name="embedding", value=type(embedding).__name__, rule=rule)
        return cls(empresa_id, connection=connection)

    # --- reading --------------------------------------------------------------------------------------------------

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        found = self._connection.call(lambda container: _texts(container).get(self.empresa_id, ids))
        return [_document(one) for one in found]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        found = await self._connection.acall(lambda container: _texts(container).get(self.empresa_id, ids))
        return [_document(one) for one in found]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in await self.asimilarity_search_with_score(query, k, **kwargs)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Documents and fused scores: about 0 to 1, the higher the better, comparable within this query alone."""
        found = self._connection.call(self._searching(query, k, kwargs))
        return [(_document(passage), hit.score) for passage, hit in found]

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        found = await self._connection.acall(self._searching(query, k, kwargs))
        return [(_document(passage), hit.score) for passage, hit in found]

    # A threshold must mean the same for every question: the cosine does, the fused score does not.

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        found = self._connection.call(self._searching(query, k, kwargs))
        return [(_document(passage), _relevance(hit)) for passage, hit in found]

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        found = await self._connection.acall(self._searching(query, k, kwargs))
        return [(_document(passage), _relevance(hit)) for passage, hit in found]

    def _searching(self, query: str, k: int, options: dict[str, Any]) -> Work[Found]:
        return lambda container: find(container, self.empresa_id, query, SearchOptions(k, **options))


class AteneoEmbeddings(Embeddings):
    """The model of Ateneo's settings, for chains that want its vectors."""

    def __init__(self, connection: Connection | None = None) -> None:
        self._connection = connection or shared()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._connection.call(lambda container: _vectors(container, texts))

    def embed_query(self, text: str) -> list[float]:
        return self._connection.call(lambda container: _vector(container, text))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return await self._connection.acall(lambda container: _vectors(container, texts))

    async def aembed_query(self, text: str) -> list[float]:
        return await self._connection.acall(lambda container: _vector(container, text))


async def _vectors(container: Container, texts: list[str]) -> list[list[float]]:
    return [one.embedding for one in await container.embedding.generate_batch_embeddings(texts)]


async def _vector(container: Container, text: str) -> list[float]:
    return [float(number) for number in await container.embedding.embed_query(text)]


def _texts(container: Container) -> TextService:
    return TextService(container.db, container.models)


def _document(passage: StoredPassage, hit: Hit | None = None) -> Document:
    score = {} if hit is None else {"score": hit.score, "dense_score": hit.dense_score}
    if hit is not None and hit.relevance is not None:
        score["relevance"] = hit.relevance
    return Document(id=passage.chunk_id, page_content=passage.contenido, metadata=metadata(passage) | score)


def _relevance(hit: Hit) -> float:
    return min(1.0, max(0.0, hit.dense_score or 0.0))


def _some(ids: list[str] | None) -> list[str]:
    if ids is None:
        rule = tr("hace falta decir cuáles", "say which ones")
        raise BadArgument(name="ids", value=None, rule=rule)
    return ids
