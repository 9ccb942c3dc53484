"""What does the isolation of companies cost? The same calls of the store as the application's role (guarded; signed:
each tenant with a signature besides), and as the owner by hand, as PostgreSQL's manual shows: BEGIN, SET LOCAL, the
statement, COMMIT. To compare two commits, compare their guarded columns. Turns are taken call by call.
`python -m benchmarks isolation`.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import numpy as np
from rich.table import Table

from ateneo.db import documents, generations, keys, migrate, passages, synonyms, tenant_secret
from ateneo.db import search as db_search
from ateneo.db.documents import NewDocument
from ateneo.db.pool import Connection, Database
from ateneo.types import Chunk, Matrix
from benchmarks import stage

COMPANIES, DOCUMENTS, PIECES, DIMS = 4, 100, 20, 384
ROUNDS, WRITES = 300, 40
CONTENDERS = ("by hand", "guarded", "signed")
SECRET = "b" * 64
WORDS = [
    f"{a}{b}" for a in ("cal", "tor", "mon", "ver", "pla", "ser", "cam") for b in ("dera", "nillo", "tura", "cado")
]

Call = Callable[[Database, int], Awaitable[object]]


class ByHand(Database):
    """The owner's pool: each statement in a transaction with its tenant, as one writes it with asyncpg."""

    async def read(self, empresa_id: str, sql: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.tenant(empresa_id) as connection:
            return await connection.fetch(sql, empresa_id, *arguments)

    @asynccontextmanager
    async def tenant(self, empresa_id: str, *, writes: bool = False) -> AsyncIterator[Connection]:
        async with self.transaction() as connection:
            await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", empresa_id)
            yield connection


def main() -> None:
    with stage.server() as url:
        figures = asyncio.run(_measure(url))
    title = f"p50, ms; {DOCUMENTS * PIECES:,} chunks a company, {DIMS} dimensions"
    table = Table("call", *CONTENDERS, "guarded / by hand", title=title)
    for name, taken in figures.items():
        table.add_row(name, *(f"{one:.2f}" for one in taken), f"{taken[1] / taken[0]:.2f}")
    stage.console.print(table)


async def _measure(url: str) -> dict[str, list[float]]:
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
        query = db_search.Query("e0", "caldera monturado vertura", vector=_vectors(1)[0], generation=generation)
        hits = (await db_search.search(owner, query, schema="public")).hits
    ids = [hit.chunk_id for hit in hits]
    calls: dict[str, tuple[Call, int]] = {
        "search, hybrid": (lambda db, n: db_search.search(db, query, schema="public"), ROUNDS),
        "passages by id": (lambda db, n: passages.by_ids(db, "e0", ids), ROUNDS),
        "neighbours": (lambda db, n: passages.around(db, "e0", ids, neighbours=1, section=True), ROUNDS),
        "a document": (lambda db, n: documents.get(db, "e0", one), ROUNDS),
        "synonyms (a transaction)": (lambda db, n: synonyms.listed(db, "e0"), ROUNDS),
        "100 documents": (lambda db, n: documents.list_documents(db, "e0"), ROUNDS),
        "key, then search": (lambda db, n: _asked(db, secret, query), ROUNDS),
        f"document of {PIECES} chunks": (lambda db, n: _save(db, "e1", DOCUMENTS + n % 2, generation), WRITES),
    }
    async with (
        await ByHand.open(url, size=1) as by_hand,
        await Database.open(url, size=1, guarded=True) as guarded,
        await Database.open(url, size=1, guarded=True, tenant_secret=SECRET) as signed,
        await Database.open(url, size=1) as owner,
    ):
        assert guarded.guarded
        found = {}
        for name, (call, rounds) in calls.items():
            found[name] = await _compare(call, rounds, by_hand, guarded)
            await tenant_secret.store_secret(owner, SECRET)
            found[name] += await _compare(call, rounds // 2, signed)
            await tenant_secret.store_secret(owner, None)
        return found


async def _asked(db: Database, secret: str, query: db_search.Query) -> None:
    await keys.authenticate(db, secret)
    await db_search.search(db, query, schema="public")


async def _compare(call: Call, rounds: int, *contenders: Database) -> list[float]:
    """The median of each, in ms."""
    taken: list[list[float]] = [[] for _ in contenders]
    for number in range(rounds + 10):
        for which in random.sample(range(len(contenders)), len(contenders)):
            start = time.perf_counter()
            await call(contenders[which], number)
            if number >= 10:
                taken[which].append((time.perf_counter() - start) * 1000)
    return [statistics.median(one) for one in taken]


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
