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
from ateneo.db.identity import COLUMNS, NEW, Arrival, Identity, Known, find, one_at_a_time, stored_of
from ateneo.db.pool import Connection, Database
from ateneo.db.usage import Bill, charge_own
from ateneo.errors import UnknownDocument
from ateneo.types import NO_REPORT, Chunk, Matrix, Pending, ReadingReport, StoredDocument

PAGE_BREAKS = "$page_breaks"
"""In the metadata of a chunk on several pages: offset, page, offset, page ... (SQL names it, too.)"""
_BATCH = 500
"""Rows that are written at once: preparing more would hold up the event loop."""
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
            "SELECT ateneo.own_document_keep($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9)",
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
        f"SELECT {COLUMNS} FROM ateneo.own_document($1, $2) d",  # noqa: S608
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
        f"SELECT {COLUMNS} FROM ateneo.own_documents($1, $2, $3, $4) d",  # noqa: S608
        *(after or (None, None)),
        limit,
    )
    return [stored_of(row) for row in rows]


async def texts(db: Database, empresa_id: str) -> dict[str, str]:
    """By document_id the text of each document, its chunks in order with a blank line between; what overlapping chunks
    share stands twice."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch("SELECT document_id, contenido FROM ateneo.own_document_texts($1)", empresa_id)
    return {row["document_id"]: row["contenido"] for row in rows}


async def delete(db: Database, empresa_id: str, document_id: str) -> None:
    """Deletes the document and the chunks that Ateneo stored of it, in one transaction.

    Raises UnknownDocument where the company has none."""
    async with db.tenant(empresa_id, writes=True) as connection:
        if not await connection.fetchval("SELECT ateneo.own_document_delete($1, $2)", empresa_id, document_id):
            raise UnknownDocument(document_id=document_id)


# --- inside a transaction -----------------------------------------------------------------------------------------


async def _write_document(
    connection: Connection, empresa_id: str, new: NewDocument, older: Known | None, chunks: int
) -> str:
    """Its row, without the chunks that were stored of it before. Returns its id."""
    row = {
        "document_id": older.document.document_id if older else new.identity.document_id or str(uuid.uuid4()),
        "title": new.title,
        "source": new.source,
        "mime": new.mime,
        "content_hash": f"\\x{new.content_hash.hex()}",
        "bytes": new.bytes,
        "pages": new.pages,
        "file_metadata": {**new.metadata, "$reading": asdict(new.reading)},
        "given_metadata": None if new.given is None else dict(new.given),
        "given_title": new.given_title,
        "origin": new.identity.origin,
        "external_id": new.identity.external_id,
        "folder": new.folder,
        "arrival": new.arrival,
        "own_chunks": chunks,
    }
    return str(
        await connection.fetchval("SELECT ateneo.own_document_write($1, $2::text::jsonb)", empresa_id, _json(row))
    )


async def _write_chunks(
    connection: Connection, empresa_id: str, document_id: str, chunks: Sequence[Chunk]
) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in chunks]
    await connection.execute(
        "SELECT ateneo.own_document_chunks_write($1, $2, $3, $4, $5, $6, $7, $8::text[]::jsonb[], $9::text[]::jsonb[])",
        empresa_id,
        document_id,
        ids,
        [one.index for one in chunks],
        [one.contenido for one in chunks],
        [one.tokens for one in chunks],
        [one.page for one in chunks],
        [json.dumps(one.headings, ensure_ascii=False) for one in chunks],
        [json.dumps({PAGE_BREAKS: [*chain(*one.page_breaks)]} if one.page_breaks else {}) for one in chunks],
    )
    return ids


async def _answer(
    connection: Connection, empresa_id: str, document_id: str, new: NewDocument, *, created: bool
) -> StoredDocument:
    known = await find(connection, empresa_id, Identity(document_id))
    assert known is not None
    if not created:
        return replace(known.document, status="replaced")
    row = await connection.fetchrow(
        "SELECT same_name, same_bytes FROM ateneo.own_same_documents($1, $2, $3, $4, $5)",
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
