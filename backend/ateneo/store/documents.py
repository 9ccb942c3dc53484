"""Documents: a file's row in `ateneo.document`, its chunks in the record, and where each stands in `chunk_meta`."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from ateneo.errors import UnknownDocument
from ateneo.store.chunks import content_hash, write_own_vectors
from ateneo.store.pool import Connection, Database
from ateneo.store.usage import Bill, charge
from ateneo.types import Chunk, Matrix, Pending, StoredDocument

_BATCH = 500
"""Rows that are written at once: preparing more would hold up the event loop."""


# chunks are counted by the record itself: other programs may write there, too
_SELECT = """
SELECT d.document_id, d.empresa_id, d.title, d.source, d.mime, d.bytes, d.pages, d.created_at,
       (SELECT count(*) FROM public.knowledge_chunks k
         WHERE k.empresa_id = d.empresa_id AND k.document_id::text = d.document_id) AS chunks
FROM ateneo.document d
"""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store. `source` is the name by which a new version replaces the old one; `content_hash` the
    sha256 of the file; `document_id` None leaves the id to the version before, or to chance."""

    title: str
    source: str
    mime: str
    content_hash: bytes
    bytes: int
    pages: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None


async def save(
    db: Database,
    empresa_id: str,
    new: NewDocument,
    chunks: Sequence[Chunk],
    vectors: Matrix | None,
    generation: int | None,
    bill: Bill | None = None,
) -> StoredDocument:
    """Stores the document, its chunks, their vectors (n, dims) of `generation` and what they cost in one transaction.

    What the company had under the same source or the same document_id is replaced. Without vectors the chunks wait
    for the backfill. Returns it with status created or replaced.
    """
    async with db.tenant(empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('ateneo.document:' || $1 || ':' || $2, 0))",
            empresa_id,
            new.source,
        )
        older = await connection.fetch(
            "SELECT document_id, source, created_at FROM ateneo.document"
            " WHERE empresa_id = $1 AND (source = $2 OR document_id = $3) ORDER BY created_at FOR UPDATE",
            empresa_id,
            new.source,
            new.document_id,
        )
        for replaced in {row["document_id"] for row in older} | ({new.document_id} if new.document_id else set()):
            await _remove(connection, empresa_id, replaced)
        same_source = next((row["document_id"] for row in older if row["source"] == new.source), None)
        document_id = new.document_id or same_source or str(uuid.uuid4())
        await _insert_document(connection, empresa_id, document_id, new, older[0]["created_at"] if older else None)
        for start in range(0, len(chunks), _BATCH):
            batch = chunks[start : start + _BATCH]
            ids = await _insert_chunks(connection, empresa_id, document_id, batch)
            if vectors is not None:
                assert generation is not None
                stored = [
                    Pending(empresa_id, chunk_id, one.contenido, content_hash(one.contenido))
                    for chunk_id, one in zip(ids, batch, strict=True)
                ]
                own = vectors[start : start + _BATCH]
                await write_own_vectors(connection, generation, stored, own, binary=db.binary_vectors)
        if bill is not None:
            await charge(connection, bill.provider, bill.model, {empresa_id: bill.share})
        row = await connection.fetchrow(f"{_SELECT} WHERE d.empresa_id = $1 AND d.document_id = $2", empresa_id,
                                        document_id)  # fmt: skip
    assert row is not None
    return replace(_stored(row), status="replaced" if older else "created")


async def _insert_document(
    connection: Connection, empresa_id: str, document_id: str, new: NewDocument, created_at: object
) -> None:
    await connection.execute(
        "INSERT INTO ateneo.document (empresa_id, document_id, title, source, mime, content_hash, bytes, pages,"
        " metadata, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, coalesce($10, now()))",
        empresa_id,
        document_id,
        new.title,
        new.source,
        new.mime,
        new.content_hash,
        new.bytes,
        new.pages,
        json.dumps(dict(new.metadata), ensure_ascii=False, allow_nan=False),
        created_at,
    )


