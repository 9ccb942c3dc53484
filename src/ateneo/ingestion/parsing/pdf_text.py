"""The lines and tables of a PDF's pages, by PDFium: text in the file's order, tables by where their cells stand. Pages
without text, and images, by OCR."""

import ctypes
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from statistics import fmean, median
from typing import Any

from ateneo.i18n import tr
from ateneo.ingestion.parsing.ocr import Ocr, Recognized, is_scanned
from ateneo.ingestion.parsing.pdf_grid import find_grids
from ateneo.ingestion.parsing.pdf_pages import HEADING, ROW
from ateneo.ingestion.parsing.pdf_tables import (
    CELL_GAP,
    HYPHEN,
    Rule,
    Segment,
    Table,
    find_tables,
    is_divided,
    upright_of,
)
from ateneo.ingestion.parsing.tables import table_lines
from ateneo.types import ReadingReport

_PDF_DATE = re.compile(r"(?:D:)?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([-+Zz])(?:(\d\d)'?(\d\d)?)?)?")
_DATE_DEFAULTS = ("", "01", "01", "00", "00", "00")
_COMMAS = re.compile(r"\s*[,;]\s*")
_THIN = 3.0
_MOST_RULES = 20_000
_PARAGRAPH_GAP = 1.35
"""Between two paragraphs there is at least this much of the usual distance of lines."""
_HEADING_SIZE = 1.15
_LONGEST_HEADING = 120
_PAGE_WIDTH = 595.0
"""Points: an image is taken for a page of this width."""
_MOST_FRAMES = 100
_MOST_NOTES = 500
_NOTES = {1, 9, 10, 11, 12, 14}
"""FPDF_ANNOT_TEXT, _HIGHLIGHT, _UNDERLINE, _SQUIGGLY, _STRIKEOUT, _CARET."""


@dataclass(slots=True)
class _Drawn:
    """A line of the file: its text, and its parts with wide gaps between them, one at least."""

    text: str
    segments: list[Segment]
    size: float


@dataclass(slots=True)
class _Page:
    """`scanned`: whether it has no text of its own; `confidence`: of the OCR, None where nothing was read so; `notes`:
    what readers wrote beside it."""

    drawn: list[_Drawn]
    tables: list[Table]
    scanned: bool = False
    confidence: float | None = None
    notes: Sequence[str] = ()


def read_pdf(data: bytes, ocr: Ocr) -> tuple[list[str], dict[str, Any], ReadingReport]:
    """The lines of each page as `pdf_pages.read_pages` takes them, and what the file says of itself. Raises
    pypdfium2.PdfiumError for a file that cannot be opened."""
    import pypdfium2

    with pypdfium2.PdfDocument(data) as pdf:
        if pdf.get_formtype():
            pdf.init_forms()
        metadata = _metadata(pdf.get_metadata_dict())
        pages = [_page(pdf, number, ocr) for number in range(len(pdf))]
    return _texts(pages), metadata, _report(pages)


def read_image(data: bytes, ocr: Ocr) -> tuple[list[str], ReadingReport]:
    """As `read_pdf`, an image a page. Raises OSError, and others of PIL, for a file that cannot be opened."""
    from PIL import Image, ImageOps, ImageSequence

    with Image.open(io.BytesIO(data)) as image:
        frames = (ImageOps.exif_transpose(one).convert("L") for one in ImageSequence.Iterator(image))
        pages = [_recognized(ocr.read_image(one, one.width / _PAGE_WIDTH)) for one in islice(frames, _MOST_FRAMES)]
    return _texts(pages), _report(pages)


def _report(pages: Sequence[_Page]) -> ReadingReport:
    read = {at: page.confidence for at, page in enumerate(pages, 1) if page.confidence is not None}
    return ReadingReport(
        pages_without_text=tuple(at for at, page in enumerate(pages, 1) if page.scanned),
        ocr_pages=tuple(read),
        ocr_confidence=round(fmean(read.values()), 3) if read else None,
        tables=sum(len(page.tables) for page in pages),
    )


