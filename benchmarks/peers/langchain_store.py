"""langchain-postgres' PGVectorStore as its documentation has it: HNSW and tsvector indexes by its own calls, hybrid
search with Spanish words, the company in a metadata column with an index. Its pools are k (their default)."""

import sys
from dataclasses import replace
from typing import Any

from langchain_core.embeddings import Embeddings  # type: ignore[import-not-found,unused-ignore]
from langchain_postgres import Column, PGEngine, PGVectorStore  # type: ignore[import-not-found,unused-ignore]
from langchain_postgres.v2.hybrid_search_config import (  # type: ignore[import-not-found,unused-ignore]
    HybridSearchConfig,
    reciprocal_rank_fusion,
)
from langchain_postgres.v2.indexes import HNSWIndex  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy import text as sql  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy.ext.asyncio import create_async_engine  # type: ignore[import-not-found,unused-ignore]

from benchmarks.peers import protocol

_TABLE, _DIMS = "langchain_chunks", 384
_FILL = f"""
INSERT INTO {_TABLE} (langchain_id, content, embedding, content_tsv, empresa_id)
SELECT id::uuid, contenido, embedding, to_tsvector('pg_catalog.spanish', contenido), empresa_id FROM knowledge_chunks
"""


class Known(Embeddings):  # type: ignore[misc,unused-ignore]
    """The query's vector, ready made."""

    vector: list[float]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        return self.vector

    async def aembed_query(self, text: str) -> list[float]:
        return self.vector


class LangChain:
    def __init__(self, url: str) -> None:
        address = url.replace("postgresql://", "postgresql+asyncpg://")
        self._engines = {
            "hnsw": create_async_engine(address),
            "exact": create_async_engine(address, connect_args={"server_settings": {"enable_indexscan": "off"}}),
        }
        self._known = Known()
        self._hybrid = HybridSearchConfig(
            tsv_column="content_tsv", tsv_lang="pg_catalog.spanish", fusion_function=reciprocal_rank_fusion
        )
        self._stores: dict[str, Any] = {}

    async def fill(self) -> None:
        engine = self._engines["hnsw"]
        await PGEngine.from_engine(engine).ainit_vectorstore_table(
            _TABLE,
            _DIMS,
            metadata_columns=[Column("empresa_id", "TEXT", nullable=False)],
            hybrid_search_config=self._hybrid,
        )
        async with engine.begin() as connection:
            await connection.execute(sql(_FILL))
            await connection.execute(sql(f"CREATE INDEX ON {_TABLE} (empresa_id)"))
        await self.open()
        await self._stores["hnsw"].aapply_hybrid_search_index()
        await self._stores["hnsw"].aapply_vector_index(HNSWIndex())
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(sql(f"VACUUM ANALYZE {_TABLE}"))

    async def open(self) -> None:
        for way, its in self._engines.items():
            self._stores[way] = await PGVectorStore.create(
                PGEngine.from_engine(its), self._known, _TABLE,
                metadata_columns=["empresa_id"], hybrid_search_config=self._hybrid,
            )  # fmt: skip

    async def search(self, way: str, kind: str, empresa: str, text: str, vector: list[float], k: int) -> list[str]:
        self._known.vector = vector
        # one a query, since the store keeps the words of the first query in the one that it is given
        hybrid = replace(self._hybrid, fts_query=text, primary_top_k=k, secondary_top_k=k)
        found = await self._stores[way].asimilarity_search(
            text, k, {"empresa_id": empresa}, hybrid_search_config=hybrid if kind == "hybrid" else None
        )
        return [document.id for document in found]


if __name__ == "__main__":
    protocol.serve(LangChain(sys.argv[1]))
