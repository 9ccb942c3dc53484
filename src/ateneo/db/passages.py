"""Passages by their ids, and what stands around each in its document: neighbours and whole sections, many at once."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from ateneo.db.pool import Database
from ateneo.types import Passage, StoredPassage

SECTION_REACH = 20
"""How far a section reaches to each side of a hit, in chunks."""

# Joined through the hit's own row: document_id keeps the type that an adopted table gives it, and an index is used.
# Ordered by (chunk_index, id) and not counted by chunk_index: indexes may have gaps, or repeat.
_AROUND = f"""
WITH hit AS (
  SELECT k.id, k.document_id, k.chunk_index, coalesce(m.headings, '{{}}') AS headings
  FROM public.knowledge_chunks k LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = $1 AND m.chunk_id = k.id
  WHERE k.empresa_id = $1 AND k.id = ANY ($2::text[]))
SELECT hit.id AS hit_id, near.part, near.id AS chunk_id, near.chunk_index::int, near.contenido::text, m.page,
  coalesce(m.headings, '{{}}') AS headings
FROM hit CROSS JOIN LATERAL (
  (SELECT 'before' AS part, n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
   WHERE n.empresa_id = $1 AND n.document_id = hit.document_id AND (n.chunk_index, n.id) < (hit.chunk_index, hit.id)
   ORDER BY n.chunk_index DESC, n.id DESC LIMIT $3)
  UNION ALL
  (SELECT 'after', n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
   WHERE n.empresa_id = $1 AND n.document_id = hit.document_id AND (n.chunk_index, n.id) > (hit.chunk_index, hit.id)
   ORDER BY n.chunk_index, n.id LIMIT $3)
  UNION ALL
  (SELECT 'section', n.id, n.chunk_index, n.contenido FROM public.knowledge_chunks n
   LEFT JOIN ateneo.chunk_meta nm ON nm.empresa_id = $1 AND nm.chunk_id = n.id
   WHERE $4 AND n.empresa_id = $1 AND n.document_id = hit.document_id
     AND n.chunk_index BETWEEN hit.chunk_index - {SECTION_REACH} AND hit.chunk_index + {SECTION_REACH}
     AND coalesce(nm.headings, '{{}}') = hit.headings
   ORDER BY n.id <> hit.id, abs(n.chunk_index - hit.chunk_index), n.id LIMIT {2 * SECTION_REACH + 1})
) near LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = $1 AND m.chunk_id = near.id
WHERE near.contenido IS NOT NULL AND near.id <> ALL ((SELECT ateneo.withdrawn_chunks($1))::text[])
ORDER BY near.chunk_index, near.id
"""  # noqa: S608

_STORED = """
SELECT k.id AS chunk_id, k.document_id::text AS document_id, k.chunk_index::int AS chunk_index,
  k.contenido::text AS contenido, d.title, d.source, m.page, coalesce(m.headings, '{}') AS headings,
  (coalesce(d.metadata, '{}') || coalesce(m.metadata - '$page_breaks', '{}'))::text AS metadata
FROM unnest($2::text[]) WITH ORDINALITY AS asked(id, place)
JOIN public.knowledge_chunks k ON k.empresa_id = $1 AND k.id = asked.id
LEFT JOIN ateneo.chunk_meta m ON m.empresa_id = $1 AND m.chunk_id = k.id
LEFT JOIN ateneo.document d ON d.empresa_id = $1 AND d.document_id = k.document_id::text
WHERE k.contenido IS NOT NULL AND k.id <> ALL ((SELECT ateneo.withdrawn_chunks($1))::text[])
ORDER BY asked.place
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around one hit, each in the document's order; `section` holds the hit itself."""

    before: tuple[Passage, ...] = ()
    after: tuple[Passage, ...] = ()
    section: tuple[Passage, ...] = ()


async def by_ids(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> list[StoredPassage]:
    """The company's chunks among `chunk_ids`, in that order; those that it has not are left out."""
    rows = await db.read(empresa_id, _STORED, list(chunk_ids))
    return [
        StoredPassage(**{**row, "headings": tuple(row["headings"]), "metadata": json.loads(row["metadata"])})
        for row in rows
    ]


async def around(
    db: Database, empresa_id: str, chunk_ids: Sequence[str], *, neighbours: int, section: bool
) -> dict[str, Around]:
    """By chunk_id: up to `neighbours` chunks to each side, and with `section` the chunks under the same heading path
    (at most SECTION_REACH to each side). One statement; chunks without a document have nothing around them."""
    rows = await db.read(empresa_id, _AROUND, list(chunk_ids), neighbours, section)
    parts: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    for row in rows:
        parts[row["hit_id"], row["part"]].append(_passage(row))
    return {one: Around(*(tuple(parts[one, part]) for part in ("before", "after", "section"))) for one in chunk_ids}


async def current(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> dict[str, str]:
    """By chunk_id the text that each of these chunks has now; those that the company does not have are missing."""
    rows = await db.read(
        empresa_id,
        "SELECT id, contenido::text FROM public.knowledge_chunks"
        " WHERE empresa_id = $1 AND id = ANY ($2::text[]) AND contenido IS NOT NULL"
        " AND id <> ALL ((SELECT ateneo.withdrawn_chunks($1))::text[])",
        list(chunk_ids),
    )
    return {row["id"]: row["contenido"] for row in rows}


def _passage(row: asyncpg.Record) -> Passage:
    return Passage(
        chunk_id=row["chunk_id"],
        chunk_index=row["chunk_index"],
        contenido=row["contenido"],
        page=row["page"],
        headings=tuple(row["headings"]),
    )