def _texts(pages: Sequence[_Page]) -> list[str]:
    sizes = [line.size for page in pages for line in page.drawn for _ in range(len(line.text))]
    body = median(sizes) if sizes else 0.0
    former: Table | None = None
    names: list[str] = []
    texts = []
    for page in pages:
        rows = []
        for table in page.tables:
            names = names if former is not None and former.is_continued_by(table) else []
            lines, names = table_lines(table.rows, names)
            rows.append(lines)
            former = table
        texts.append("\n".join(_lines(page, rows, body)))
    return texts


def _metadata(entries: dict[str, str]) -> dict[str, Any]:
    """The entries of the document information dictionary (ISO 32000-1, 14.3.3) by our names."""
    return {
        "title": entries.get("Title"),
        "authors": [author] if (author := entries.get("Author")) else None,
        "subject": entries.get("Subject"),
        "keywords": [word for word in _COMMAS.split(entries.get("Keywords", "")) if word],
        "created_at": _pdf_date(entries.get("CreationDate", "")),
        "modified_at": _pdf_date(entries.get("ModDate", "")),
    }


def _pdf_date(value: str) -> str | None:
    """ISO 8601 of "D:20261127010033+00'00'" (ISO 32000-1, 7.9.4)."""
    found = _PDF_DATE.match(value)
    if found is None:
        return None
    year, month, day, *clock = (part or default for part, default in zip(found.groups(), _DATE_DEFAULTS, strict=False))
    zone = f"{found[7]}{found[8]}:{found[9] or '00'}" if found[7] in ("+", "-") else "Z" if found[7] else ""
    return f"{year}-{month}-{day}T{':'.join(clock)}{zone}"


def _page(pdf: Any, number: int, ocr: Ocr) -> _Page:
    from pypdfium2 import raw

    page = pdf[number]
    try:
        notes = list(islice(_notes(page), _MOST_NOTES))
        if raw.FPDFPage_GetAnnotCount(page):
            raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)  # what forms and stamps show becomes text of the page
            page.close()
            page = pdf[number]
        rules = list(islice(_rules(page), _MOST_RULES))
        text_page = page.get_textpage()
        try:
            drawn = list(_drawn(text_page, rules))
        finally:
            text_page.close()
        if is_scanned(page, "".join(line.text for line in drawn)):
            found = _recognized(ocr.read_page(page))
            return found if found.drawn else _Page(drawn, [], scanned=True)
    finally:
        page.close()
    return _Page(drawn, _tables(drawn, rules), notes=notes)


def _notes(page: Any) -> Iterator[str]:
    """The texts of notes that the page does not show: those of sticky notes and of marked passages."""
    from pypdfium2 import raw

    for at in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, at)
        if raw.FPDFAnnot_GetSubtype(annotation) in _NOTES:
            size = raw.FPDFAnnot_GetStringValue(annotation, b"Contents", None, 0)
            text = ctypes.create_string_buffer(size)
            raw.FPDFAnnot_GetStringValue(
                annotation, b"Contents", ctypes.cast(text, ctypes.POINTER(ctypes.c_ushort)), size
            )
            if note := " ".join(text.raw.decode("utf-16-le", "replace").replace("\x00", "").split()):
                yield note
        raw.FPDFPage_CloseAnnot(annotation)


def _tables(drawn: Sequence[_Drawn], rules: Sequence[Rule]) -> list[Table]:
    """From the top down: those with drawn cells, and those that the places of texts make."""
    segments = [segment for line in drawn for segment in line.segments]
    grids = find_grids(segments, rules)
    others = [one for one in segments if not any(grid.holds(one) for grid in grids)]
    places = {id(segment): at for at, segment in enumerate(segments)}
    return sorted([*grids, *find_tables(others, rules)], key=lambda table: min(map(places.__getitem__, table.segments)))


def _recognized(found: Recognized | None) -> _Page:
    if found is None:
        return _Page([], [], scanned=True)
    drawn = [_Drawn(" ".join(one.text for one in line), line, line[0].size) for line in found.lines]
    return _Page(drawn, _tables(drawn, found.rules), scanned=True, confidence=found.confidence)


