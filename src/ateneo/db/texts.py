"""Single texts in the chunks table, under ids of the caller's: no file, no document."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ateneo.db.chunks import content_hash, write_own_vectors
from ateneo.db.pool import Database
from ateneo.types import Matrix, Pending


@dataclass(frozen=True, slots=True)
class NewText:
    """A text to store; `tokens` by the embedder's own tokeniser."""

    chunk_id: str
    contenido: str
    tokens: int
    metadata: Mapping[str, Any] = field(default_factory=dict)


async def save(db: Database, empresa_id: str, texts: Sequence[NewText], vectors: Matrix, generation: int) -> None:
    """Stores the texts and their vectors (n, dims) in one transaction; a text whose id the company has is replaced.

    Raises ChunksTableRefused where an id is another company's in a chunks table whose key is the id alone.
    """
    async with db.tenant(empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_texts_write($1, $2, $3, $4, $5::text[]::jsonb[])",
            empresa_id,
            [one.chunk_id for one in texts],
            [one.contenido for one in texts],
            [one.tokens for one in texts],
            [json.dumps(dict(one.metadata), ensure_ascii=False, allow_nan=False) for one in texts],
        )
        stored = [Pending(empresa_id, one.chunk_id, one.contenido, content_hash(one.contenido)) for one in texts]
        await write_own_vectors(connection, generation, stored, vectors, binary=db.binary_vectors)


async def delete(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> int:
    """Deletes the company's chunks among `chunk_ids`, of documents too. Returns how many there were."""
    async with db.tenant(empresa_id, writes=True) as connection:
        return int(await connection.fetchval("SELECT ateneo.own_chunks_delete($1, $2)", empresa_id, list(chunk_ids)))
