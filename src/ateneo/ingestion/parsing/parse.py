"""Files read into documents.

A reader a format: PDF, Word, spreadsheets and mail have their own; what is left goes through kreuzberg (office.py).
Any of it may hang, crash or take all memory with a hostile file: `sandbox.read_file` does it in another process.
"""

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from ateneo.errors import (
    DocumentCorrupt,
    DocumentEmpty,
    DocumentEncrypted,
    DocumentError,
    DocumentTooLarge,
    DocumentUnsupported,
)
from ateneo.i18n import size, tr
from ateneo.ingestion.parsing import formats
from ateneo.ingestion.parsing.containers import embedded_files, read_zip
from ateneo.ingestion.parsing.csv_rows import read_csv
from ateneo.ingestion.parsing.extracted import Given, OverLimit, too_large
from ateneo.ingestion.parsing.mail import Attachment, Mail, read_mails
from ateneo.ingestion.parsing.markdown import read_markdown
from ateneo.ingestion.parsing.ocr import Ocr
from ateneo.ingestion.parsing.odt import read_odt
from ateneo.ingestion.parsing.office import read_office
from ateneo.ingestion.parsing.outlook import read_msg
from ateneo.ingestion.parsing.pdf_errors import pdf_errors
from ateneo.ingestion.parsing.pdf_pages import read_pages
from ateneo.ingestion.parsing.pdf_text import read_image, read_pdf
from ateneo.ingestion.parsing.pictures import pictures_of, unread_images
from ateneo.ingestion.parsing.presentations import read_odp, read_pptx
from ateneo.ingestion.parsing.sections import SectionBuilder, under_title
from ateneo.ingestion.parsing.spreadsheets import read_ods, read_xlsx
from ateneo.ingestion.parsing.spreadsheets_97 import read_excel_xml, read_xls
from ateneo.ingestion.parsing.structured import read_json, read_xml
from ateneo.ingestion.parsing.tables import table_text
from ateneo.ingestion.parsing.text_tables import as_table
from ateneo.ingestion.parsing.titles import METADATA, kept, text_of, title_of
from ateneo.ingestion.parsing.word import read_docx
from ateneo.ingestion.parsing.word_97 import EncryptedWord, OtherWord, read_doc
from ateneo.text.clean import clean
from ateneo.types import Document, Skipped

_LOGO = re.compile(r"(?:image|outlook|logo)[\w-]*\.(?:png|jpe?g|gif|bmp)", re.IGNORECASE)
"""How programs name the images of a signature; where they say nothing, they are no news."""
_IN_PROCESS = {formats.MARKDOWN, formats.PLAIN, formats.CSV}
_CONTAINERS = {formats.ZIP, formats.EMAIL, formats.MSG}
_DEEPEST_ATTACHMENT = 3
_BLANK_LINES = re.compile(r"\n\s*\n")

_Read = tuple[SectionBuilder, Mapping[str, Any], int | None]


@dataclass(frozen=True, slots=True)
class _Limits:
    """`depth`: of how many others a file is an attachment; `given`: what all files within the file gave."""

    max_bytes: int
    ocr: Ocr
    depth: int = 0
    given: Given = field(default_factory=Given)


def parse(data: bytes, name: str, *, max_bytes: int, ocr_s: float = math.inf) -> Document:
    """Reads a file; `name` is its name, for its extension, its title and messages. `max_bytes` limits `data`;
    `ocr_s`: for so many seconds pages without text are read by OCR, those after are not; 0: none.

    The title is the one in the metadata, else the first heading, else the name; the first two also lead each
    section's headings. Raises DocumentTooLarge, DocumentEmpty, DocumentEncrypted, DocumentCorrupt or
    DocumentUnsupported.
    """
    try:
        return _parse(data, name, _Limits(max_bytes, Ocr(ocr_s)))
    except OverLimit as over:
        raise too_large(name, *over.args) from None


def _parse(data: bytes, name: str, limits: _Limits) -> Document:
    mime = check(data, name, max_bytes=limits.max_bytes)
    if mime in _IN_PROCESS:
        builder, metadata, pages = _read_text(formats.decode(data) or "", mime, PurePath(name).suffix.lower())
    elif mime == formats.EMAIL:
        builder, metadata, pages = _read_mails(list(read_mails(data)), limits)
    elif mime == formats.MSG:
        builder, metadata, pages = _read_msg(data, name, limits)
    elif mime == formats.ZIP:
        builder, metadata, pages = _read_zip(data, name, limits)
    else:
        builder, metadata, pages = _read_binary(data, name, mime, limits)
    return _document(name, mime, builder, metadata, pages)


def check(data: bytes, name: str, *, max_bytes: int) -> str:
    """Returns the MIME type of a file that is worth reading. Raises as `parse`, without reading it."""
    if len(data) > max_bytes:
        raise DocumentTooLarge(name=name, size=size(len(data)), limit=size(max_bytes))
    if not data.strip():
        raise DocumentEmpty(name=name)
    return formats.detect(data, name)


