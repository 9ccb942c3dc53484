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

# through text: on the caller's connections JSON may have a codec of theirs
COLUMNS = """(d.document).document_id, (d.document).empresa_id, (d.document).title, (d.document).source,
  (d.document).mime, (d.document).bytes, (d.document).pages, (d.document).created_at, (d.document).origin,
  (d.document).external_id, (d.document).metadata::text AS metadata,
  ((d.document).file_metadata -> '$reading')::text AS reading, d.chunks"""
_FIND = f"""SELECT {COLUMNS}, (d.document).content_hash, (d.document).arrival, (d.document).given_title,
  (d.document).given_metadata::text AS given_metadata, (d.document).file_metadata IS NOT NULL AS splits,
  (d.document).own_chunks, d.found
  FROM ateneo.own_document_find($1, $2, $3, $4, $5, $6) d"""  # noqa: S608


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
        "SELECT document_id, origin, external_id, folder FROM ateneo.own_folder_documents($1)",
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
    if who.document_id is None and who.origin is None and who.name is None:
        return None
    rows = await connection.fetch(_FIND, empresa_id, who.document_id, who.origin, who.external_id, who.name, lock)
    if len(rows) > 1:
        raise SeveralDocuments(name=who.name, ids=", ".join(row["document_id"] for row in rows[:5]))
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
