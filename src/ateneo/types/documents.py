"""A document: as it is parsed, cut into chunks, and stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ateneo.text.source_label import label
from ateneo.types.reading import NO_REPORT, ReadingReport


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading and on one page, as the parser saw it. `headings` is the path from the
    title down; `page` counts from 1, None where the format has no pages; `continues`: its first paragraph is the rest
    of the last one before it, which the end of a page divided."""

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    title: str
    mime: str
    sections: tuple[Section, ...]
    pages: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reading: ReadingReport = NO_REPORT


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: the unit that is embedded, searched and cited. `tokens` by the embedder's own tokeniser; `page` is
    where its own text begins; `page_breaks`, where it stands on several: where each begins, (offset in code points,
    page)."""

    index: int
    contenido: str
    tokens: int
    page: int | None = None
    headings: tuple[str, ...] = ()
    page_breaks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Who a file of a folder is: the name of its source, and its path below the source's folder, with `/`. Where the
    folder stands on this machine is kept to tell folders of one name apart."""

    source: str
    path: str
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of one company; `source` is its name, `status` what an ingestion did: docs/how-to/documents.md.

    `same_name` and `same_bytes`, where it was created: the company's newest others with its name, or its bytes.
    `reading` is None for one that was stored before there were such reports.
    """

    document_id: str
    empresa_id: str
    title: str
    source: str
    mime: str
    chunks: int
    bytes: int
    pages: int | None = None
    status: Literal["created", "replaced", "updated", "unchanged", "superseded", "stored"] = "stored"
    created_at: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None
    external_id: str | None = None
    same_name: tuple[str, ...] = ()
    same_bytes: tuple[str, ...] = ()
    reading: ReadingReport | None = None


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A chunk as it is stored. `metadata` is the document's, then the chunk's own over it."""

    chunk_id: str
    document_id: str | None
    chunk_index: int | None
    contenido: str
    title: str | None = None
    source: str | None = None
    page: int | None = None
    headings: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Where it comes from, for people."""
        return label(self.title, self.headings, self.page, self.contenido)
