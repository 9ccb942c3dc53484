"""How much one file may give, whatever its size: in the reader, and again in the process that asks it."""

import sys
from collections.abc import Iterable, Sequence

from ateneo.errors import DocumentTooLarge
from ateneo.i18n import count, tr
from ateneo.i18n import size as readable
from ateneo.types import Chunk, Document

MOST_CHARACTERS = 20_000_000
"""A file of so many takes about the time that reading one may."""
MOST_UNPACKED = 512 * 1024**2
"""Bytes of the files within a file, at all depths together."""
MOST_CHUNKS = 100_000
MOST_HELD = 40 * 1024**2
"""Bytes of memory that the chunks may take in the process that stores them."""
MOST_COUNTED = 10 * MOST_CHARACTERS
"""Characters whose tokens a reader may ask for: it counts some texts several times."""
MOST_DATA = 900 * 1024**2
"""Bytes of memory that a reader may write to."""
LONGEST_FRAME = 1024**2
"""Bytes. JSON takes up to 24 times as much memory as it is long."""

_CHUNK_BYTES = 240
"""What a chunk takes beside its text."""


class OverLimit(Exception):
    """The whole file gives too much: `size`, `limit`."""


class Given:
    """What the files within a file have given so far, at all depths."""

    def __init__(self) -> None:
        self._bytes = self._characters = 0

    def unpacked(self, size: int) -> None:
        """Raises OverLimit."""
        self._bytes += size
        if self._bytes > MOST_UNPACKED:
            raise OverLimit(readable(self._bytes), readable(MOST_UNPACKED))

    def extracted(self, document: Document) -> None:
        """Raises OverLimit."""
        self._characters += characters(document)
        if self._characters > MOST_CHARACTERS:
            raise OverLimit(_text(self._characters), _text(MOST_CHARACTERS))


def characters(document: Document) -> int:
    return sum(len(one.text) + sum(map(len, one.headings)) for one in document.sections)


def held(contenido: str, headings: Sequence[str]) -> int:
    """About the bytes of memory that a chunk takes; neighbours share their headings."""
    return _CHUNK_BYTES + sys.getsizeof(contenido) + 8 * len(headings)


def check_extracted(document: Document, name: str) -> None:
    """Raises DocumentTooLarge."""
    found = characters(document)
    if found > MOST_CHARACTERS:
        raise too_large(name, _text(found), _text(MOST_CHARACTERS))


def check_chunks(chunks: Iterable[Chunk], name: str) -> None:
    """Raises DocumentTooLarge."""
    found, taken = 0, 0
    for one in chunks:
        found += 1
        taken += held(one.contenido, one.headings)
    if found > MOST_CHUNKS:
        one_chunk, many = tr("fragmento", "chunk"), tr("fragmentos", "chunks")
        raise too_large(name, count(found, one_chunk, many), count(MOST_CHUNKS, one_chunk, many))
    if taken > MOST_HELD:
        size = tr(f"{readable(taken)} en fragmentos", f"{readable(taken)} in chunks")
        raise too_large(name, size, readable(MOST_HELD))


def out_of_memory(name: str, limit: str) -> DocumentTooLarge:
    return too_large(
        name, tr("más memoria que la que hay para leer un archivo", "more memory than there is to read a file"), limit
    )


def too_large(name: str, size: str, limit: str) -> DocumentTooLarge:
    return DocumentTooLarge(name=name, size=size, limit=limit, remedy=tr("Dividilo.", "Split it."))


def _text(found: int) -> str:
    return count(found, tr("carácter", "character"), tr("caracteres", "characters"))
