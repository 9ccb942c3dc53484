"""Files read into documents.

Text formats are read here; PDF, Office, HTML and e-mail by kreuzberg (Rust), whose Markdown the same reader reads.
Any of it may hang, crash or take all memory with a hostile file: `sandbox.read_file` does it in another process.
"""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ateneo.errors import DocumentCorrupt, DocumentEmpty, DocumentEncrypted, DocumentTooLarge
from ateneo.i18n import size, tr
from ateneo.ingestion.parsing import formats
from ateneo.ingestion.parsing.csv_rows import read_csv
from ateneo.ingestion.parsing.markdown import read_markdown
from ateneo.ingestion.parsing.pdf_pages import read_pages
from ateneo.ingestion.parsing.pdf_text import read_pdf
from ateneo.ingestion.parsing.sections import SectionBuilder, under_title
from ateneo.ingestion.parsing.spreadsheets import read_ods, read_xlsx
from ateneo.ingestion.parsing.tables import table_text
from ateneo.ingestion.parsing.word import read_docx
from ateneo.text.clean import clean
from ateneo.types import Document, Section

_IN_PROCESS = {formats.MARKDOWN, formats.PLAIN, formats.CSV}
_PAGE_MARKER = re.compile(r"ateneo-page-(\d+)-ateneo")
_NO_TITLE = re.compile(
    r"\W*(?:untitled|unspecified|anonymous|unknown|(?:documento? )?sin t[ií]tulo|document[oe]?|libro|book|slide|sheet|page"
    r"|presentaci[oó]n(?: de powerpoint)?|powerpoint presentation|diapositiva|hoja|p[aá]gina|tabla de contenidos?"
    r"|[ií]ndice|contents|table of contents)[\W\d]*|microsoft (?:word|powerpoint|excel) - .*"
    r"|.*\.(?:indd|docx?|dotx?|xlsx?|pptx?|pdf|qx[pd]|cdr|ai|pub|od[tsp]|rtf|txt|pages|key)",
    re.IGNORECASE,
)
_PDF_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([-+Zz])(?:(\d\d)'?(\d\d)?)?)?")
_DATE_DEFAULTS = ("", "01", "01", "00", "00", "00")
_HTML_HEADER_END = re.compile(r"## (?:title|base|canonical|meta-[\w:.-]{1,200}): ")
_HTML_HEADER_LINES = 200
_LONGEST_TITLE = 500
_LONGEST_VALUE = 2000
_MOST_VALUES = 100
_METADATA = ("authors", "subject", "keywords", "language", "created_at", "modified_at")
_BLANK_LINES = re.compile(r"\n\s*\n")

_Read = tuple[SectionBuilder, Mapping[str, Any], int | None]


def parse(data: bytes, name: str, *, max_bytes: int) -> Document:
    """Reads a file; `name` is its name, for its extension, its title and messages. `max_bytes` limits `data`.

    The title is the one in the metadata, else the first heading, else the name; the first two also lead each
    section's headings. Raises DocumentTooLarge, DocumentEmpty, DocumentEncrypted, DocumentCorrupt or
    DocumentUnsupported.
    """
    mime = check(data, name, max_bytes=max_bytes)
    if mime in _IN_PROCESS:
        builder, metadata, pages = _read_text(formats.decode(data) or "", mime)
    else:
        builder, metadata, pages = _read_binary(data, name, mime)
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
        Section(clean(section.text), tuple(map(clean, section.headings)), section.page)
        for section in builder.sections()
    )
    if not any(character.isalnum() for section in sections for character in section.text):
        raise DocumentEmpty(name=name)
    title = clean(_title(metadata) or builder.first_heading or (_said(metadata, "subject") if _is_mail(mime) else ""))
    said = metadata.keys() - {"title"} if mime == formats.MARKDOWN else _METADATA
    kept = {key: _shortened(metadata[key]) for key in said if metadata.get(key)}
    return Document(
        title=title or clean(PurePath(name).name),
        mime=mime,
        sections=under_title(sections, title) if title else sections,
        pages=pages,
        metadata={key: value for key, value in kept.items() if not _NO_TITLE.fullmatch(str(value))},
    )


def _title(metadata: Mapping[str, Any]) -> str:
    return _said(metadata, "title")


def _said(metadata: Mapping[str, Any], key: str) -> str:
    value = " ".join(str(metadata.get(key) or "").split())[:_LONGEST_TITLE].strip()
    return "" if _NO_TITLE.fullmatch(value) or not any(map(str.isalnum, value)) else value


def _shortened(value: Any) -> Any:
    """Metadata travels with every passage: it is no place for a file's text."""
    if isinstance(value, list):
        return [_shortened(one) for one in value[:_MOST_VALUES]]
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value


