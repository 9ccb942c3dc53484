"""Files as they were sent (`ateneo.original`), in parts. See docs/adr/0056-originals.md."""

import asyncio
from typing import BinaryIO

from ateneo.db.pool import Connection, Database
from ateneo.errors import NoOriginal
from ateneo.types.jobs import Original

PART_BYTES = 256 * 1024
_PARTS_AT_ONCE = 16


async def put(connection: Connection, empresa_id: str, sha256: bytes, size: int, body: BinaryIO) -> None:
    """Inside a transaction, which also writes what uses it: the bytes of `body`, unless the company has them."""
    if not await connection.fetchval("SELECT ateneo.own_begin_original($1, $2, $3)", empresa_id, sha256, size):
        return
    first = 0
    while parts := await asyncio.to_thread(_next_parts, body):
        await connection.execute("SELECT ateneo.own_put_parts($1, $2, $3, $4)", empresa_id, sha256, first, parts)
        first += len(parts)


def _next_parts(body: BinaryIO) -> list[bytes]:
    return [part for _ in range(_PARTS_AT_ONCE) if (part := body.read(PART_BYTES))]


async def keep(db: Database, empresa_id: str, sha256: bytes, size: int, body: BinaryIO) -> None:
    """Keeps the bytes of a document that is stored; where it has others by now, nothing."""
    async with db.tenant(empresa_id, writes=True) as connection:
        await put(connection, empresa_id, sha256, size, body)
        await connection.execute("SELECT ateneo.own_settle_original($1, $2)", empresa_id, sha256)


async def find(db: Database, empresa_id: str, document_id: str) -> Original:
    """Raises NoOriginal."""
    rows = await db.read(empresa_id, "SELECT * FROM ateneo.own_original($1, $2)", document_id)
    if not rows:
        raise NoOriginal(document_id=document_id)
    row = rows[0]
    return Original(row["sha256"], row["bytes"], row["source"], row["mime"], row["stored_at"].isoformat())


async def part(db: Database, empresa_id: str, sha256: bytes, number: int) -> bytes | None:
    """None where there is none: behind the last, or it was deleted meanwhile."""
    rows = await db.read(empresa_id, "SELECT ateneo.own_part($1, $2, $3) AS data", sha256, number)
    return rows[0]["data"] if rows else None


async def read(db: Database, empresa_id: str, sha256: bytes) -> bytes:
    """All of it."""
    parts: list[bytes] = []
    while (data := await part(db, empresa_id, sha256, len(parts))) is not None:
        parts.append(data)
    return b"".join(parts)
