"""Rows of a source on their way into the chunks table: what waits, what a row is now, and what is stored of it.

All of it is the worker's; a row's company is a column of every statement.
"""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import numpy as np

from ateneo.db import sources
from ateneo.db.chunks import content_hash, write_vectors
from ateneo.db.pool import Connection, Database
from ateneo.types import Chunk, Pending
from ateneo.types.sources import Source

Key = tuple[str, ...]

_CHANGES = """SELECT change_id, key FROM ateneo.source_change WHERE source_id = $1 ORDER BY change_id LIMIT $2"""
_STORED = """SELECT r.key, r.empresa_id, r.row_id, r.document_id, r.chunks, r.fingerprint, r.stale_vector
  FROM ateneo.source_row r WHERE r.source_id = $1 AND r.row_id = ANY ($2::text[])"""
_ROWS = """SELECT key, shown, empresa_id, document, place, title, body, metadata::text AS metadata,
    url::text AS url, vector, fingerprint
  FROM ateneo.source_{id}_rows($1::text::jsonb)"""

# $1: source, $2: row ids. The chunks' own triggers take away what is derived from them.
_REMOVE = """
WITH gone AS (DELETE FROM ateneo.source_row r WHERE r.source_id = $1 AND r.row_id = ANY ($2::text[])
    RETURNING r.empresa_id, r.document_id, r.row_id, r.chunks),
  chunk AS (SELECT g.empresa_id, c.id FROM gone g, unnest(ateneo.row_chunks(g.row_id, g.chunks)) c(id)),
  meta AS (DELETE FROM ateneo.chunk_meta m USING chunk c WHERE m.empresa_id = c.empresa_id AND m.chunk_id = c.id),
  texts AS (DELETE FROM public.knowledge_chunks k USING chunk c WHERE k.empresa_id = c.empresa_id AND k.id = c.id)
DELETE FROM ateneo.document d USING gone g WHERE d.empresa_id = g.empresa_id AND d.document_id = g.document_id
  AND NOT EXISTS (SELECT FROM ateneo.source_row o WHERE o.empresa_id = d.empresa_id AND o.document_id = d.document_id
    AND NOT (o.source_id = $1 AND o.row_id = ANY ($2::text[])))
"""
_PUT_DOCUMENTS = """
INSERT INTO ateneo.document AS d (empresa_id, document_id, title, source, mime, content_hash, bytes, metadata,
    file_metadata, origin, external_id)
SELECT DISTINCT ON (t.e, t.document_id) t.e, t.document_id, t.title, $1, 'text/plain',
  sha256(convert_to(t.fingerprint, 'UTF8')), t.bytes, t.metadata::jsonb, t.metadata::jsonb, 'table:' || $1,
  t.external_id
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
  AS t(e, document_id, title, fingerprint, bytes, metadata, external_id)
ORDER BY t.e, t.document_id
ON CONFLICT (empresa_id, document_id) DO UPDATE SET title = excluded.title, content_hash = excluded.content_hash,
  bytes = excluded.bytes, metadata = excluded.metadata, file_metadata = excluded.file_metadata, updated_at = now()
"""
# A text that is the same keeps its vector. Not ON CONFLICT: that needs a unique key, which an adopted table may lack.
_PUT_CHUNKS = """
WITH given AS (
    SELECT t.*, (jsonb_populate_record(NULL::public.knowledge_chunks,
      jsonb_build_object('document_id', t.doc))).document_id AS document_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::int[])
      AS t(e, id, doc, place, contenido, tokens)),
  known AS (SELECT k.empresa_id, k.id FROM given g
    JOIN public.knowledge_chunks k ON k.empresa_id = g.e AND k.id = g.id),
  changed AS (UPDATE public.knowledge_chunks k SET contenido = g.contenido, tokens_count = g.tokens,
      chunk_index = g.place, document_id = g.document_id
    FROM given g WHERE k.empresa_id = g.e AND k.id = g.id
      AND (k.contenido, k.chunk_index, k.document_id) IS DISTINCT FROM (g.contenido, g.place, g.document_id))
INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido, tokens_count)
SELECT g.id, g.document_id, g.e, g.place, g.contenido, g.tokens FROM given g
WHERE NOT EXISTS (SELECT FROM known k WHERE k.empresa_id = g.e AND k.id = g.id)
"""
_PUT_META = """
INSERT INTO ateneo.chunk_meta AS m (empresa_id, chunk_id, headings, metadata)
SELECT t.e, t.id, ARRAY(SELECT jsonb_array_elements_text(t.headings::jsonb)), t.metadata::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t(e, id, headings, metadata)
ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET headings = excluded.headings, metadata = excluded.metadata
"""
_DROP_SURPLUS = """
WITH surplus AS (SELECT t.e, c.id
    FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS t(e, row_id, was, is_now),
    unnest((ateneo.row_chunks(t.row_id, t.was))[t.is_now + 1:]) c(id)),
  meta AS (DELETE FROM ateneo.chunk_meta m USING surplus s WHERE m.empresa_id = s.e AND m.chunk_id = s.id)
DELETE FROM public.knowledge_chunks k USING surplus s WHERE k.empresa_id = s.e AND k.id = s.id
"""
_PUT_ROWS = """
INSERT INTO ateneo.source_row AS r (source_id, key, empresa_id, row_id, document_id, chunks, fingerprint, url,
    stale_vector)
SELECT $1, ARRAY(SELECT jsonb_array_elements_text(t.key::jsonb)), t.e, t.row_id, t.document_id, t.chunks,
  t.fingerprint, t.url, t.stale_vector
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[])
  AS t(key, e, row_id, document_id, chunks, fingerprint, url, stale_vector)
ON CONFLICT (source_id, key) DO UPDATE SET chunks = excluded.chunks, fingerprint = excluded.fingerprint,
  url = excluded.url, stale_vector = excluded.stale_vector
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table as it is now. `body`: its text columns, joined; `url`: the values that the template takes;
    `vector`: the one that it brings."""

    key: Key
    shown: bool
    empresa_id: str | None
    document: str | None
    place: int
    title: str | None
    body: str
    metadata: Mapping[str, Any]
    url: Mapping[str, str | None]
    fingerprint: str
    vector: Sequence[float | None] | None = None


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to store. Its own metadata is its document's where the row is one, else its chunks'. `vector`: of its one
    chunk, for a generation; `stale_vector`: the md5 of one that is of an earlier text."""

    key: Key
    empresa_id: str
    row_id: str
    document_id: str
    external_id: str
    title: str
    place: int | None
    fingerprint: str
    url: str | None
    bytes: int
    document_metadata: Mapping[str, Any] = field(default_factory=dict)
    chunk_metadata: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] = ()
    vector: Sequence[float | None] | None = None
    generation: int | None = None
    stale_vector: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRow:
    key: Key
    empresa_id: str
    row_id: str
    document_id: str
    chunks: int
    fingerprint: str
    stale_vector: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """Changes taken: distinct keys, and whether the whole source is to be compared."""

    ids: list[int]
    keys: list[Key]
    whole: bool


def row_id(source: str, key: Key) -> str:
    """Of a row, the same for ever: 32 hexadecimal digits."""
    return hashlib.md5(json.dumps([source, *key]).encode(), usedforsecurity=False).hexdigest()


def document_id(source: str, document: str) -> str:
    """Of the rows that have this value in the column of documents."""
    return str(uuid.UUID(row_id(source, ("document", document))))


@asynccontextmanager
async def alone(db: Database, known: Source) -> AsyncIterator[Connection | None]:
    """A transaction of the one worker that may work on the source; None while another does."""
    async with db.transaction() as connection:
        mine = await connection.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('ateneo.source', $1))", known.source_id
        )
        yield connection if mine else None


async def claim(connection: Connection, known: Source, size: int) -> Claim:
    """The oldest changes; they are there until `done`."""
    rows = await connection.fetch(_CHANGES, known.source_id, size)
    keys = dict.fromkeys(tuple(row["key"]) for row in rows if row["key"] is not None)
    return Claim([row["change_id"] for row in rows], list(keys), any(row["key"] is None for row in rows))


async def done(connection: Connection, known: Source, claimed: Claim) -> None:
    await connection.execute(
        "DELETE FROM ateneo.source_change WHERE source_id = $1 AND change_id = ANY ($2::bigint[])",
        known.source_id,
        claimed.ids,
    )
    await connection.execute(
        "UPDATE ateneo.source SET error = NULL WHERE source_id = $1 AND error IS NOT NULL", known.source_id
    )


async def compare(connection: Connection, known: Source) -> int:
    return await sources.compare_in(connection, known)


async def rows_now(connection: Connection, known: Source, keys: Sequence[Key]) -> tuple[list[Row], dict[Key, str]]:
    """The rows of these keys that are there; and the keys that cannot be read, with what PostgreSQL says of each."""
    try:
        return await _read(connection, known, keys), {}
    except sources.OF_ONE_ROW:
        pass
    found: list[Row] = []
    failed: dict[Key, str] = {}
    for key in keys:
        try:
            found += await _read(connection, known, [key])
        except sources.OF_ONE_ROW as error:
            failed[key] = str(error.args[0])
    return found, failed


async def _read(connection: Connection, known: Source, keys: Sequence[Key]) -> list[Row]:
    async with connection.transaction():
        return [_row(one) for one in await connection.fetch(_ROWS.format(id=known.source_id), json.dumps(keys))]


async def stored(connection: Connection, known: Source, keys: Sequence[Key]) -> dict[Key, StoredRow]:
    ids = [row_id(known.name, key) for key in keys]
    rows = await connection.fetch(_STORED, known.source_id, ids)
    return {tuple(row["key"]): StoredRow(**{**row, "key": tuple(row["key"])}) for row in rows}


async def companies_there(connection: Connection, companies: Sequence[str]) -> set[str]:
    """Those that were not erased. The end of one waits for this transaction."""
    rows = await connection.fetch(
        "SELECT t.empresa_id FROM unnest($1::text[]) t(empresa_id) WHERE ateneo.still_there(t.empresa_id)",
        sorted(set(companies)),
    )
    return {row["empresa_id"] for row in rows}


async def stored_page(connection: Connection, known: Source, size: int) -> list[StoredRow]:
    rows = await connection.fetch(
        "SELECT r.key, r.empresa_id, r.row_id, r.document_id, r.chunks, r.fingerprint, r.stale_vector"
        " FROM ateneo.source_row r WHERE r.source_id = $1 LIMIT $2",
        known.source_id,
        size,
    )
    return [StoredRow(**{**row, "key": tuple(row["key"])}) for row in rows]


async def remove(connection: Connection, known: Source, rows: Sequence[StoredRow]) -> None:
    if rows:
        await connection.execute(_REMOVE, known.source_id, [one.row_id for one in rows])


async def generations(connection: Connection, model: str) -> dict[int, int]:
    """Those of the model, by their dimensions, that new vectors go to."""
    rows = await connection.fetch(
        "SELECT g.dims, g.generation FROM ateneo.generation g WHERE g.provider || '/' || g.model = $1"
        " AND g.state IN ('active', 'filling') ORDER BY g.active",
        model,
    )
    return {row["dims"]: row["generation"] for row in rows}


async def put(
    connection: Connection,
    known: Source,
    rows: Sequence[NewRow],
    before: Mapping[Key, StoredRow],
    *,
    binary: bool = False,
) -> None:
    """Stores the rows over what is stored of them; `before` must be of the same company and document. `binary` as in
    `Database.binary_vectors`."""
    if not rows:
        return
    kept = [one for one in rows if one.chunks]
    await connection.execute(
        _PUT_DOCUMENTS,
        known.name,
        [one.empresa_id for one in kept],
        [one.document_id for one in kept],
        [one.title for one in kept],
        [one.fingerprint for one in kept],
        [one.bytes for one in kept],
        [_json(one.document_metadata) for one in kept],
        [one.external_id for one in kept],
    )
    await _put_chunks(connection, kept)
    await _put_vectors(connection, kept, binary=binary)
    surplus = [(one, before[one.key].chunks) for one in rows if one.key in before]
    shorter = [(one, was) for one, was in surplus if was > len(one.chunks)]
    if shorter:
        await connection.execute(
            _DROP_SURPLUS,
            [one.empresa_id for one, _ in shorter],
            [one.row_id for one, _ in shorter],
            [was for _, was in shorter],
            [len(one.chunks) for one, _ in shorter],
        )
    await connection.execute(
        _PUT_ROWS,
        known.source_id,
        [json.dumps(one.key, ensure_ascii=False) for one in rows],
        [one.empresa_id for one in rows],
        [one.row_id for one in rows],
        [one.document_id for one in rows],
        [len(one.chunks) for one in rows],
        [one.fingerprint for one in rows],
        [one.url for one in rows],
        [one.stale_vector for one in rows],
    )


async def _put_chunks(connection: Connection, rows: Sequence[NewRow]) -> None:
    chunks = [(row, chunk_id(row.row_id, at), one) for row in rows for at, one in enumerate(row.chunks)]
    await connection.execute(
        _PUT_CHUNKS,
        [row.empresa_id for row, _, _ in chunks],
        [one for _, one, _ in chunks],
        [row.document_id for row, _, _ in chunks],
        [one.index if row.place is None else row.place for row, _, one in chunks],
        [one.contenido for _, _, one in chunks],
        [one.tokens for _, _, one in chunks],
    )
    await connection.execute(
        _PUT_META,
        [row.empresa_id for row, _, _ in chunks],
        [one for _, one, _ in chunks],
        [json.dumps(one.headings, ensure_ascii=False) for _, _, one in chunks],
        [_json(row.chunk_metadata) for row, _, _ in chunks],
    )


async def _put_vectors(connection: Connection, rows: Sequence[NewRow], *, binary: bool) -> None:
    """The vectors that rows bring: the queue does not ask for them any more."""
    of: dict[int, list[NewRow]] = {}
    for row in rows:
        if row.generation is not None:
            of.setdefault(row.generation, []).append(row)
    for generation, those in of.items():
        texts = [row.chunks[0].contenido for row in those]
        chunks = [
            Pending(row.empresa_id, chunk_id(row.row_id, 0), text, content_hash(text))
            for row, text in zip(those, texts, strict=True)
        ]
        vectors = np.array([row.vector for row in those], dtype=np.float32)
        await write_vectors(connection, generation, chunks, vectors, binary=binary)


def chunk_id(row: str, at: int) -> str:
    """As ateneo.row_chunks makes them."""
    return f"{row}-{at:03d}"


def _row(found: asyncpg.Record) -> Row:
    values = {**found, "key": tuple(found["key"]), "metadata": json.loads(found["metadata"])}
    return Row(**{**values, "url": json.loads(found["url"])})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