def _document(
    name: str, mime: str, builder: SectionBuilder, metadata: Mapping[str, Any], pages: int | None
) -> Document:
    sections = tuple(
        replace(section, text=clean(section.text), headings=tuple(map(clean, section.headings)))
        for section in builder.sections()
    )
    if not any(character.isalnum() for section in sections for character in section.text):
        raise DocumentEmpty(name=name)
    title = clean(
        title_of(metadata) or builder.first_heading or (text_of(metadata, "subject") if _is_mail(mime) else "")
    )
    names = metadata.keys() - {"title"} if mime == formats.MARKDOWN else METADATA
    return Document(
        title=title or clean(PurePath(name).name),
        mime=mime,
        sections=under_title(sections, title) if title else sections,
        pages=pages,
        metadata=kept(metadata, names),
        reading=builder.report,
    )


def _is_mail(mime: str) -> bool:
    return mime in (formats.EMAIL, formats.MSG)


# --- text formats -------------------------------------------------------------------------------------------------


def _read_text(text: str, mime: str, extension: str) -> _Read:
    if mime == formats.MARKDOWN:
        reading = read_markdown(text)
        return reading.builder, reading.metadata, None
    structured = _STRUCTURED[extension](text) if extension in _STRUCTURED else None
    if structured is not None:
        return structured, {}, None
    builder = SectionBuilder()
    if mime == formats.CSV:
        builder.table(table_text(read_csv(text)))
    else:
        _add_paragraphs(builder, text)
    return builder, {}, None


def _add_paragraphs(builder: SectionBuilder, text: str) -> None:
    for paragraph in _BLANK_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        table = as_table(paragraph)
        builder.table(table) if table else builder.text(paragraph)


_STRUCTURED: dict[str, Callable[[str], SectionBuilder | None]] = {
    ".json": read_json, ".jsonl": read_json, ".ndjson": read_json, ".geojson": read_json,
    ".xml": lambda text: read_excel_xml(text) or read_xml(text), ".xls": read_excel_xml,
}  # fmt: skip
"""What reads text of these names, or gives None where it is something else."""


# --- mail ---------------------------------------------------------------------------------------------------------


def _read_msg(data: bytes, name: str, limits: _Limits) -> _Read:
    try:
        mails = read_msg(data)
    except _DAMAGED as error:
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
    builder, _, pages = _read_mails(mails, limits)
    return builder, {"subject": mails[0].subject, "title": mails[0].subject}, pages


def _read_mails(mails: Sequence[Mail], limits: _Limits) -> _Read:
    builder = SectionBuilder()
    for mail in mails:
        if len(mails) > 1 and mail.subject:
            builder.heading(1, mail.subject)
        builder.text("\n".join(f"{header}: {value}" for header, value in mail.headers.items()))
        if mail.is_html:
            _add_html(builder, mail.text)
        else:
            _add_paragraphs(builder, mail.text)
        for attachment in mail.attachments:
            _add_attachment(builder, attachment, limits, level=1 if len(mails) == 1 else 2)
    if len(mails) == 1:
        return builder, {"subject": mails[0].subject, "title": mails[0].subject}, None
    builder.first_heading = ""  # one subject is no title of the other mails
    return builder, {}, None


def _pages(numbers: Sequence[int]) -> str:
    return tr("páginas ", "pages ") + ", ".join(map(str, numbers))


def _add_html(builder: SectionBuilder, page: str) -> None:
    reading, _ = read_office(page.encode(), "mail.html", formats.HTML)
    for section in reading.builder.sections():
        builder.text("\n".join((*section.headings[-1:], section.text)))


def _add_attachment(builder: SectionBuilder, attachment: Attachment, limits: _Limits, level: int = 1) -> None:
    """What was attached, below a heading with its name; one that cannot be read is named, with the reason."""
    heading = tr(f"Adjunto: {attachment.name}", f"Attachment: {attachment.name}")
    try:
        document = _attached(attachment, limits)
    except DocumentError as error:
        builder.report = builder.report.with_skipped(attachment.name, error.message)
        if not _LOGO.fullmatch(attachment.name):
            builder.heading(level, heading)
            builder.text(error.message)
        return
    title = builder.first_heading
    builder.heading(level, heading)
    _add_document(builder, attachment.name, document, level)
    builder.first_heading = title  # an attachment's is no title of what has it


def _attached(attachment: Attachment, limits: _Limits) -> Document:
    """Raises DocumentError where it cannot be read, OverLimit where the whole file gives too much."""
    limits.given.unpacked(len(attachment.data))
    if limits.depth >= _DEEPEST_ATTACHMENT:
        detail = tr("no se leyó: está dentro de demasiados otros.", "not read: it is within too many others.")
        raise DocumentCorrupt(name=attachment.name, detail=detail)
    document = _parse(attachment.data, attachment.name, replace(limits, depth=limits.depth + 1))
    if document.mime not in _CONTAINERS:  # whose own files have been counted
        limits.given.extracted(document)
    return document


def _add_document(builder: SectionBuilder, name: str, document: Document, level: int = 1) -> None:
    report = document.reading
    if report.unread_pages:
        report = report.with_skipped(_pages(report.unread_pages), tr("sin texto", "without text"))
    builder.report = builder.report.with_attachment(name, report)
    for section in document.sections:
        for below, heading in enumerate(section.headings, start=level + 1):
            builder.heading(below, heading)
        builder.text(section.text)