def _is_mail(mime: str) -> bool:
    return mime in (formats.EMAIL, "application/vnd.ms-outlook")


# --- text formats -------------------------------------------------------------------------------------------------


def _read_text(text: str, mime: str) -> _Read:
    if mime == formats.MARKDOWN:
        reading = read_markdown(text)
        return reading.builder, reading.metadata, None
    builder = SectionBuilder()
    if mime == formats.CSV:
        builder.text(table_text(read_csv(text)))
    else:
        for paragraph in _BLANK_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
            builder.text(paragraph)
    return builder, {}, None


# --- what kreuzberg reads -----------------------------------------------------------------------------------------


def _read_binary(data: bytes, name: str, mime: str) -> _Read:
    if mime in _SHEETS:
        return _read_sheets(data, name, mime), {}, None
    if mime == formats.PDF:
        return _read_pdf(data, name)
    if mime == formats.DOCX:
        return _read_word(data, name)
    result = _extract(_as_utf8(data, mime), name, mime)
    metadata: Mapping[str, Any] = result.metadata
    content = _without_header(result.content) if mime == formats.HTML else result.content
    reading = read_markdown(content, _PAGE_MARKER)
    return reading.builder, metadata, reading.builder.page


def _read_pdf(data: bytes, name: str) -> _Read:
    import pypdfium2

    try:
        pages, said = read_pdf(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise DocumentEncrypted(name=name) from error
        raise DocumentCorrupt(name=name, detail=_damaged()) from error
    metadata: dict[str, Any] = {
        "title": said.get("Title"),
        "authors": [author] if (author := said.get("Author")) else None,
        "subject": said.get("Subject"),
        "keywords": [word for word in re.split(r"\s*[,;]\s*", said.get("Keywords", "")) if word],
        "created_at": _pdf_date(said.get("CreationDate", "")),
        "modified_at": _pdf_date(said.get("ModDate", "")),
    }
    return read_pages(pages, _title(metadata)), metadata, len(pages)


def _pdf_date(value: str) -> str | None:
    """ISO 8601 of "D:20261127010033+00'00'" (ISO 32000-1, 7.9.4)."""
    found = _PDF_DATE.match(value)
    if found is None:
        return None
    year, month, day, *clock = (part or default for part, default in zip(found.groups(), _DATE_DEFAULTS, strict=False))
    zone = f"{found[7]}{found[8]}:{found[9] or '00'}" if found[7] in ("+", "-") else "Z" if found[7] else ""
    return f"{year}-{month}-{day}T{':'.join(clock)}{zone}"


def _damaged() -> str:
    return tr("el archivo está dañado o incompleto.", "the file is damaged or incomplete.")


_SHEETS = {formats.XLSX: read_xlsx, formats.ODS: read_ods}
_DAMAGED = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
)
"""What the readers of zipped XML raise for a file that is not what it should be."""


def _read_word(data: bytes, name: str) -> _Read:
    try:
        builder, metadata = read_docx(data)
    except _DAMAGED as error:
        raise DocumentCorrupt(name=name, detail=_damaged()) from error
    return builder, metadata, None


def _read_sheets(data: bytes, name: str, mime: str) -> SectionBuilder:
    try:
        return _SHEETS[mime](data)
    except _DAMAGED as error:
        raise DocumentCorrupt(name=name, detail=_damaged()) from error


def _without_header(content: str) -> str:
    """Without what kreuzberg writes of a page's metadata above its text: a rule, fields, the last one as a heading."""
    lines = content.split("\n", _HTML_HEADER_LINES)
    if lines[0] != "---":
        return content
    end = next((at for at, line in enumerate(lines) if line.startswith("## ")), 0)
    return "\n".join(lines[end + 1 :]) if _HTML_HEADER_END.match(lines[end]) else content


def _as_utf8(data: bytes, mime: str) -> bytes:
    text = formats.decode(data) if mime == formats.HTML else None
    return text.encode("utf-8", "replace") if text is not None else data


def _extract(data: bytes, name: str, mime: str) -> Any:
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format="plain" if mime == formats.PDF else "markdown",
        pages=kreuzberg.PageConfig(
            extract_pages=mime == formats.PDF,
            insert_page_markers=mime == formats.PPTX,
            marker_format="\n\nateneo-page-{page_num}-ateneo\n\n",
        ),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        return kreuzberg.extract_bytes_sync(data, mime, config)
    except kreuzberg.KreuzbergError as error:
        if "password" in str(error).lower() or "encrypt" in str(error).lower():
            raise DocumentEncrypted(name=name) from error
        raise DocumentCorrupt(name=name, detail=_damaged()) from error
