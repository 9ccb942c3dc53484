"""Documents: a file's row in `ateneo.document`, its chunks in the chunks table, and where each stands in `chunk_meta`.

Which document an upload is: db/identity.py.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from ateneo.db.chunks import content_hash, write_own_vectors
from ateneo.db.identity import NEW, SELECT, Arrival, Identity, Known, find, one_at_a_time, own_id, stored_of
from ateneo.db.pool import Connection, Database
from ateneo.db.usage import Bill, charge_own
from ateneo.errors import UnknownDocument
from ateneo.types import NO_REPORT, Chunk, Matrix, Pending, ReadingReport, StoredDocument

PAGE_BREAKS = "$page_breaks"
"""In the metadata of a chunk on several pages: offset, page, offset, page ... (SQL names it, too.)"""
_BATCH = 500
"""Rows that are written at once: preparing more would hold up the event loop."""
_SHOWN = " AND d.document_id <> ALL ((SELECT ateneo.withdrawn_documents($1))::text[])"
_NAMED = 20
"""How many other documents of the same name, or bytes, an answer names."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store. `content_hash` is the sha256 of the file; `metadata` what the file says of itself.
    `reading` is kept beside it, under a key of its own: it does not travel with passages.

    `given_title` and `given` (metadata) are what was sent with it, None: nothing, and what was sent before stays;
    `folder` where the source's folder stands; `arrival` its number in the order of arrivals.
    """

    title: str
    source: str
    mime: str
    content_hash: bytes
    bytes: int
    pages: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reading: ReadingReport = NO_REPORT
    identity: Identity = NEW
    given_title: str | None = None
    given: Mapping[str, Any] | None = None
    folder: str | None = None
    arrival: int = 0
    seen: bool = False
    """Whether the document was there when this arrived: if it is gone now, it was deleted since."""


async def keep(
    db: Database,
    empresa_id: str,
    arrival: Arrival,
    *,
    title: str | None = None,
    given: Mapping[str, Any] | None = None,
    folder: str | None = None,
) -> StoredDocument | None:
    """Stores what was sent with bytes that are there already: title and metadata, None for those that were not sent.

    Returns the document with status updated or unchanged; None where it is no longer as it was when this arrived.
    """
    known = arrival.known
    assert known is not None
    who = Identity(known.document.document_id)
    async with db.tenant(empresa_id, writes=True) as connection:
        now = await find(connection, empresa_id, who, lock=True)
        if now is None or now.content_hash != known.content_hash or now.arrival > arrival.number or not now.whole:
            return None
        changed = title not in (None, now.document.title) or given not in (None, now.given)
        await connection.execute(
            "UPDATE ateneo.document SET arrival = $3, title = coalesce($4, title),"
            " given_title = coalesce($4, given_title), given_metadata = coalesce($5::text::jsonb, given_metadata),"
            " metadata = CASE WHEN $5 IS NULL THEN metadata ELSE (file_metadata - '$reading') || $5::text::jsonb END,"
            " origin = coalesce($6, origin), external_id = coalesce($7, external_id), folder = coalesce($8, folder),"
            " updated_at = CASE WHEN $9 THEN now() ELSE updated_at END WHERE empresa_id = $1 AND document_id = $2",
            empresa_id,
            who.document_id,
            arrival.number,
            title,
            _json(given),
            arrival.identity.origin,
            arrival.identity.external_id,
            folder,
            changed,
        )
        after = await find(connection, empresa_id, who)
    assert after is not None
    return replace(after.document, status="updated" if changed else "unchanged")


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

    What Ateneo stored of the document before is replaced; chunks of other programs stay. Without vectors the chunks
    wait for the backfill. Returns it with status created or replaced; superseded where a later arrival came first:
    then nothing is stored but the cost.
    """
    async with db.tenant(empresa_id, writes=True) as connection:
        await one_at_a_time(connection, empresa_id, new.identity)
        older = await find(connection, empresa_id, new.identity, lock=True)
        if older is None and new.identity.must_exist:
            raise UnknownDocument(document_id=new.identity.document_id)
        if older is not None and older.arrival > new.arrival:
            stored = replace(older.document, status="superseded")
        elif older is None and new.seen:
            stored = _deleted_since(empresa_id, new)
        else:
            document_id = await _write_document(connection, empresa_id, new, older, len(chunks))
            for start in range(0, len(chunks), _BATCH):
                batch = chunks[start : start + _BATCH]
                ids = await _write_chunks(connection, empresa_id, document_id, batch)
                if vectors is not None:
                    assert generation is not None
                    pending = [
                        Pending(empresa_id, chunk_id, one.contenido, content_hash(one.contenido))
                        for chunk_id, one in zip(ids, batch, strict=True)
                    ]
                    own = vectors[start : start + _BATCH]
                    await write_own_vectors(connection, generation, pending, own, binary=db.binary_vectors)
            stored = await _answer(connection, empresa_id, document_id, new, created=older is None)
        if bill is not None:
            await charge_own(connection, empresa_id, bill)
    return stored


