"""Spreadsheets read sheet by sheet, cells as they are shown: XLSX by openpyxl, ODS by its own texts of cells."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from ateneo.i18n import tr
from ateneo.ingestion.parsing.cell_format import shown
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import table_text

_USUAL_NAME = re.compile(r"(?:hoja|sheet|planilha|feuille|tabelle)\s*_?\d*", re.IGNORECASE)
_MERGED = re.compile(rb'<mergeCell [^>]*ref="([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)"')
_MOST_REPEATED = 100
"""Equal cells or rows that a file declares once; more of them is the empty rest of a sheet."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"

_Rows = list[list[str]]


def read_xlsx(data: bytes) -> SectionBuilder:
    """Raises what openpyxl raises for a damaged file: KeyError, ValueError, zipfile.BadZipFile and others."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    builder = SectionBuilder()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = _sheet_parts(archive)
            for sheet in book.worksheets:
                rows = [
                    [shown(cell.value, getattr(cell, "number_format", "General")) for cell in row]
                    for row in sheet.iter_rows()
                ]
                _spread(rows, archive.read(parts[sheet.title]), sheet)
                _add(builder, sheet.title, rows, hidden=sheet.sheet_state != "visible", alone=len(book.worksheets) == 1)
    finally:
        book.close()
    return builder


def _sheet_parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Where the archive has each sheet, by its name."""
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {one.get("Id"): one.get("Target", "") for one in relations}
    sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")
    paths = {one.get("name", ""): targets[one.get(f"{_RELATION}id")] for one in sheets}
    return {name: path.removeprefix("/") if path.startswith("/") else f"xl/{path}" for name, path in paths.items()}


def _spread(rows: _Rows, xml: bytes, sheet: object) -> None:
    """Puts the text of a cell that is merged over rows into each of them, so that no row is without it; one that is
    merged over columns stays in the first, over empty ones."""
    top, left = getattr(sheet, "min_row", 1) or 1, getattr(sheet, "min_column", 1) or 1
    for first, start, last, end in _MERGED.findall(xml):
        column, height = _column(first) - left, int(end) - int(start)
        at = int(start) - top
        if not height or not 0 <= at < len(rows) or not 0 <= column < len(rows[at]) or (last != first and height > 50):
            continue
        for row in rows[at + 1 : at + 1 + height]:
            if column < len(row) and not row[column]:
                row[column] = rows[at][column]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def read_ods(data: bytes) -> SectionBuilder:
    """Raises KeyError, zipfile.BadZipFile, ElementTree.ParseError for a damaged file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    hidden = {
        style.get(f"{_STYLE}name")
        for style in root.iter(f"{_STYLE}style")
        for properties in style.iter(f"{_STYLE}table-properties")
        if properties.get(f"{_TABLE}display") == "false"
    }
    builder = SectionBuilder()
    sheets = list(root.iter(f"{_TABLE}table"))
    for sheet in sheets:
        name = sheet.get(f"{_TABLE}name", "")
        _add(builder, name, _ods_rows(sheet), hidden=sheet.get(f"{_TABLE}style-name") in hidden, alone=len(sheets) == 1)
    return builder


def _ods_rows(sheet: ElementTree.Element) -> _Rows:
    rows: _Rows = []
    below: dict[int, tuple[int, str]] = {}  # column -> rows that its merged cell still covers, and its text
    for row in sheet.iter(f"{_TABLE}table-row"):
        cells = list(_ods_cells(row, below))
        times = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        rows += [list(cells) for _ in range(times if any(cells) and times <= _MOST_REPEATED else 1)]
    return rows


def _ods_cells(row: ElementTree.Element, below: dict[int, tuple[int, str]]) -> Iterator[str]:
    at = 0
    for cell in row:
        if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            continue
        text = "\n".join("".join(one.itertext()) for one in cell if one.tag == f"{_TEXT}p")
        left, above = below.pop(at, (0, ""))
        if cell.tag.endswith("covered-table-cell") and left:
            text = text or above
            if left > 1:
                below[at] = (left - 1, above)
        height = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
        if height > 1:
            below[at] = (height - 1, text)
        times = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        times = times if times <= _MOST_REPEATED else 1
        yield from [text] * times
        at += times


def _add(builder: SectionBuilder, name: str, rows: Sequence[Sequence[str]], *, hidden: bool, alone: bool) -> None:
    text = table_text(rows)
    if not text:
        return
    if hidden:
        builder.heading(1, tr(f"{name} (hoja oculta)", f"{name} (hidden sheet)"))
    elif not alone or not _USUAL_NAME.fullmatch(name):
        builder.heading(1, name)
    builder.table(text)
