"""Changes of a source, a page at a time: what they name is read as it is now, and stored or removed."""

import asyncio
from collections.abc import Sequence

from ateneo.db import source_rows
from ateneo.db.pool import Connection, Database
from ateneo.db.source_rows import Key, NewRow, StoredRow
from ateneo.sources import html
from ateneo.sources.rows import Chunker, new_rows
from ateneo.types.sources import Source, SourceProgress

PAGE = 200
"""Changes a transaction."""


async def settle_page(db: Database, source: Source, chunker: Chunker, size: int = PAGE) -> SourceProgress | None:
    """Takes a page of changes, in one transaction; None where another worker is at it. Without changes: no progress.

    Raises DatabaseError where the table cannot be read; the changes stay.
    """
    async with source_rows.alone(db, source) as connection:
        if connection is None:
            return None
        claimed = await source_rows.claim(connection, source, size)
        if not claimed.ids:
            return SourceProgress()
        if claimed.whole:
            await source_rows.compare(connection, source)
        progress = await _settle(connection, source, claimed.keys, chunker, binary=db.binary_vectors)
        await source_rows.done(connection, source, claimed)
    return progress + SourceProgress(changes=len(claimed.ids))


async def empty_page(db: Database, source: Source, size: int = PAGE) -> int:
    """Removes a page of what is stored of the source. Returns how many rows."""
    async with source_rows.alone(db, source) as connection:
        if connection is None:
            return size
        rows = await source_rows.stored_page(connection, source, size)
        await source_rows.remove(connection, source, rows)
    return len(rows)


async def _settle(
    connection: Connection, source: Source, keys: Sequence[Key], chunker: Chunker, *, binary: bool
) -> SourceProgress:
    if not keys:
        return SourceProgress()
    found, failed = await source_rows.rows_now(connection, source, keys)
    before = await source_rows.stored(connection, source, keys)
    shown = [row for row in found if row.shown and row.empresa_id is not None]
    there = await source_rows.companies_there(connection, [row.empresa_id for row in shown if row.empresa_id])
    now = {row.key: row for row in shown if row.empresa_id in there}
    same = {key for key, row in now.items() if key in before and before[key].fingerprint == row.fingerprint}
    changed = [row for key, row in now.items() if key not in same]
    if source.mapping.html:
        changed = await html.as_text(changed, chunker.counter)
    model = source.mapping.model if source.mapping.vector else None
    generations = await source_rows.generations(connection, model) if model else {}
    new = await asyncio.to_thread(new_rows, source, changed, chunker, before, generations)
    stays = same | {one.key for one in new if one.chunks and _in_place(before.get(one.key), one)}
    removed = [one for key, one in before.items() if key not in stays]
    await source_rows.remove(connection, source, removed)
    kept = {key: one for key, one in before.items() if key in stays}
    await source_rows.put(connection, source, new, kept, binary=binary)
    companies = {one.empresa_id for one in new} | {one.empresa_id for one in removed}
    return SourceProgress(
        stored=len(new),
        removed=len(set(before) - set(now)),
        failed=len(failed),
        companies=frozenset(companies),
        vectors=sum(one.generation is not None for one in new),
    )


def _in_place(before: StoredRow | None, now: NewRow) -> bool:
    """Whether it stands where it stood: the same company's, in the same document."""
    return before is not None and (before.empresa_id, before.document_id) == (now.empresa_id, now.document_id)
