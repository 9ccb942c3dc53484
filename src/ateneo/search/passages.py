"""What is done to the hits of a search before they are given back: grouped, highlighted, what stands around them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ateneo.db import passages
from ateneo.db.pool import Database
from ateneo.search.highlight import highlights
from ateneo.types import DocumentHits, Hit

MOST_NEIGHBOURS = 10
PER_DOCUMENT = 3
"""Passages that a group shows of its document."""


async def surrounded(
    db: Database, empresa_id: str, hits: Sequence[Hit], *, neighbours: int, section: bool
) -> tuple[Hit, ...]:
    """The hits with their neighbours and sections: one statement for all of them, none where nothing is asked."""
    if not hits or not (neighbours or section):
        return tuple(hits)
    ids = [hit.chunk_id for hit in hits]
    found = await passages.around(db, empresa_id, ids, neighbours=neighbours, section=section)
    places = [found[hit.chunk_id] for hit in hits]
    return tuple(
        replace(hit, before=place.before, after=place.after, section=place.section)
        for hit, place in zip(hits, places, strict=True)
    )


def by_document(hits: Sequence[Hit]) -> list[DocumentHits]:
    """The hits by document, in the order of each one's best hit, at most PER_DOCUMENT of each."""
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        key = f"chunk {hit.chunk_id}" if hit.document_id is None else f"document {hit.document_id}"
        groups.setdefault(key, []).append(hit)
    return [
        DocumentHits(group[0].document_id, group[0].title, group[0].source, tuple(group[:PER_DOCUMENT]))
        for group in groups.values()
    ]


def highlighted(hits: Sequence[Hit], corrected: Mapping[str, str]) -> tuple[Hit, ...]:
    """The hits with the spans of the words that they matched, a corrected word under its correction, too."""
    return tuple(
        replace(
            hit,
            highlights=highlights(
                hit.contenido, {*hit.matched, *(corrected[word] for word in hit.matched if word in corrected)}
            ),
        )
        for hit in hits
    )
