"""What do many companies' own indexes cost the planner? Planning time of the nearest-neighbours statement, one flat
table against HASH partitions with the indexes inside: on a warm connection (p50), and the first statement of a new one,
which has to read the catalog. Half of the companies have an index of their own; asked are both kinds."""

import asyncio
import json
import statistics

import asyncpg
from rich.table import Table

from benchmarks import stage

INDEXES = (0, 50, 500, 1000)
PARTS = (1, 16)
DIMS, ROWS, ASKED, CONNECTIONS = 8, 4, 60, 5

_TABLE = """
CREATE TABLE {table} (empresa_id text NOT NULL, chunk_id text NOT NULL, embedding halfvec({dims}) NOT NULL,
  PRIMARY KEY (empresa_id, chunk_id)) {how}
"""
_FILL = """
INSERT INTO {table} SELECT 'e' || e, r::text, array_fill((e * {rows} + r)::real, ARRAY[{dims}])::halfvec
FROM generate_series(1, $1::int) e, generate_series(1, {rows}) r
"""
_INDEX = """
CREATE INDEX {name} ON {leaf} USING hnsw (embedding halfvec_cosine_ops) WHERE empresa_id = '{empresa}'
"""
_PLAN = """
EXPLAIN (SUMMARY, FORMAT JSON) SELECT chunk_id, embedding <=> '{vector}' AS dist FROM {table}
WHERE empresa_id = '{empresa}' ORDER BY embedding <=> '{vector}' LIMIT 100
"""


def main() -> None:
    table = Table(title="Planning one search among many companies' own HNSW indexes, ms")
    for heading in ("own indexes", "flat, warm", "flat, first", "x16, warm", "x16, first", "warm, flat / x16"):
        table.add_column(heading, justify="right")
    with stage.server() as url:
        for count, found in asyncio.run(_measure(url)).items():
            (flat, flat_first), (hashed, hashed_first) = found
            table.add_row(f"{count:,}", *(f"{ms:.2f}" for ms in (flat, flat_first, hashed, hashed_first)),
                          f"{flat / hashed:.1f}")  # fmt: skip
    stage.console.print(table)
    stage.console.print()


async def _measure(server: str) -> dict[int, list[tuple[float, float]]]:
    url = await stage.new_database(server, "planning", upgraded=False)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE EXTENSION vector")
    await connection.execute("SET maintenance_work_mem = '4MB'")  # more is reserved, and costs, at every build
    await connection.execute("SET max_parallel_maintenance_workers = 0")
    found: dict[int, list[tuple[float, float]]] = {}
    for parts in PARTS:
        table = f"vec_x{parts}"
        await _create(connection, table, parts)
        for before, count in zip((0, *INDEXES), INDEXES, strict=False):
            await _index(connection, table, range(before + 1, count + 1))
            await connection.execute(f"ANALYZE {table}")
            found.setdefault(count, []).append((await _warm(connection, table), await _first(url, table)))
    await connection.close()
    return found


async def _create(connection: "asyncpg.Connection[asyncpg.Record]", table: str, parts: int) -> None:
    how = "PARTITION BY HASH (empresa_id)" if parts > 1 else ""
    await connection.execute(_TABLE.format(table=table, dims=DIMS, how=how))
    for part in range(parts if parts > 1 else 0):
        await connection.execute(
            f"CREATE TABLE {table}_p{part} PARTITION OF {table} FOR VALUES WITH (MODULUS {parts}, REMAINDER {part})"
        )
    await connection.execute(_FILL.format(table=table, dims=DIMS, rows=ROWS), 2 * max(INDEXES))


async def _index(connection: "asyncpg.Connection[asyncpg.Record]", table: str, numbers: range) -> None:
    for number in numbers:
        leaf = await connection.fetchval(
            f"SELECT tableoid::regclass::text FROM {table} WHERE empresa_id = $1 LIMIT 1", f"e{number}"
        )
        await connection.execute(_INDEX.format(name=f"{table}_own_{number}", leaf=leaf, empresa=f"e{number}"))


async def _planning_ms(connection: "asyncpg.Connection[asyncpg.Record]", table: str, number: int) -> float:
    sql = _PLAN.format(table=table, empresa=f"e{number}", vector=[1.0] * DIMS)
    return float(json.loads(await connection.fetchval(sql))[0]["Planning Time"])


async def _warm(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> float:
    numbers = [1 + step * 2 * max(INDEXES) // ASKED for step in range(ASKED)]
    for number in numbers:
        await _planning_ms(connection, table, number)
    return statistics.median([await _planning_ms(connection, table, number) for number in numbers])


async def _first(url: str, table: str) -> float:
    times = []
    for number in range(1, CONNECTIONS + 1):
        connection = await asyncpg.connect(url)
        times.append(await _planning_ms(connection, table, number))
        await connection.close()
    return statistics.median(times)


if __name__ == "__main__":
    main()
