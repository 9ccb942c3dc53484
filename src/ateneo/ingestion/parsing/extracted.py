"""How much text one file may give, whatever its size."""

from ateneo.errors import DocumentTooLarge
from ateneo.i18n import count, tr
from ateneo.types import Document

MOST_CHARACTERS = 20_000_000
"""A file of so many takes about the time that reading one may."""
MOST_SENT = 3 * MOST_CHARACTERS
"""Characters of its chunks, with what they share and their headings."""


def check_extracted(document: Document, name: str) -> None:
    """Raises DocumentTooLarge."""
    found = sum(len(one.text) + sum(map(len, one.headings)) for one in document.sections)
    if found > MOST_CHARACTERS:
        one, many = tr("carácter", "character"), tr("caracteres", "characters")
        size, limit = (count(n, one, many) for n in (found, MOST_CHARACTERS))
        raise DocumentTooLarge(name=name, size=size, limit=limit, remedy=tr("Dividilo.", "Split it."))


def out_of_memory(name: str, limit: str) -> DocumentTooLarge:
    size = tr("más memoria que la que hay para leer un archivo", "more memory than there is to read a file")
    return DocumentTooLarge(name=name, size=size, limit=limit, remedy=tr("Dividilo.", "Split it."))