def _add_scan(builder: SectionBuilder, image: Attachment, limits: _Limits) -> bool:
    """Adds what an image says, and returns whether it says something."""
    if limits.ocr.is_over():
        return False
    try:
        document = _attached(image, limits)
    except DocumentError:
        return False
    builder.report = builder.report.with_attachment(PurePath(image.name).name, document.reading)
    for section in document.sections:
        builder.text(section.text)
    return True


def _read_zip(data: bytes, name: str, limits: _Limits) -> _Read:
    """Each file below a heading with its name; those that cannot be read are in the report."""
    builder = SectionBuilder()
    try:
        for file in read_zip(data, limits.max_bytes):
            _add_file(builder, file, limits)
    except _DAMAGED as error:
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
    if builder.report.skipped and not builder.report.attachments:
        one = builder.report.skipped[0]
        detail = tr("ninguno de sus archivos se pudo leer", "none of its files could be read")
        raise DocumentCorrupt(name=name, detail=f"{detail}: {one.name} ({one.reason.rstrip('.')}).")
    return builder, {"title": PurePath(name).stem}, None


def _add_file(builder: SectionBuilder, file: Attachment | Skipped, limits: _Limits) -> None:
    if isinstance(file, Skipped):
        builder.report = builder.report.with_skipped(file.name, file.reason)
        return
    try:
        document = _attached(file, limits)
    except DocumentError as error:
        builder.report = builder.report.with_skipped(file.name, error.message)
    else:
        builder.heading(1, file.name)
        _add_document(builder, file.name, document)


# --- binary formats -----------------------------------------------------------------------------------------------


def _read_binary(data: bytes, name: str, mime: str, limits: _Limits) -> _Read:
    if mime == formats.PDF:
        return _read_pdf(data, name, limits)
    if mime in formats.IMAGES:
        return _read_image(data, name, mime, limits.ocr)
    if mime in _ZIPPED_XML:
        return _read_zipped_xml(data, name, mime, limits)
    if mime == formats.DOC and (read := _read_doc(data, name)):
        return read
    if mime == formats.XLS:
        return _read_xls(data, name)
    reading, metadata = read_office(data, name, mime)
    return reading.builder, metadata, None


def _read_doc(data: bytes, name: str) -> _Read | None:
    """None for a version of Word before 1997."""
    try:
        return *read_doc(data), None
    except OtherWord:
        return None
    except EncryptedWord as error:
        raise DocumentEncrypted(name=name) from error
    except (struct.error, *_DAMAGED) as error:
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error


def _read_xls(data: bytes, name: str) -> _Read:
    import xlrd
    from xlrd.compdoc import CompDocError

    try:
        return read_xls(data), {}, None
    except (xlrd.XLRDError, CompDocError, AssertionError, struct.error, *_DAMAGED) as error:
        if "encrypted" in str(error):
            raise DocumentEncrypted(name=name) from error
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error


def _read_image(data: bytes, name: str, mime: str, ocr: Ocr) -> _Read:
    from PIL import Image

    if ocr.is_over():
        raise DocumentUnsupported(name=name, mime=mime)
    try:
        pages, report = read_image(data, ocr)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
    builder = read_pages(pages)
    builder.report = report
    return builder, {}, len(pages)


def _read_pdf(data: bytes, name: str, limits: _Limits) -> _Read:
    with pdf_errors(name):
        pages, metadata, report = read_pdf(data, limits.ocr)
        embedded = embedded_files(data)
    builder = read_pages(pages, title_of(metadata))
    builder.report = report
    for attachment in embedded:
        _add_attachment(builder, attachment, limits)
    return builder, metadata, len(pages)


_LETTERS_BESIDE_SCANS = 300
"""Where a file of Office has fewer of its own for each image, these may be its pages."""

_ZIPPED_XML: dict[str, Callable[[bytes], tuple[SectionBuilder, dict[str, str]]]] = {
    formats.DOCX: read_docx,
    formats.PPTX: read_pptx,
    formats.ODT: read_odt,
    formats.XLSX: read_xlsx,
    formats.ODS: lambda data: (read_ods(data), {}),
    formats.ODP: lambda data: (read_odp(data), {}),
}
_DAMAGED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError, EOFError, RuntimeError,
            zipfile.BadZipFile, zlib.error, SyntaxError)  # fmt: skip
"""What their readers raise for a file that is not what it should be."""


def _read_zipped_xml(data: bytes, name: str, mime: str, limits: _Limits) -> _Read:
    try:
        builder, metadata = _ZIPPED_XML[mime](data)
        images, pages = pictures_of(data)
    except _DAMAGED as error:
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
    for page in pages if builder.letters() < _LETTERS_BESIDE_SCANS * len(pages) else ():
        images -= _add_scan(builder, page, limits)
    if images:
        builder.report = builder.report.with_skipped(*unread_images(images))
    return builder, metadata, builder.page
