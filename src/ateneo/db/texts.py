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
    ids = [one.chunk_id for one in texts]
    async with db.tenant(empresa_id, writes=True) as connection:
        # not ON CONFLICT, which needs a unique key that an adopted table may not have
        await connection.execute(
            "WITH given AS (SELECT * FROM unnest($2::text[], $3::text[], $4::int[]) AS t(id, contenido, tokens)),"
            " known AS (UPDATE public.knowledge_chunks k SET contenido = g.contenido, tokens_count = g.tokens"
            "  FROM given g WHERE k.empresa_id = $1 AND k.id = g.id RETURNING k.id)"
            " INSERT INTO public.knowledge_chunks (id, empresa_id, chunk_index, contenido, tokens_count)"
            " SELECT g.id, $1, 0, g.contenido, g.tokens FROM given g"
            " WHERE NOT EXISTS (SELECT FROM known WHERE known.id = g.id)",
            empresa_id,
            ids,
            [one.contenido for one in texts],
            [one.tokens for one in texts],
        )
        await connection.execute(
            "INSERT INTO ateneo.chunk_meta AS m (empresa_id, chunk_id, metadata)"
            " SELECT $1, t.id, t.metadata::jsonb FROM unnest($2::text[], $3::text[]) AS t(id, metadata)"
            " ON CONFLICT (empresa_id, chunk_id) DO UPDATE SET metadata = excluded.metadata",
            empresa_id,
            ids,
            [json.dumps(dict(one.metadata), ensure_ascii=False, allow_nan=False) for one in texts],
        )
        stored = [Pending(empresa_id, one.chunk_id, one.contenido, content_hash(one.contenido)) for one in texts]
        await write_own_vectors(connection, generation, stored, vectors, binary=db.binary_vectors)


async def delete(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> int:
    """Deletes the company's chunks among `chunk_ids`, of documents too. Returns how many there were."""
    async with db.tenant(empresa_id, writes=True) as connection:
        done = await connection.execute(
            "DELETE FROM public.knowledge_chunks WHERE empresa_id = $1 AND id = ANY ($2::text[])",
            empresa_id,
            list(chunk_ids),
        )
    return int(done.removeprefix("DELETE "))
