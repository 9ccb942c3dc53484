"""Who a document is (docs/adr/0038-identity.md): which of the company's documents an upload is, and which came last."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from ateneo.db.pool import Connection, Database
from ateneo.errors import BadArgument, SeveralDocuments, UnknownDocument
from ateneo.i18n import tr
from ateneo.types import ReadingReport, StoredDocument

# Counted in the chunks table itself: other programs write there, too. Chunks of ours have a row in chunk_meta.
SELECT = """
SELECT d.document_id, d.empresa_id, d.title, d.source, d.mime, d.bytes, d.pages, d.created_at, d.origin, d.external_id,
       d.metadata::text AS metadata, (d.file_metadata -> '$reading')::text AS reading,
       (SELECT count(*) FROM public.knowledge_chunks k
         WHERE k.empresa_id = d.empresa_id AND k.document_id::text = d.document_id) AS chunks
"""
_KNOWN = f"""{SELECT}, d.content_hash, d.arrival, d.given_title, d.given_metadata::text AS given_metadata,
       d.file_metadata IS NOT NULL AS splits, d.own_chunks,
       (SELECT count(*) FROM public.knowledge_chunks k
          JOIN ateneo.chunk_meta m ON m.empresa_id = k.empresa_id AND m.chunk_id = k.id
         WHERE k.empresa_id = d.empresa_id AND k.document_id::text = d.document_id) AS found
FROM ateneo.document d WHERE d.empresa_id = $1
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Identity:
    """Which document an upload is: the one of this id, else the one of this origin and external_id ('' is the origin of
    ids that callers give), else the only one of this name. Nothing given: a new one. `must_exist`: it has to be there.
    """

    document_id: str | None = None
    origin: str | None = None
    external_id: str | None = None
    name: str | None = None
    must_exist: bool = False


NEW = Identity()


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a document. `whole`: all the chunks that it was stored with are there; `splits`: what was sent
    with it can be told from what its file says of itself (an earlier version of Ateneo kept both as one)."""

    document: StoredDocument
    content_hash: bytes
    arrival: int
    given_title: str | None
    given: Mapping[str, Any] | None
    whole: bool
    splits: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload's number in the order of arrivals, the document that it is (`identity` as the chunks table writes it),
    and what is stored of that."""

    number: int
    identity: Identity
    known: Known | None


async def next_arrival(db: Database, empresa_id: str) -> int:
    """The next number in the order of arrivals."""
    async with db.tenant(empresa_id) as connection:
        return int(await connection.fetchval("SELECT ateneo.next_arrival()"))


async def arrive(db: Database, empresa_id: str, identity: Identity, number: int | None = None) -> Arrival:
    """What is to be known of an upload before it is read. `number`: where it has arrived already.

    Raises SeveralDocuments; UnknownDocument where there is none and must be; ChunksTableRefused and BadArgument for a
    document_id that the chunks table would not take, or that is not the company's to take.
    """
    async with db.tenant(empresa_id, writes=True) as connection:
        if number is None:
            number = int(await connection.fetchval("SELECT ateneo.next_arrival()"))
        if identity.document_id is not None:
            identity = replace(identity, document_id=await own_id(connection, identity.document_id))
        known = await find(connection, empresa_id, identity)
        if known is not None:
            identity = replace(identity, document_id=known.document.document_id)
        elif identity.must_exist:
            raise UnknownDocument(document_id=identity.document_id)
        elif identity.document_id is None:
            # a new document would be refused as well: checked before embedding costs anything
            await own_id(connection, str(uuid.uuid4()))
    return Arrival(number, identity, known)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file of a source of the company's, as it was last read: who it is, and where its source's folder stood."""

    document_id: str
    origin: str
    external_id: str
    folder: str


async def read_files(db: Database, empresa_id: str) -> list[ReadFile]:
    """The company's documents that were read from folders, the one read last at the end."""
    rows = await db.read(
        empresa_id,
        "SELECT d.document_id, d.origin, d.external_id, d.folder FROM ateneo.document d WHERE d.empresa_id = $1"
        " AND d.folder IS NOT NULL AND d.origin <> '' ORDER BY d.arrival, d.document_id",
    )
    return [ReadFile(**row) for row in rows]


async def own_id(connection: Connection, document_id: str) -> str:
    try:
        return str(await connection.fetchval("SELECT ateneo.own_document_id($1)", document_id))
    except asyncpg.DataError as error:
        rule = tr(
            f"knowledge_chunks.document_id no lo acepta ({error.args[0]}): pasá uno que la tabla pueda guardar",
            f"knowledge_chunks.document_id does not accept it ({error.args[0]}): pass one that the table can keep",
        )
        raise BadArgument(name="document_id", value=document_id[:80], rule=rule) from error


async def one_at_a_time(connection: Connection, empresa_id: str, who: Identity) -> None:
    """Of two uploads that would make the same document one waits for the other. A document that is there is locked as
    a row."""
    if who != NEW:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('ateneo.document:' || $1, 0))",
            json.dumps([empresa_id, who.document_id, who.origin, who.external_id, who.name]),
        )


async def find(connection: Connection, empresa_id: str, who: Identity, *, lock: bool = False) -> Known | None:
    tail = " FOR UPDATE OF d" if lock else ""
    if who.document_id is not None:
        rows = await connection.fetch(f"{_KNOWN} AND d.document_id = $2 {tail}", empresa_id, who.document_id)
    elif who.origin is not None:
        rows = await connection.fetch(
            f"{_KNOWN} AND d.external_id = $3 AND (d.origin = $2 OR d.origin IS NULL AND $2 <> '')"
            f" ORDER BY d.origin LIMIT 1 {tail}",
            empresa_id,
            who.origin,
            who.external_id,
        )
    elif who.name is not None:
        rows = await connection.fetch(f"{_KNOWN} AND d.source = $2 ORDER BY d.document_id LIMIT 6 {tail}", empresa_id,
                                      who.name)  # fmt: skip
        if len(rows) > 1:
            raise SeveralDocuments(name=who.name, ids=", ".join(row["document_id"] for row in rows[:5]))
    else:
        return None
    return _known(rows[0]) if rows else None


def stored_of(row: asyncpg.Record) -> StoredDocument:
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
        metadata=json.loads(row["metadata"]),
        origin=row["origin"],
        external_id=row["external_id"],
        reading=None if row["reading"] is None else ReadingReport.of(json.loads(row["reading"])),
    )


def _known(row: asyncpg.Record) -> Known:
    return Known(
        document=stored_of(row),
        content_hash=row["content_hash"],
        arrival=row["arrival"],
        given_title=row["given_title"],
        given=None if row["given_metadata"] is None else json.loads(row["given_metadata"]),
        whole=row["found"] == row["own_chunks"] if row["own_chunks"] is not None else row["found"] > 0,
        splits=row["splits"],
    )
