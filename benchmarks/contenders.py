"""Who is asked in benchmarks/search.py. Each answers a question with ids, best first, and the milliseconds it took."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import asyncpg

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.search.service import VectorSearchService
from ateneo.types import Matrix
from benchmarks.peers.remote import Peer
from benchmarks.search_data import KnownQueries, Question

K = 10
WEIGHT = 0.4
_SEARCH = """
SELECT s.* FROM (SELECT set_config('ateneo.empresa_id', $1, true) AS empresa OFFSET 0) t
CROSS JOIN LATERAL ateneo.search($2, $3::real[]::vector, 10, $4, 1::smallint, t.empresa, 100) s
"""
_KNN = """
SELECT chunk_id FROM ateneo.vec_g1 WHERE empresa_id = '{empresa}' ORDER BY embedding <=> {vector} LIMIT 10
"""


class Contender(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def reads_words(self) -> bool: ...

    async def hybrid(self, empresa_id: str, question: Question) -> tuple[list[str], float]: ...

    async def dense(self, empresa_id: str, question: Question) -> list[str]: ...


class Ateneo:
    """What a program calls: the service, on a pool."""

    name, reads_words = "VectorSearchService.search", True

    def __init__(self, service: VectorSearchService) -> None:
        self._service = service

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, known: KnownQueries) -> AsyncIterator[Self]:
        async with EmbeddingService(known) as embedding, await Database.open(url) as db:
            yield cls(VectorSearchService(db, embedding, dense_weight=WEIGHT))

    async def hybrid(self, empresa_id: str, question: Question) -> tuple[list[str], float]:
        begun = time.perf_counter()
        found = await self._service.search(empresa_id, question.text, K)
        ms = (time.perf_counter() - begun) * 1000
        return [hit.chunk_id for hit in found.hits], ms

    async def dense(self, empresa_id: str, question: Question) -> list[str]:
        return [hit.chunk_id for hit in await self._service.semantic_search(empresa_id, question.text, K)]


class SearchFunction:
    """The same in SQL, on a connection of its own."""

    name, reads_words = "ateneo.search, raw asyncpg", True

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str) -> AsyncIterator[Self]:
        connection = await asyncpg.connect(url)
        yield cls(connection)
        await connection.close()

    async def hybrid(self, empresa_id: str, question: Question) -> tuple[list[str], float]:
        vector = question.vector.tolist()
        begun = time.perf_counter()
        rows = await self._connection.fetch(_SEARCH, empresa_id, question.text, vector, WEIGHT)
        return [row["chunk_id"] for row in rows], (time.perf_counter() - begun) * 1000

    async def dense(self, empresa_id: str, question: Question) -> list[str]:
        rows = await self._connection.fetch(_SEARCH, empresa_id, None, question.vector.tolist(), WEIGHT)
        return [row["chunk_id"] for row in rows]


class Knn:
    """The nearest neighbours alone: prepared, the company written out, the vector in binary, and no words."""

    reads_words = False

    def __init__(self, name: str, statement: Any) -> None:
        self.name = name
        self._statement = statement

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, empresa_id: str, ef_search: int) -> AsyncIterator[Self]:
        connection = await knn_connection(url, ef_search)
        statement = await connection.prepare(knn(empresa_id, "$1"))
        yield cls(f"KNN alone, ef_search {ef_search}", statement)
        await connection.close()

    async def hybrid(self, empresa_id: str, question: Question) -> tuple[list[str], float]:
        vector = packed(question.vector)
        begun = time.perf_counter()
        rows = await self._statement.fetch(vector)
        return [row["chunk_id"] for row in rows], (time.perf_counter() - begun) * 1000

    async def dense(self, empresa_id: str, question: Question) -> list[str]:
        return (await self.hybrid(empresa_id, question))[0]


class PeerStore:
    """`way` hnsw: with its index as documented; exact: the same store with that index out of use."""

    reads_words = True

    def __init__(self, peer: Peer, way: str) -> None:
        self.name = f"{peer.name}, {way}"
        self._peer, self._way = peer, way

    async def hybrid(self, empresa_id: str, question: Question) -> tuple[list[str], float]:
        return await self._peer.search(self._way, "hybrid", empresa_id, question.text, question.vector.tolist(), K)

    async def dense(self, empresa_id: str, question: Question) -> list[str]:
        vector = question.vector.tolist()
        return (await self._peer.search(self._way, "dense", empresa_id, question.text, vector, K))[0]


def knn(empresa_id: str, vector: str) -> str:
    return _KNN.format(empresa=empresa_id, vector=vector)


async def knn_connection(url: str, ef_search: int) -> "asyncpg.Connection[asyncpg.Record]":
    """As whoever writes the statement by hand would set it up; it speaks halfvec in binary."""
    settings = {"random_page_cost": "1.1", "hnsw.ef_search": str(ef_search)}
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT '[1]'::halfvec")  # loads pgvector, and with it hnsw.ef_search
    for name, value in settings.items():
        await connection.execute(f"SET {name} = {value}")
    await connection.set_type_codec("halfvec", schema="public", encoder=bytes, decoder=bytes, format="binary")
    return connection


def packed(vector: Matrix) -> bytes:
    """As pgvector's halfvec_recv reads it: int16 dimensions, int16 zero, float16 each, all big-endian."""
    return len(vector).to_bytes(2, "big") + b"\x00\x00" + vector.astype(">f2").tobytes()