async def get(db: Database, empresa_id: str, document_id: str) -> StoredDocument:
    """Raises UnknownDocument where the company has no such document."""
    rows = await db.read(
        empresa_id,
        f"{SELECT} FROM ateneo.document d WHERE d.empresa_id = $1 AND d.document_id = $2{_SHOWN}",
        document_id,
    )
    if not rows:
        raise UnknownDocument(document_id=document_id)
    return stored_of(rows[0])


async def list_documents(
    db: Database, empresa_id: str, *, limit: int = 100, after: tuple[str, str] | None = None
) -> list[StoredDocument]:
    """Up to `limit` documents in the order of (source, document_id); `after` is that of the last one seen."""
    rows = await db.read(
        empresa_id,
        f"{SELECT} FROM ateneo.document d WHERE d.empresa_id = $1{_SHOWN}"
        " AND ($2::text IS NULL OR (d.source, d.document_id) > ($2, $3::text))"
        " ORDER BY d.source, d.document_id LIMIT $4",
        *(after or (None, None)),
        limit,
    )
    return [stored_of(row) for row in rows]


async def texts(db: Database, empresa_id: str) -> dict[str, str]:
    """By document_id the text of each document, its chunks in order with a blank line between; what overlapping chunks
    share stands twice."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT document_id::text AS document_id, string_agg(contenido::text, E'\\n\\n' ORDER BY chunk_index, id)"
            " AS text FROM public.knowledge_chunks WHERE empresa_id = $1 AND document_id IS NOT NULL"
            " AND contenido IS NOT NULL AND id <> ALL ((SELECT ateneo.withdrawn_chunks($1))::text[])"
            " GROUP BY 1 ORDER BY 1",
            empresa_id,
        )
    return {row["document_id"]: row["text"] for row in rows}


async def delete(db: Database, empresa_id: str, document_id: str) -> None:
    """Deletes the document and the chunks that Ateneo stored of it, in one transaction.

    Raises UnknownDocument where the company has none."""
    async with db.tenant(empresa_id, writes=True) as connection:
        found = await connection.fetchval(
            "DELETE FROM ateneo.document WHERE empresa_id = $1 AND document_id = $2 RETURNING true",
            empresa_id,
            document_id,
        )
        if not found:
            raise UnknownDocument(document_id=document_id)
        await _delete_own_chunks(connection, empresa_id, document_id)


# --- inside a transaction -----------------------------------------------------------------------------------------


async def _write_document(
    connection: Connection, empresa_id: str, new: NewDocument, older: Known | None, chunks: int
) -> str:
    """Its row, without the chunks that were stored of it before. Returns its id."""
    document_id = older.document.document_id if older else new.identity.document_id or str(uuid.uuid4())
    if older is None:
        document_id = await own_id(connection, document_id)
    else:
        await _delete_own_chunks(connection, empresa_id, document_id)
    await connection.execute(
        "INSERT INTO ateneo.document AS d (empresa_id, document_id, title, source, mime, content_hash, bytes, pages,"
        " file_metadata, given_metadata, metadata, given_title, origin, external_id, folder, arrival, own_chunks)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb,"
        " ($9::text::jsonb - '$reading') || coalesce($10::text::jsonb, '{}'), $11, $12, $13, $14, $15, $16)"
        " ON CONFLICT (empresa_id, document_id) DO UPDATE SET title = excluded.title, source = excluded.source,"
        " mime = excluded.mime, content_hash = excluded.content_hash, bytes = excluded.bytes, pages = excluded.pages,"
        " file_metadata = excluded.file_metadata, given_metadata = coalesce(excluded.given_metadata, d.given_metadata),"
        " metadata = (excluded.file_metadata - '$reading')"
        " || coalesce(excluded.given_metadata, d.given_metadata, '{}'),"
        " given_title = coalesce(excluded.given_title, d.given_title), origin = coalesce(excluded.origin, d.origin),"
        " external_id = coalesce(excluded.external_id, d.external_id), folder = coalesce(excluded.folder, d.folder),"
        " arrival = excluded.arrival, own_chunks = excluded.own_chunks, updated_at = now()",
        empresa_id, document_id, new.title, new.source, new.mime, new.content_hash, new.bytes, new.pages,
        _json({**new.metadata, "$reading": asdict(new.reading)}), _json(new.given), new.given_title,
        new.identity.origin, new.identity.external_id, new.folder, new.arrival, chunks,
    )  # fmt: skip
    return document_id


async def _write_chunks(
    connection: Connection, empresa_id: str, document_id: str, chunks: Sequence[Chunk]
) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in chunks]
    # an adopted table may keep document_id as uuid or number: the chunks table's own input function reads the text
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
        "INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id, page, headings, metadata)"
        " SELECT $1, t.id, t.page, ARRAY(SELECT jsonb_array_elements_text(t.headings::jsonb)), t.metadata::jsonb"
        " FROM unnest($2::text[], $3::int[], $4::text[], $5::text[]) AS t(id, page, headings, metadata)",
        empresa_id,
        ids,
        [one.page for one in chunks],
        [json.dumps(one.headings, ensure_ascii=False) for one in chunks],
        [json.dumps({PAGE_BREAKS: [*chain(*one.page_breaks)]} if one.page_breaks else {}) for one in chunks],
    )
    return ids


async def _delete_own_chunks(connection: Connection, empresa_id: str, document_id: str) -> None:
    """The chunks under this id that Ateneo stored: those with a row in chunk_meta. Other programs' stay."""
    await connection.execute(
        "WITH gone AS (DELETE FROM public.knowledge_chunks k USING ateneo.chunk_meta m WHERE k.empresa_id = $1"
        "  AND m.empresa_id = $1 AND m.chunk_id = k.id AND k.document_id::text = $2 RETURNING k.id)"
        " DELETE FROM ateneo.chunk_meta m USING gone WHERE m.empresa_id = $1 AND m.chunk_id = gone.id",
        empresa_id,
        document_id,
    )


