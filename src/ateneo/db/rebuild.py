"""The rebuild of the search index from the chunks table, a page a transaction."""

from dataclasses import dataclass

import asyncpg

from ateneo.db.pool import Connection, Database

_WAIT = "2s"


@dataclass(frozen=True, slots=True)
class Page:
    """`busy` are the rows that a writer held: (empresa_id, chunk_id) of each, to be tried again with `row`."""

    chunks: int
    busy: tuple[tuple[str, str], ...]


async def begin(db: Database, scope: str) -> int:
    """Notes that a rebuild of `scope` (an empresa_id, '' for all) is under way, and moves the average lengths that no
    longer fit. Returns how many chunks an earlier one that was interrupted has done."""
    async with db.transaction() as connection:
        done = await connection.fetchval("SELECT chunks FROM ateneo.rebuild WHERE scope = $1", scope)
        if done is None:
            await _note(connection, scope)
            await settle_lengths(connection, scope)
    return int(done or 0)


async def resettle(db: Database, empresa_id: str) -> bool:
    """Where the company's average length no longer fits, moves it and notes the rebuild that its words then need."""
    async with db.transaction() as connection:
        moved = bool(await settle_lengths(connection, empresa_id))
        if moved:
            await _note(connection, empresa_id)
    return moved


async def _note(connection: Connection, scope: str) -> None:
    await connection.execute(
        "INSERT INTO ateneo.rebuild (scope) VALUES ($1) ON CONFLICT (scope) DO UPDATE SET after_id = NULL, chunks = 0",
        scope,
    )


async def note_all(connection: Connection) -> None:
    """Notes that all words are to be made anew, where there are any."""
    if await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.chunk_lex)"):
        await _note(connection, "")


async def reweigh(db: Database, k1: float | None, b: float | None) -> None:
    """Gives BM25's k1 and b to every company that has others, and notes the rebuild that its words then need."""
    async with db.transaction() as connection:
        rows = await connection.fetch(
            "UPDATE ateneo.tenant_stats SET k1 = coalesce($1, k1), b = coalesce($2, b)"
            " WHERE k1 <> $1 OR b <> $2 RETURNING empresa_id",
            k1,
            b,
        )
        for row in rows:
            await _note(connection, row["empresa_id"])


async def settle_lengths(connection: Connection, scope: str) -> list[str]:
    """Companies whose average length was moved: their words are to be weighed anew."""
    rows = await connection.fetch("SELECT ateneo.settle_lengths($1) AS empresa_id", scope or None)
    return [row["empresa_id"] for row in rows]


async def page(db: Database, scope: str, size: int) -> Page | None:
    """Rebuilds the next `size` chunks, where the last page of this scope ended. None where nothing is left."""
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT p.* FROM ateneo.rebuild r, ateneo.rebuild_page(nullif(r.scope, ''), r.after_id, $2) p"
            " WHERE r.scope = $1",
            scope,
            size,
        )
        if row is None or row["last_id"] is None:
            return None
        await connection.execute(
            "UPDATE ateneo.rebuild SET after_id = $2, chunks = chunks + $3 WHERE scope = $1",
            scope,
            row["last_id"],
            row["chunks"],
        )
    return Page(row["chunks"], tuple(zip(row["busy_empresas"] or (), row["busy_ids"] or (), strict=True)))


async def row(db: Database, empresa_id: str, chunk_id: str) -> bool:
    """Rebuilds one chunk, waiting two seconds for whoever writes it. False where that was not enough."""
    async with db.transaction() as connection:
        await connection.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
        try:
            await connection.execute(
                "SELECT ateneo.rebuild_rows(ARRAY[$1::text], ARRAY[$2::text], true)", empresa_id, chunk_id
            )
        except asyncpg.LockNotAvailableError:
            return False
    return True


async def end(db: Database, scope: str) -> list[str]:
    """Removes the scope's index rows whose chunk is gone. Returns the companies whose words have to be weighed anew,
    since their average length is another one than at the beginning; empty where the rebuild is finished."""
    async with db.transaction() as connection:
        await connection.execute("SELECT ateneo.remove_orphans(nullif($1, ''))", scope)
        again = await settle_lengths(connection, scope)
        await connection.execute("DELETE FROM ateneo.rebuild WHERE scope = $1", scope)
        for empresa_id in again:
            await _note(connection, empresa_id)
    return again


async def unfinished(db: Database) -> list[str]:
    """Scopes of rebuilds that were begun and not ended."""
    async with db.acquire() as connection:
        return [r["scope"] for r in await connection.fetch("SELECT scope FROM ateneo.rebuild ORDER BY begun_at, scope")]


async def size(db: Database, scope: str) -> int:
    """How many chunks the chunks table has in this scope."""
    async with db.acquire() as connection:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM public.knowledge_chunks WHERE $1 = '' OR empresa_id = $1", scope
            )
        )


async def companies(db: Database, scope: str) -> list[str]:
    """The companies of a scope that have words indexed."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT empresa_id FROM ateneo.chunk_lex WHERE $1 = '' OR empresa_id = $1 ORDER BY 1", scope
        )
    return [r["empresa_id"] for r in rows]
