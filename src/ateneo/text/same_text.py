"""Where else the text of a hit stands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SameText:
    """A passage whose text is exactly that of a hit, and where it stands."""

    chunk_id: str
    document_id: str | None
    title: str | None = None
    source: str | None = None
    page: int | None = None
