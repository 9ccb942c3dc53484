"""LlamaIndex: a retriever over one company's knowledge. Extra: `ateneo[llama-index]`."""

from collections.abc import Mapping
from typing import Any

from ateneo.container import Container
from ateneo.extras import extra
from ateneo.ingestion.upload import checked_empresa
from ateneo.integrations.connection import Connection, shared
from ateneo.integrations.finding import find, metadata
from ateneo.search.options import SearchOptions
from ateneo.types import Hit, Mode, StoredPassage, Tenant

with extra("llama-index"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode


class AteneoRetriever(BaseRetriever):
    """The passages of `empresa_id` that fit a question, by meaning and words, as nodes with their source and score.

    `filter`, `mode`, `dense_weight`, `min_score` and `rerank` as in SearchOptions. Without a `connection` the
    process's own is used, by the environment's settings. Raises BadArgument for an empresa_id that names nobody and for
    options out of range.
    """

    def __init__(
        self,
        empresa_id: Tenant,
        *,
        similarity_top_k: int = 4,
        mode: Mode = "hybrid",
        dense_weight: float | None = None,
        filter: Mapping[str, Any] | None = None,
        min_score: float | None = None,
        rerank: bool | None = None,
        connection: Connection | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.empresa_id = checked_empresa(empresa_id)
        self._options = SearchOptions(
            k=similarity_top_k,
            mode=mode,
            dense_weight=dense_weight,
            filter=filter,
            min_score=min_score,
            rerank=rerank,
        )
        self._connection = connection or shared()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._connection.call(lambda container: self._nodes(container, query_bundle.query_str))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await self._connection.acall(lambda container: self._nodes(container, query_bundle.query_str))

    async def _nodes(self, container: Container, query: str) -> list[NodeWithScore]:
        return [_node(*one) for one in await find(container, self.empresa_id, query, self._options)]


def _node(passage: StoredPassage, hit: Hit) -> NodeWithScore:
    source = passage.document_id
    relationships = {} if source is None else {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)}
    known = metadata(passage) if hit.relevance is None else metadata(passage) | {"relevance": hit.relevance}
    node = TextNode(id_=passage.chunk_id, text=passage.contenido, metadata=known, relationships=relationships)
    return NodeWithScore(node=node, score=hit.score)
