"""Files within files: those of a ZIP archive, and those embedded in a PDF."""

import io
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath

from ateneo.i18n import number, tr
from ateneo.ingestion.parsing.mail import Attachment
from ateneo.types import Skipped

MOST_FILES = 1000
_MOST_EMBEDDED = 50
_BY_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
_ENCRYPTED = 0x1


def read_zip(data: bytes, max_bytes: int) -> Iterator[Attachment | Skipped]:
    """The files of the archive, one at a time, and what is not worth reading, or too large. Raises what zipfile does
    for a damaged one."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [one for one in archive.infolist() if not one.is_dir()]
        for one in files[:MOST_FILES]:
            reason = _reason(one, max_bytes)
            if reason:
                yield Skipped(one.filename, reason)
            else:
                yield Attachment(one.filename, archive.read(one))
    if len(files) > MOST_FILES:
        more = number(len(files) - MOST_FILES)
        yield Skipped(tr(f"{more} más", f"{more} more"), tr("son demasiados archivos", "there are too many files"))


def _reason(file: zipfile.ZipInfo, max_bytes: int) -> str:
    """Why the file is not read, "" where it is."""
    path = PurePosixPath(file.filename)
    if path.name.startswith("~$"):
        return tr("archivo temporal de Office", "temporary file of Office")
    if path.name.lower() in _BY_SYSTEMS or any(part.startswith((".", "__MACOSX")) for part in path.parts):
        return tr("archivo del sistema", "file of the system")
    if file.flag_bits & _ENCRYPTED:
        return tr("tiene contraseña", "it has a password")
    return tr("es demasiado grande", "it is too large") if file.file_size > max_bytes else ""


def embedded_files(data: bytes) -> list[Attachment]:
    """Those of a PDF. Raises pypdfium2.PdfiumError for one that cannot be opened."""
    import pypdfium2

    with pypdfium2.PdfDocument(data) as pdf:
        found = (pdf.get_attachment(at) for at in range(pdf.count_attachments()))
        return [Attachment(one.get_name(), bytes(one.get_data())) for one in islice(found, _MOST_EMBEDDED)]
