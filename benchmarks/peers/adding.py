"""Adds texts with given vectors to a peer's store by its own call, without any index but those that it makes itself:
`python -m benchmarks.peers.adding NAME URL`. Texts come from the table `given`, vectors from chance, both before the
clock starts."""

import sys
from typing import Any

import asyncpg
import numpy as np

from benchmarks.peers import protocol

DIMS = 384


class Adding:
    """`prepare` fetches a round's texts; `add`, which is timed, gives them to the store."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._async_url = url.replace("postgresql://", "postgresql+asyncpg://")
        self._texts: list[str] = []
        self._vectors: list[list[float]] = []

    async def prepare(self, first: int, count: int) -> None:
        connection = await asyncpg.connect(self._url)
        rows = await connection.fetch("SELECT contenido FROM given ORDER BY n OFFSET $1 LIMIT $2", first, count)
        await connection.close()
        self._texts = [row["contenido"] for row in rows]
        self._vectors = np.random.default_rng(first).standard_normal((count, DIMS), dtype=np.float32).tolist()


class LangChain(Adding):
    async def open(self) -> None:
        from langchain_core.embeddings import FakeEmbeddings  # type: ignore[import-not-found,unused-ignore]
        from langchain_postgres import PGEngine, PGVectorStore  # type: ignore[import-not-found,unused-ignore]

        engine = PGEngine.from_connection_string(self._async_url)
        await engine.ainit_vectorstore_table("langchain_added", DIMS)
        self._store: Any = await PGVectorStore.create(engine, FakeEmbeddings(size=DIMS), "langchain_added")

    async def add(self) -> None:
        await self._store.aadd_embeddings(self._texts, self._vectors, [{"empresa_id": "acme"} for _ in self._texts])


class LlamaIndex(Adding):
    async def open(self) -> None:
        from llama_index.core.schema import TextNode  # type: ignore[import-not-found,unused-ignore]
        from llama_index.vector_stores.postgres import PGVectorStore  # type: ignore[import-not-found,unused-ignore]

        self._node: Any = TextNode
        self._store: Any = PGVectorStore(
            connection_string=self._url.replace("postgresql://", "postgresql+psycopg2://"),
            async_connection_string=self._async_url,
            table_name="llamaindex_added",
            embed_dim=DIMS,
        )

    async def add(self) -> None:
        await self._store.async_add(
            [
                self._node(text=text, embedding=vector, metadata={"empresa_id": "acme"})
                for text, vector in zip(self._texts, self._vectors, strict=True)
            ]
        )


if __name__ == "__main__":
    stores = {"langchain-postgres": LangChain, "llama-index-postgres": LlamaIndex}
    protocol.serve(stores[sys.argv[1]](sys.argv[2]))
