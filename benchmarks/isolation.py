"""What do the walls between companies cost? The same calls of the store as the application's role, under row-level
security, in a transaction of the company; and as the owner, bound by the WHERE alone. Turns are taken call by call.
`python -m benchmarks isolation`.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
from rich.table import Table

from ateneo.store import documents, generations, keys, migrate, passages
from ateneo.store import search as door
from ateneo.store.documents import NewDocument
from ateneo.store.pool import Connection, Database
from ateneo.types import Chunk, Matrix
from benchmarks import stage

COMPANIES, DOCUMENTS, PIECES, DIMS = 4, 100, 20, 384
ROUNDS, WRITES = 300, 40
WORDS = [
    f"{a}{b}" for a in ("cal", "tor", "mon", "ver", "pla", "ser", "cam") for b in ("dera", "nillo", "tura", "cado")
]

Call = Callable[[Database, int], Awaitable[object]]


class Bare(Database):
    """The owner's pool without any wall: a company's statement is that statement; writes have the transaction."""

    @asynccontextmanager
    async def tenant(self, empresa_id: str, *, writes: bool = False) -> AsyncIterator[Connection]:
        if not writes:
            async with self.acquire() as connection:
                yield connection
            return
        async with self.transaction() as connection:
            await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", empresa_id)
            yield connection


def main() -> None:
    with stage.server() as url:
        figures = asyncio.run(_measure(url))
    title = f"p50, ms; {DOCUMENTS * PIECES:,} chunks a company, {DIMS} dimensions"
    table = Table("call", "bare", "guarded", "x", title=title)
    for name, (bare, guarded) in figures.items():
        table.add_row(name, f"{bare:.2f}", f"{guarded:.2f}", f"{guarded / bare:.2f}")
    stage.console.print(table)


async def _measure(url: str) -> dict[str, tuple[float, float]]:
    async with await Database.open(url) as owner:
        await migrate.upgrade(owner)
        generation = (await generations.create(owner, "bench", "made up", DIMS)).number
        for company in range(COMPANIES):
            for number in range(DOCUMENTS):
                await _save(owner, f"e{company}", number, generation)
        async with owner.acquire() as connection:
            await connection.execute("SELECT ateneo.refresh_stats(e) FROM unnest(ARRAY['e0','e1','e2','e3']) e")
            await connection.execute("ANALYZE")
        secret = (await keys.create(owner, "e0")).secret
        one = (await documents.list_documents(owner, "e0", limit=1))[0].document_id
        query = door.Query("e0", "caldera monturado vertura", vector=_vectors(1)[0], generation=generation)
        hits = (await door.search(owner, query, schema="public")).hits
    ids = [hit.chunk_id for hit in hits]
    calls: dict[str, tuple[Call, int]] = {
        "search, hybrid": (lambda db, n: door.search(db, query, schema="public"), ROUNDS),
        "passages by id": (lambda db, n: passages.by_ids(db, "e0", ids), ROUNDS),
        "neighbours": (lambda db, n: passages.around(db, "e0", ids, neighbours=1, section=True), ROUNDS),
        "a document": (lambda db, n: documents.get(db, "e0", one), ROUNDS),
        "100 documents": (lambda db, n: documents.list_documents(db, "e0"), ROUNDS),
        "key, then search": (lambda db, n: _asked(db, secret, query), ROUNDS),
        f"document of {PIECES} chunks": (lambda db, n: _save(db, "e1", DOCUMENTS + n % 2, generation), WRITES),
    }
    async with (
        await Bare.open(url, size=1) as bare,
        await Database.open(url, size=1, guarded=True) as guarded,
    ):
        assert guarded.guarded
        return {name: await _compare(call, rounds, bare, guarded) for name, (call, rounds) in calls.items()}


async def _asked(db: Database, secret: str, query: door.Query) -> None:
    await keys.authenticate(db, secret)
    await door.search(db, query, schema="public")


async def _compare(call: Call, rounds: int, bare: Database, guarded: Database) -> tuple[float, float]:
    taken: dict[int, list[float]] = {0: [], 1: []}
    for number in range(rounds + 10):
        for which, db in random.sample([(0, bare), (1, guarded)], 2):
            start = time.perf_counter()
            await call(db, number)
            if number >= 10:
                taken[which].append((time.perf_counter() - start) * 1000)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _vectors(count: int) -> Matrix:
    made = np.random.default_rng(count).standard_normal((count, DIMS), dtype=np.float32)
    unit: Matrix = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


async def _save(db: Database, empresa_id: str, number: int, generation: int) -> None:
    chance = random.Random(number)
    texts = [" ".join(chance.choices(WORDS, k=80)) for _ in range(PIECES)]
    pieces = [Chunk(index, text, 100) for index, text in enumerate(texts)]
    new = NewDocument(f"d{number}", f"{number:04}.md", "text/markdown", b"x", 1)
    await documents.save(db, empresa_id, new, pieces, _vectors(PIECES), generation)
