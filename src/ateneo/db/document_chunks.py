"""The chunks of one document, as they stand, in its order."""

from dataclasses import dataclass

from ateneo.db.pool import Database


@dataclass(frozen=True, slots=True)
class DocumentChunk:
    chunk_id: str
    chunk_index: int | None
    contenido: str
    tokens_count: int | None
    page: int | None
    headings: tuple[str, ...]


async def page(db: Database, empresa_id: str, document_id: str, *, skip: int, limit: int) -> list[DocumentChunk]:
    """Up to `limit` of them after the first `skip`, by (chunk_index, id)."""
    rows = await db.read(
        empresa_id,
        "SELECT * FROM ateneo.own_document_chunks($1, $2, $3, $4)",
        document_id,
        skip,
        limit,
    )
    return [DocumentChunk(**{**row, "headings": tuple(row["headings"])}) for row in rows]