def _lines(page: _Page, rows: Sequence[Sequence[str]], body: float) -> Iterator[str]:
    """The lines outside tables, a blank one before each paragraph, and each table where its first line stood."""
    distances = sorted(_apart(one, other) for one, other in pairwise(page.drawn) if _apart(one, other) > 0)
    usual = distances[len(distances) // 4] if distances else 0.0
    shown: set[int] = set()
    before: _Drawn | None = None
    for line in page.drawn:
        at = next((at for at, table in enumerate(page.tables) if table.holds(line.segments[0])), None)
        if at is not None:
            if at not in shown:
                shown.add(at)
                yield ""
                yield from (ROW + row for row in rows[at])
                yield ""
            yield from (one.text for one in line.segments if not any(table.holds(one) for table in page.tables))
            before = None
            continue
        if before is not None and _apart(before, line) > usual * _PARAGRAPH_GAP:
            yield ""
        text = line.text.strip()
        is_heading = line.size > body * _HEADING_SIZE and len(text) <= _LONGEST_HEADING
        yield HEADING + text if is_heading else text
        before = line
    for note in page.notes:
        yield f"{ROW}{tr('Comentario', 'Comment')}: {note}"


def _apart(one: _Drawn, other: _Drawn) -> float:
    """How much lower the other line is, in points."""
    return one.segments[-1].middle - other.segments[0].middle


def _drawn(text_page: Any, rules: Sequence[Rule]) -> Iterator[_Drawn]:
    from pypdfium2 import raw

    upright = upright_of(rules)
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    characters: list[str] = []
    segments: list[Segment] = []
    sizes: list[float] = []
    for at in range(text_page.count_chars()):
        character = chr(raw.FPDFText_GetUnicode(text_page, at))
        if character in "\r\n":
            if segments:
                yield _Drawn("".join(characters), segments, median(sizes))
            characters, segments, sizes = [], [], []
            continue
        characters.append(character)
        if character == HYPHEN and segments:
            segments[-1].text += HYPHEN
        if character.isspace() or character == HYPHEN:
            continue
        raw.FPDFText_GetCharBox(text_page, at, left, right, bottom, top)
        size = raw.FPDFText_GetFontSize(text_page, at) or top.value - bottom.value
        sizes.append(size)
        last = segments[-1] if segments else None
        if (
            last is not None
            and _goes_on(last, left.value, bottom.value, top.value, size)
            and not is_divided(last, left.value, upright)
        ):
            spaced = len(characters) > 1 and characters[-2].isspace()
            last.add((" " if spaced else "") + character, left.value, bottom.value, right.value, top.value)
        else:
            segments.append(Segment(character, left.value, bottom.value, right.value, top.value, size))
    if segments:
        yield _Drawn("".join(characters), segments, median(sizes))


def _goes_on(last: Segment, left: float, bottom: float, top: float, size: float) -> bool:
    apart = left - last.right
    return -size < apart < CELL_GAP * max(size, last.size) and bottom < last.top and top > last.bottom


def _rules(page: Any) -> Iterator[Rule]:
    """The straight lines of the page: left, bottom, right, top of each; the edges of boxes count as lines."""
    from pypdfium2 import raw

    for item in page.get_objects(filter=(raw.FPDF_PAGEOBJ_PATH,), max_depth=4):
        points = list(_points(item))
        for (x, y, _), (to_x, to_y, straight) in pairwise(points):
            left, right, bottom, top = min(x, to_x), max(x, to_x), min(y, to_y), max(y, to_y)
            if straight and min(right - left, top - bottom) <= _THIN < max(right - left, top - bottom):
                yield left, bottom, right, top


def _points(path: Any) -> Iterator[tuple[float, float, bool]]:
    """Where the path goes, and whether a straight line goes there."""
    from pypdfium2 import raw

    matrix = path.get_matrix()
    x, y, first = ctypes.c_float(), ctypes.c_float(), None
    for at in range(min(raw.FPDFPath_CountSegments(path), _MOST_RULES)):
        segment = raw.FPDFPath_GetPathSegment(path, at)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        place = matrix.on_point(x.value, y.value)
        kind = raw.FPDFPathSegment_GetType(segment)
        first = place if kind == raw.FPDF_SEGMENT_MOVETO or first is None else first
        yield *place, kind == raw.FPDF_SEGMENT_LINETO
        if raw.FPDFPathSegment_GetClose(segment):
            yield *first, True
