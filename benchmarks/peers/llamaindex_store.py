"""llama-index-vector-stores-postgres' PGVectorStore as its documentation has it: HNSW (m 16, ef_construction 64,
ef_search 40), hybrid search with Spanish words, the company in the metadata, indexed. Its own hybrid answer is the
nearest k followed by the k best of the words, each once."""

import json
import sys
from typing import Any

from llama_index.core.schema import TextNode  # type: ignore[import-not-found,unused-ignore]
from llama_index.core.vector_stores.types import (  # type: ignore[import-not-found,unused-ignore]
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.core.vector_stores.utils import (  # type: ignore[import-not-found,unused-ignore]
    node_to_metadata_dict,
)
from llama_index.vector_stores.postgres import PGVectorStore  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy import create_engine  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy import text as sql  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy.ext.asyncio import create_async_engine  # type: ignore[import-not-found,unused-ignore]

from benchmarks.peers import protocol

_NAME, _DIMS = "llamaindex_chunks", 384
_HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40}
_FILL = f"""
INSERT INTO data_{_NAME} (node_id, text, metadata_, embedding)
SELECT id, contenido, replace(replace(:metadata, '@id@', id), '@empresa@', empresa_id)::json, embedding
FROM knowledge_chunks
"""


class LlamaIndex:
    def __init__(self, url: str) -> None:
        self._engine = create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
        address = url.replace("postgresql://", "postgresql+asyncpg://")
        self._engines = {
            "hnsw": create_async_engine(address),
            "exact": create_async_engine(address, connect_args={"server_settings": {"enable_indexscan": "off"}}),
        }
        self._stores: dict[str, Any] = {}

    def _store(self, way: str, *, hnsw: bool, setup: bool) -> Any:
        return PGVectorStore(
            connection_string="", async_connection_string="", table_name=_NAME, embed_dim=_DIMS,
            hybrid_search=True, text_search_config="spanish", hnsw_kwargs=dict(_HNSW) if hnsw else None,
            indexed_metadata_keys={("empresa_id", "text")}, perform_setup=setup, initialization_fail_on_error=True,
            engine=self._engine, async_engine=self._engines[way],
        )  # fmt: skip

    async def fill(self) -> None:
        self._store("hnsw", hnsw=False, setup=True).add([])
        node = TextNode(id_="@id@", text="", metadata={"empresa_id": "@empresa@"})
        metadata = json.dumps(node_to_metadata_dict(node, remove_text=True, flat_metadata=False))
        with self._engine.begin() as connection:
            connection.execute(sql(_FILL), {"metadata": metadata})
        # the index on what is there: row by row it takes many times as long
        self._store("hnsw", hnsw=True, setup=True).add([])
        with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sql(f"VACUUM ANALYZE data_{_NAME}"))

    async def open(self) -> None:
        for way in self._engines:
            self._stores[way] = self._store(way, hnsw=way == "hnsw", setup=False)

    async def search(self, way: str, kind: str, empresa: str, text: str, vector: list[float], k: int) -> list[str]:
        query = VectorStoreQuery(
            query_embedding=vector,
            query_str=text,
            similarity_top_k=k,
            sparse_top_k=k,
            mode=VectorStoreQueryMode.HYBRID if kind == "hybrid" else VectorStoreQueryMode.DEFAULT,
            filters=MetadataFilters(filters=[MetadataFilter(key="empresa_id", value=empresa)]),
        )
        return list((await self._stores[way].aquery(query)).ids)


if __name__ == "__main__":
    protocol.serve(LlamaIndex(sys.argv[1]))
