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


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around one hit, each in the document's order; `section` holds the hit itself."""

    before: tuple[Passage, ...] = ()
    after: tuple[Passage, ...] = ()
    section: tuple[Passage, ...] = ()


async def by_ids(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> list[StoredPassage]:
    """The company's chunks among `chunk_ids`, in that order; those that it has not are left out."""
    rows = await db.read(
        empresa_id,
        "SELECT chunk_id, document_id, chunk_index, contenido, title, source, page, headings,"
        " metadata::text AS metadata FROM ateneo.own_passages($1, $2)",
        list(chunk_ids),
    )
    return [
        StoredPassage(**{**row, "headings": tuple(row["headings"]), "metadata": json.loads(row["metadata"])})
        for row in rows
    ]


async def around(
    db: Database, empresa_id: str, chunk_ids: Sequence[str], *, neighbours: int, section: bool
) -> dict[str, Around]:
    """By chunk_id: up to `neighbours` chunks to each side, and with `section` the chunks under the same heading path
    (at most SECTION_REACH to each side). One statement; chunks without a document have nothing around them."""
    rows = await db.read(
        empresa_id,
        "SELECT hit_id, part, chunk_id, chunk_index, contenido, page, headings"
        " FROM ateneo.own_passages_around($1, $2, $3, $4, $5)",
        list(chunk_ids),
        neighbours,
        section,
        SECTION_REACH,
    )
    parts: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    for row in rows:
        parts[row["hit_id"], row["part"]].append(_passage(row))
    return {one: Around(*(tuple(parts[one, part]) for part in ("before", "after", "section"))) for one in chunk_ids}


async def current(db: Database, empresa_id: str, chunk_ids: Sequence[str]) -> dict[str, str]:
    """By chunk_id the text that each of these chunks has now; those that the company does not have are missing."""
    rows = await db.read(empresa_id, "SELECT chunk_id, contenido FROM ateneo.own_passages($1, $2)", list(chunk_ids))
    return {row["chunk_id"]: row["contenido"] for row in rows}


def _passage(row: asyncpg.Record) -> Passage:
    return Passage(
        chunk_id=row["chunk_id"],
        chunk_index=row["chunk_index"],
        contenido=row["contenido"],
        page=row["page"],
        headings=tuple(row["headings"]),
    )
