"""What do the triggers of a source cost the product that writes to its table? With and without them, in turn."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import asyncpg
from rich.table import Table

from ateneo.db.pool import Database
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.service import SourceService
from benchmarks import stage

_ROWS, _ROUNDS, _UPDATES, _COPIED = 20_000, 12, 500, 4_000
_TABLE = """CREATE TABLE kb (id uuid PRIMARY KEY, tenant_id int NOT NULL, title varchar(80), content text NOT NULL,
  views int NOT NULL DEFAULT 0, deleted_at timestamptz); CREATE INDEX ON kb (tenant_id)"""
_FILL = """INSERT INTO kb SELECT md5(n::text)::uuid, n % 50, 'Artículo ' || n, repeat('La caldera hace ruido. ', 20)
  FROM generate_series(1, $1::int) n"""
Do: TypeAlias = Callable[[asyncpg.Connection, int], Awaitable[object]]


async def _one_row(connection: asyncpg.Connection, batch: int) -> None:
    """Each in a transaction of its own, as a web application does."""
    for n in range(_UPDATES):
        await connection.execute(
            "UPDATE kb SET title = $2 WHERE id = md5($1::int::text)::uuid", batch * _UPDATES + n + 1, f"Otro {batch}"
        )


async def _one_row_in_memory(connection: asyncpg.Connection, batch: int) -> None:
    """The same without waiting for the disk, which hides what the triggers take."""
    await connection.execute("SET synchronous_commit = off")
    await _one_row(connection, batch)
    await connection.execute("SET synchronous_commit = on")


async def _discard(connection: asyncpg.Connection, batch: int) -> None:
    for n in range(_UPDATES):
        await connection.execute(
            "UPDATE kb SET deleted_at = now() WHERE id = md5($1::int::text)::uuid", batch * _UPDATES + n + 1
        )


async def _many(connection: asyncpg.Connection, batch: int) -> None:
    await connection.execute("UPDATE kb SET title = $1", f"Todos {batch}")


async def _copy(connection: asyncpg.Connection, batch: int) -> None:
    rows = await connection.fetch(
        "SELECT md5('c' || $1::int || ':' || n)::uuid, n % 50, 'Copiado', repeat('La caldera hace ruido. ', 20)"
        " FROM generate_series(1, $2::int) n",
        batch,
        _COPIED,
    )
    begun = time.perf_counter()
    columns = ["id", "tenant_id", "title", "content"]
    await connection.copy_records_to_table("kb", records=map(tuple, rows), columns=columns)
    _copying.append(time.perf_counter() - begun)


_copying: list[float] = []
WAYS: dict[str, tuple[Do, int]] = {
    "UPDATE of one row, one a transaction": (_one_row, _UPDATES),
    "the same with synchronous_commit off": (_one_row_in_memory, _UPDATES),
    "soft delete of one row": (_discard, _UPDATES),
    f"UPDATE of all {_ROWS:,} rows": (_many, _ROWS),
    f"COPY of {_COPIED:,} rows": (_copy, _COPIED),
}


async def _run(server: str) -> None:
    url = await stage.new_database(server, "sources")
    connection = await asyncpg.connect(url)
    table = Table(title="Writing to a table that is a source, µs a row, medians of alternating batches")
    for heading in ("", "without triggers", "with", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    async with await Database.open(url) as db:
        await connection.execute(_TABLE)
        await connection.execute(_FILL, _ROWS)
        sources = SourceService(db, make_models(load()))
        await sources.add(await sources.draft("kb"))
        for name, (way, rows) in WAYS.items():
            bare, full = await _in_turn(connection, way)
            table.add_row(name, f"{bare / rows * 1e6:,.1f}", f"{full / rows * 1e6:,.1f}", f"{full / bare:.2f}")
            await connection.execute("TRUNCATE ateneo.source_change")
    await connection.close()
    stage.console.print(table)


async def _in_turn(connection: asyncpg.Connection, way: Do) -> tuple[float, float]:
    """Seconds a batch without and with the triggers: medians."""
    spent: dict[str, list[float]] = {"replica": [], "origin": []}
    for batch in range(_ROUNDS):
        role = ("replica", "origin")[batch % 2]
        await connection.execute(f"SET session_replication_role = {role}")
        _copying.clear()
        begun = time.perf_counter()
        await way(connection, batch)
        spent[role].append(sum(_copying) or time.perf_counter() - begun)
    medians = {role: sorted(values)[len(values) // 2] for role, values in spent.items()}
    return medians["replica"], medians["origin"]


def main() -> None:
    with stage.server() as server:
        asyncio.run(_run(server))