async def _answer(
    connection: Connection, empresa_id: str, document_id: str, new: NewDocument, *, created: bool
) -> StoredDocument:
    known = await find(connection, empresa_id, Identity(document_id))
    assert known is not None
    if not created:
        return replace(known.document, status="replaced")
    row = await connection.fetchrow(
        "SELECT ARRAY(SELECT d.document_id FROM ateneo.document d WHERE d.empresa_id = $1 AND d.document_id <> $2"
        "  AND d.source = $3 ORDER BY d.created_at DESC, d.document_id LIMIT $5) AS same_name,"
        " ARRAY(SELECT d.document_id FROM ateneo.document d WHERE d.empresa_id = $1 AND d.document_id <> $2"
        "  AND d.content_hash = $4 ORDER BY d.created_at DESC, d.document_id LIMIT $5) AS same_bytes",
        empresa_id,
        document_id,
        new.source,
        new.content_hash,
        _NAMED,
    )
    assert row is not None
    return replace(
        known.document, status="created", same_name=tuple(row["same_name"]), same_bytes=tuple(row["same_bytes"])
    )


def _deleted_since(empresa_id: str, new: NewDocument) -> StoredDocument:
    document_id = new.identity.document_id
    assert document_id is not None
    return StoredDocument(
        document_id, empresa_id, new.title, new.source, new.mime, 0, new.bytes, new.pages, "superseded"
    )


def _json(value: Mapping[str, Any] | None) -> str | None:
    """As text: a connection of the caller's may have a codec of its own for jsonb."""
    return None if value is None else json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
