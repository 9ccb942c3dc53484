"""What every retriever does: search, and tell of each passage what is known of it."""

from typing import Any

from ateneo.container import Container
from ateneo.db import passages
from ateneo.search.options import SearchOptions
from ateneo.types import Hit, StoredPassage


async def find(
    container: Container, empresa_id: str, query: str, options: SearchOptions
) -> list[tuple[StoredPassage, Hit]]:
    """The best passages with their hits, best first."""
    hits = (await container.search.search(empresa_id, query, options=options)).hits
    stored = await passages.by_ids(container.db, empresa_id, [hit.chunk_id for hit in hits])
    by_id = {hit.chunk_id: hit for hit in hits}
    return [(one, by_id[one.chunk_id]) for one in stored]


def metadata(passage: StoredPassage) -> dict[str, Any]:
    """Its own metadata and, for a passage of a document, where it stands there; what is not known is left out."""
    if passage.document_id is None:
        return dict(passage.metadata)
    place = {
        "document_id": passage.document_id,
        "chunk_index": passage.chunk_index,
        "title": passage.title,
        "source": passage.source,
        "page": passage.page,
        "headings": list(passage.headings) or None,
        "label": passage.label,
    }
    return {key: value for key, value in place.items() if value is not None} | dict(passage.metadata)
