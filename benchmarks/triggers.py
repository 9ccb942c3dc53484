"""What do the triggers on knowledge_chunks cost? Rows a second with and without them, batches in turn."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from rich.table import Table

from ateneo.db import generations
from ateneo.db.pool import Connection, Database, packed_vectors
from benchmarks import stage
from benchmarks.search_data import Corpus, chunk_id

_BATCHES = 6
_ONE, _COLUMNS = "UPDATE knowledge_chunks SET embedding = $2 WHERE id = $1", ["id", "empresa_id", "contenido"]
_MANY = """
UPDATE knowledge_chunks k SET embedding = g.v FROM unnest($1::text[], $2::vector[]) g(i, v)
WHERE k.id = g.i AND k.empresa_id = 'a'
"""
Do: TypeAlias = Callable[[Connection, range], Awaitable[object]]


async def run(server: str, rows: int) -> None:
    url = await stage.new_database(server, "triggers")
    async with await Database.open(url) as db:
        await generations.create(db, stage.RandomEmbedder.provider, stage.RandomEmbedder.model, stage.DIMS)
        async with db.acquire() as connection:
            found = await _measure(connection, Corpus(rows))
    async with await Database.open(server, size=1) as db, db.acquire() as connection:
        await connection.execute("DROP DATABASE triggers")
    table = Table(title=f"Writing {rows:,} chunks to knowledge_chunks, rows a second")
    for heading in ("", "without triggers", "with", "µs a row more"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, (bare, full) in found.items():
        table.add_row(name, f"{1 / bare:,.0f}", f"{1 / full:,.0f}", f"{(full - bare) * 1e6:,.0f}")
    stage.console.print(table)
    stage.console.print()


async def _measure(connection: Connection, corpus: Corpus) -> dict[str, tuple[float, float]]:
    texts = corpus.passages(range(len(corpus.vectors)))
    vectors = packed_vectors(corpus.vectors)

    async def copy(own: Connection, part: range) -> None:
        records = [(chunk_id(row), "a", texts[row]) for row in part]
        await own.copy_records_to_table("knowledge_chunks", records=records, columns=_COLUMNS)

    async def one_by_one(own: Connection, part: range) -> None:
        async with own.transaction():
            for row in part:
                await own.execute(_ONE, chunk_id(row), vectors[row])

    async def at_once(own: Connection, part: range) -> None:
        # other vectors than the row has, or there would be nothing to do
        await own.execute(_MANY, [chunk_id(row) for row in part], [vectors[-row] for row in part])

    ways: dict[str, Do] = {
        "COPY of texts": copy,
        "UPDATE of embeddings, row by row": one_by_one,
        "UPDATE of embeddings, all in one": at_once,
    }
    return {name: await _in_turn(connection, len(texts), way) for name, way in ways.items()}


async def _in_turn(connection: Connection, rows: int, way: Do) -> tuple[float, float]:
    """Seconds a row without and with the triggers."""
    spent = {"replica": 0.0, "origin": 0.0}
    step = rows // _BATCHES
    for batch in range(_BATCHES):
        role = ("replica", "origin")[batch % 2]
        await connection.execute(f"SET session_replication_role = {role}")
        begun = time.perf_counter()
        await way(connection, range(batch * step, (batch + 1) * step))
        spent[role] += time.perf_counter() - begun
    half = step * _BATCHES / 2
    return spent["replica"] / half, spent["origin"] / half
