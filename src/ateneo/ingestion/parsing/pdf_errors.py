"""What PDFium refuses, as Ateneo's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from ateneo.errors import DocumentCorrupt, DocumentEncrypted
from ateneo.ingestion.parsing import formats


@contextmanager
def pdf_errors(name: str) -> Iterator[None]:
    """Raises DocumentEncrypted or DocumentCorrupt, of the file `name`, for a file that PDFium does not open."""
    import pypdfium2

    try:
        yield
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise DocumentEncrypted(name=name) from error
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
