"""What the benchmarks share: a server, databases in it, texts to fill them with, and an embedder that takes no time."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import asyncpg
import httpx
import numpy as np
from rich.console import Console

from ateneo.db import embedded, migrate
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.types import Embedded, Kind, Limits

DIMS = 384
console = Console(highlight=False, width=100)

_VOCABULARY = 5000
_WORDS_IN_A_PASSAGE = 60


@contextmanager
def server() -> Iterator[str]:
    """The address of an embedded PostgreSQL of its own, with durability as it comes."""
    with tempfile.TemporaryDirectory(prefix="ateneo-bench-", ignore_cleanup_errors=True) as folder:
        place = f"embedded:{folder}/data"
        yield embedded.start(place)
        embedded.stop(place)


@contextmanager
def serving(database: str, **variables: str) -> Iterator[str]:
    """The address of `ateneo serve` on the database, in a process of its own, without rate limits."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "ATENEO_REQUESTS_PER_MINUTE": "0",
        "ATENEO_FAILED_LOGINS_PER_MINUTE": "0",
        **variables,
    }
    program = [sys.executable, "-c", "from ateneo.cli.main import main; main()", "serve", "--port", str(port)]
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, "the server did not start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.ConnectError:
        return False


async def new_database(server_url: str, name: str, *, upgraded: bool = True) -> str:
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    url = server_url.replace("/postgres?", f"/{name}?")
    if upgraded:
        async with await Database.open(url, size=1) as db:
            await migrate.upgrade(db)
    return url


async def fill(url: str, chunks: int, empresa: str = "acme", *, words: bool = False) -> None:
    """Inserts chunks without embeddings. Their words are indexed only with `words`."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"SET session_replication_role = {'origin' if words else 'replica'}")
    rows = ((empresa, number, text) for number, text in enumerate(passages(chunks)))
    await connection.copy_records_to_table(
        "knowledge_chunks", records=rows, columns=["empresa_id", "chunk_index", "contenido"]
    )
    await connection.execute("ANALYZE knowledge_chunks")
    await connection.close()


def passages(count: int) -> Iterator[str]:
    """Texts of 60 made-up words, as unevenly frequent as those of a language."""
    random = np.random.default_rng(7)
    syllables = ["ca", "de", "mi", "ro", "tu", "sa", "le", "pi", "no", "bra"]
    words = ["".join(syllables[int(digit)] for digit in str(number)) for number in range(1, _VOCABULARY + 1)]
    weights = 1 / np.arange(1, _VOCABULARY + 1)
    for first in range(0, count, 1000):
        rows = random.choice(_VOCABULARY, (min(1000, count - first), _WORDS_IN_A_PASSAGE), p=weights / weights.sum())
        for row in rows:
            yield " ".join(words[number] for number in row)


class RandomEmbedder:
    """The port Embedder with random unit vectors, ready made: what is left to measure is everything else."""

    provider, model, dims = "bench", "random", DIMS
    limits = Limits(inputs=2048, tokens=10**9, tokens_per_input=10**9)
    dense_weight, price = 0.4, 0.0

    def __init__(self) -> None:
        table = np.random.default_rng(1).standard_normal((8192, DIMS), dtype=np.float32)
        self._table = table / np.linalg.norm(table, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def truncate(self, text: str) -> str:
        return text

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        await asyncio.sleep(0)
        first = hash(texts[0]) % (len(self._table) - len(texts))
        return Embedded(vectors=self._table[first : first + len(texts)], tokens=len(texts))

    async def close(self) -> None:
        pass


def service() -> EmbeddingService:
    return EmbeddingService(RandomEmbedder())
