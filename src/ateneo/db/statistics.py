"""What words weigh in each company, and its vocabulary: when they are brought up to date, and by whom.

Ingestion keeps them (`keep`), `ateneo db upgrade` refreshes what has moved by half (`refresh_moved`), maintenance what
is stale (`stale`, `refresh`). Embedding changes no text, and refreshes nothing.
"""

from collections.abc import Iterable

from ateneo.db.pool import Database


async def refresh(db: Database, empresa_id: str) -> None:
    """Counts one company's words anew, however little has changed."""
    async with db.transaction() as connection:
        await connection.execute("SELECT ateneo.refresh_stats($1)", empresa_id)


async def refresh_moved(db: Database, empresas: Iterable[str] | None = None) -> int:
    """Refreshes those of the companies (None: of all) whose number of chunks has moved by half. Returns how many."""
    async with db.acquire() as connection:
        if empresas is None:
            rows = await connection.fetch("SELECT DISTINCT empresa_id FROM ateneo.chunk_lex")
            empresas = [row["empresa_id"] for row in rows]
        done = [await connection.fetchval("SELECT ateneo.refresh_stats_if_stale($1)", e) for e in sorted(empresas)]
    return sum(done)


async def keep(db: Database, empresa_id: str) -> None:
    """Refreshes one company if its size has moved by half: right after a write, so that its words can correct a query
    at once. Above 20,000 chunks it would keep the writer waiting, and maintenance does it."""
    async with db.tenant(empresa_id, writes=True) as connection:
        await connection.execute("SELECT ateneo.keep_stats()")


async def stale(db: Database) -> list[str]:
    """Companies whose statistics are older than a day or no longer fit, as `ateneo index status` shows them."""
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT empresa_id FROM ateneo.stale_statistics()")
    return [row["empresa_id"] for row in rows]