async def _insert_chunks(
    connection: Connection, empresa_id: str, document_id: str, chunks: Sequence[Chunk]
) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in chunks]
    # an adopted table may keep document_id as uuid or number: the record's own input function reads the text
    await connection.execute(
        "INSERT INTO public.knowledge_chunks (id, document_id, empresa_id, chunk_index, contenido, tokens_count)"
        " SELECT t.id, (jsonb_populate_record(NULL::public.knowledge_chunks,"
        " jsonb_build_object('document_id', $2::text))).document_id, $1, t.chunk_index, t.contenido, t.tokens"
        " FROM unnest($3::text[], $4::int[], $5::text[], $6::int[]) AS t(id, chunk_index, contenido, tokens)",
        empresa_id,
        document_id,
        ids,
        [one.index for one in chunks],
        [one.contenido for one in chunks],
        [one.tokens for one in chunks],
    )
    # arrays of arrays must be rectangular: headings travel as JSON
    await connection.execute(
        "INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id, page, headings)"
        " SELECT $1, t.id, t.page, ARRAY(SELECT jsonb_array_elements_text(t.headings::jsonb))"
        " FROM unnest($2::text[], $3::int[], $4::text[]) AS t(id, page, headings)",
        empresa_id,
        ids,
        [one.page for one in chunks],
        [json.dumps(one.headings, ensure_ascii=False) for one in chunks],
    )
    return ids


async def find_unchanged(db: Database, empresa_id: str, source: str, file_hash: bytes) -> StoredDocument | None:
    """The company's document with these very bytes; None where there is none, or `source` names other bytes now."""
    async with db.tenant(empresa_id) as connection:
        row = await connection.fetchrow(
            f"{_SELECT} WHERE d.empresa_id = $1 AND d.content_hash = $2 AND (d.source = $3 OR NOT EXISTS ("
            " SELECT FROM ateneo.document o WHERE o.empresa_id = $1 AND o.source = $3))"
            " ORDER BY d.source = $3 DESC, d.document_id LIMIT 1",
            empresa_id,
            file_hash,
            source,
        )
    return None if row is None else _stored(row)


async def get(db: Database, empresa_id: str, document_id: str) -> StoredDocument:
    """Raises UnknownDocument where the company has no such document."""
    rows = await db.read(empresa_id, f"{_SELECT} WHERE d.empresa_id = $1 AND d.document_id = $2", document_id)
    if not rows:
        raise UnknownDocument(document_id=document_id)
    return _stored(rows[0])


async def list_documents(
    db: Database, empresa_id: str, *, limit: int = 100, after: str | None = None
) -> list[StoredDocument]:
    """Up to `limit` documents in the order of their sources; `after` is the last source of the page before."""
    rows = await db.read(
        empresa_id,
        f"{_SELECT} WHERE d.empresa_id = $1 AND ($2::text IS NULL OR d.source > $2) ORDER BY d.source LIMIT $3",
        after,
        limit,
    )
    return [_stored(row) for row in rows]


async def texts(db: Database, empresa_id: str) -> dict[str, str]:
    """By document_id the text of each document, its chunks in order with a blank line between; what overlapping chunks
    share stands twice."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT document_id::text AS document_id, string_agg(contenido::text, E'\\n\\n' ORDER BY chunk_index, id)"
            " AS text FROM public.knowledge_chunks WHERE empresa_id = $1 AND document_id IS NOT NULL"
            " AND contenido IS NOT NULL GROUP BY 1 ORDER BY 1",
            empresa_id,
        )
    return {row["document_id"]: row["text"] for row in rows}


async def delete(db: Database, empresa_id: str, document_id: str) -> None:
    """Deletes the document and its chunks in one transaction. Raises UnknownDocument where the company has none."""
    async with db.tenant(empresa_id, writes=True) as connection:
        if not await _remove(connection, empresa_id, document_id):
            raise UnknownDocument(document_id=document_id)


async def _remove(connection: Connection, empresa_id: str, document_id: str) -> bool:
    await connection.execute(
        "DELETE FROM ateneo.chunk_meta m USING public.knowledge_chunks k"
        " WHERE m.empresa_id = $1 AND k.empresa_id = $1 AND k.id = m.chunk_id AND k.document_id::text = $2",
        empresa_id,
        document_id,
    )
    await connection.execute(
        "DELETE FROM public.knowledge_chunks WHERE empresa_id = $1 AND document_id::text = $2", empresa_id, document_id
    )
    found = await connection.fetchval(
        "DELETE FROM ateneo.document WHERE empresa_id = $1 AND document_id = $2 RETURNING true", empresa_id, document_id
    )
    return bool(found)


def _stored(row: asyncpg.Record) -> StoredDocument:
    return StoredDocument(
        document_id=row["document_id"],
        empresa_id=row["empresa_id"],
        title=row["title"],
        source=row["source"],
        mime=row["mime"],
        chunks=row["chunks"],
        bytes=row["bytes"],
        pages=row["pages"],
        created_at=row["created_at"].isoformat(),
    )
