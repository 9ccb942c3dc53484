"""A row of a source as it is stored: its document, its chunks, its link."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ateneo.db.chunks import SHORTEST
from ateneo.db.source_rows import Key, NewRow, Row, StoredRow, document_id, row_id
from ateneo.ingestion.chunking import chunk
from ateneo.ports import TokenCounter
from ateneo.sources.vectors import is_vector
from ateneo.text.clean import clean
from ateneo.text.language import detect
from ateneo.types import Chunk, Document, Section
from ateneo.types.sources import Source

_LONGEST_TITLE = 300
_BEGINNING = 60
_LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Chunker:
    """How long texts are cut, as files are."""

    counter: TokenCounter
    max_tokens: int = 200
    overlap: int = 32

    def chunks(self, title: str | None, body: str) -> list[Chunk]:
        text = clean(body)
        if not text.strip():
            return []
        section = Section(text, headings=(title,) if title else ())
        document = Document(title or "", "text/plain", (section,))
        return chunk(document, self.counter, max_tokens=self.max_tokens, overlap=self.overlap)

    def whole(self, title: str | None, body: str) -> list[Chunk]:
        """The text as one chunk: what a vector that is taken over is of."""
        text = clean(body).strip()
        return [Chunk(0, text, self.counter.count_tokens([text])[0], headings=(title,) if title else ())]


def new_rows(
    source: Source,
    rows: Sequence[Row],
    chunker: Chunker,
    before: Mapping[Key, StoredRow],
    generations: Mapping[int, int],
) -> list[NewRow]:
    """`before`: what is stored of them; `generations`: those that vectors of these dimensions go to."""
    return [_new_row(source, one, chunker, stale_vector(one, before.get(one.key)), generations) for one in rows]


def stale_vector(row: Row, before: StoredRow | None) -> str | None:
    """The md5 of its vector where that is of an earlier text: the text changed since, and the vector did not."""
    text, vector = _halves(row.fingerprint)
    if before is None or not vector:
        return None
    text_before, vector_before = _halves(before.fingerprint)
    changed = vector_before == vector and text_before != text
    return vector if changed or before.stale_vector == vector else None


def _halves(fingerprint: str) -> tuple[str, str]:
    """The md5s of the text and of the vector; empty for a source without vectors."""
    _, text, vector = f"{fingerprint}//".split("/")[:3]
    return text, vector


def _external_id(row: Row) -> str | None:
    """What the product calls it; None for what no index takes."""
    name = row.document if row.document is not None else row.key[0] if len(row.key) == 1 else json.dumps(row.key)
    return name if len(name.encode()) <= _LONGEST_NAME else None


def _beginning(text: str) -> str:
    """The first words of a text that has no title."""
    line = next((one.strip() for one in clean(text).splitlines() if one.strip()), "")
    return line if len(line) <= _BEGINNING else line[:_BEGINNING].rsplit(" ", 1)[0] + "…"


def _generation(row: Row, generations: Mapping[int, int]) -> int | None:
    """The one that its vector is taken over by. Texts of a few characters have no vectors here."""
    dims = len(row.vector or ())
    if dims not in generations or not is_vector(row.vector, dims) or len(clean(row.body).strip()) <= SHORTEST:
        return None
    return generations[dims]


def _new_row(source: Source, row: Row, chunker: Chunker, stale: str | None, generations: Mapping[int, int]) -> NewRow:
    assert row.empresa_id is not None
    own = row_id(source.name, row.key)
    grouped = row.document is not None
    title = clean(row.title or "").strip()[:_LONGEST_TITLE]
    metadata = {"language": detect(row.body), **row.metadata}
    generation = None if stale else _generation(row, generations)
    cut = chunker.chunks if generation is None else chunker.whole
    return NewRow(
        key=row.key,
        empresa_id=row.empresa_id,
        row_id=own,
        document_id=document_id(source.name, row.document if row.document is not None else json.dumps(row.key)),
        external_id=_external_id(row) or own,
        title=title or _beginning(row.body) or f"{source.name} {', '.join(row.key)}",
        place=row.place if grouped else None,
        fingerprint=row.fingerprint,
        url=source.mapping.filled_url(row.url, lambda value: quote(value, safe="")),
        bytes=len(row.body.encode()),
        document_metadata={} if grouped else metadata,
        chunk_metadata=metadata if grouped else {},
        chunks=tuple(cut(title or None, row.body)),
        vector=None if generation is None else row.vector,
        generation=generation,
        stale_vector=stale,
    )
