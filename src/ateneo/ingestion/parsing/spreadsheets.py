"""Spreadsheets read sheet by sheet, cells as they are shown: XLSX by openpyxl, ODS by its own texts of cells."""

import io
import os
import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from ateneo.i18n import count, tr
from ateneo.ingestion.parsing.cell_format import shown
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.sheets import Sheet, comment, header_is_bold, read_sheets, spread
from ateneo.ingestion.parsing.spanning_cells import SpanningCells
from ateneo.ingestion.parsing.word import properties_of

_REFERENCE = re.compile(r"([A-Z]{1,3})(\d+)")
_MERGED = re.compile(rb'<mergeCell [^>]*ref="([A-Z]{1,3}\d+):([A-Z]{1,3}\d+)"')
_NOT_COMPUTED = re.compile(rb"<f(?:/>|[ >][^<]*(?:</f>)?)\s*(?:<v\s*/>|<v>\s*</v>|</c>)")
_MOST_REPEATED = 100
"""Equal cells or rows that a file declares once; more of them is the empty rest of a sheet."""
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"

_Rows = list[list[str]]


# --- XLSX ---------------------------------------------------------------------------------------------------------


def read_xlsx(data: bytes) -> tuple[SectionBuilder, dict[str, str]]:
    """The sheets, and what the file says of itself. Raises what openpyxl raises for a damaged file: KeyError,
    ValueError, zipfile.BadZipFile and others."""
    os.environ.setdefault("OPENPYXL_DEFUSEDXML", "False")  # its parser is Python's own, twice as slow
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = _sheet_parts(archive)
            sheets = [_xlsx_sheet(sheet, archive, parts[sheet.title]) for sheet in book.worksheets]
            return read_sheets(sheets), properties_of(archive)
    finally:
        book.close()


def _xlsx_sheet(sheet: object, archive: zipfile.ZipFile, part: str) -> Sheet:
    rows: _Rows = []
    bold: list[list[bool]] = []
    for row in sheet.iter_rows():  # type: ignore[attr-defined]
        rows.append([shown(cell.value, getattr(cell, "number_format", "General")) for cell in row])
        if len(bold) < 20:
            bold.append([cell.value is not None and cell.font.b is True for cell in row])
    xml = archive.read(part)
    top, left = getattr(sheet, "min_row", 1) or 1, getattr(sheet, "min_column", 1) or 1
    for first, last in _MERGED.findall(xml):
        spread(rows, _place(first.decode(), top, left), _place(last.decode(), top, left))
    missing = len(_NOT_COMPUTED.findall(xml))
    notes = [
        comment(rows, *_place(reference, top, left), text)
        for reference, text in _comments(archive, _related(archive, part, "comments"))
    ]
    return Sheet(
        name=sheet.title,  # type: ignore[attr-defined]
        rows=rows,
        hidden=sheet.sheet_state != "visible",  # type: ignore[attr-defined]
        header=header_is_bold(rows, bold),
        notes=[*notes, *_drawn_texts(archive, _related(archive, part, "drawing"))],
        unread=_not_computed(missing) if missing else "",
    )


def _not_computed(missing: int) -> str:
    return tr(
        count(missing, "fórmula sin calcular", "fórmulas sin calcular"),
        count(missing, "formula without a value", "formulas without a value"),
    )


def _sheet_parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """Where the archive has each sheet, by its name."""
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {one.get("Id"): one.get("Target", "") for one in relations}
    sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")
    paths = {one.get("name", ""): targets[one.get(f"{_RELATION}id")] for one in sheets}
    return {name: path.removeprefix("/") if path.startswith("/") else f"xl/{path}" for name, path in paths.items()}


def _related(archive: zipfile.ZipFile, part: str, kind: str) -> ElementTree.Element | None:
    """What the sheet refers to: its comments, its drawing."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return None
    for one in ElementTree.fromstring(archive.read(relations)):
        target = posixpath.normpath(posixpath.join("/", folder, one.get("Target", ""))).lstrip("/")
        if one.get("Type", "").endswith(f"/{kind}") and target in archive.namelist():
            return ElementTree.fromstring(archive.read(target))
    return None


def _comments(archive: zipfile.ZipFile, root: ElementTree.Element | None) -> Iterator[tuple[str, str]]:
    for one in () if root is None else root.iter(f"{_MAIN}comment"):
        yield one.get("ref", ""), "".join(text.text or "" for text in one.iter(f"{_MAIN}t"))


def _drawn_texts(archive: zipfile.ZipFile, root: ElementTree.Element | None) -> Iterator[str]:
    """What is written in boxes over the cells."""
    for one in () if root is None else root.iter(f"{_DRAWING}p"):
        yield "".join(text.text or "" for text in one.iter(f"{_DRAWING}t")).strip()


def _place(reference: str, top: int, left: int) -> tuple[int, int]:
    """The row and column of "B7" where the rows begin at `top`, their cells at `left`."""
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        return -1, -1
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return int(found[2]) - top, column - left


# --- ODS ----------------------------------------------------------------------------------------------------------


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
    return read_sheets([_ods_sheet(sheet, hidden) for sheet in root.iter(f"{_TABLE}table")])


def _ods_sheet(sheet: ElementTree.Element, hidden: set[str | None]) -> Sheet:
    rows: _Rows = []
    notes: list[str] = []
    spanning = SpanningCells()
    for row in sheet.iter(f"{_TABLE}table-row"):
        cells = list(_ods_cells(row, spanning))
        times = int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        rows += [list(cells) for _ in range(times if any(cells) and times <= _MOST_REPEATED else 1)]
        notes += _ods_comments(row, rows)
    name = sheet.get(f"{_TABLE}name", "")
    return Sheet(name, rows, hidden=sheet.get(f"{_TABLE}style-name") in hidden, notes=notes)


def _ods_cells(row: ElementTree.Element, spanning: SpanningCells) -> Iterator[str]:
    at = 0
    for cell in row:
        if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            continue
        covered = cell.tag.endswith("covered-table-cell")
        height = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
        text = spanning.text(at, _ods_text(cell), covered=covered, rows=height)
        times = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        times = times if times <= _MOST_REPEATED else 1
        yield from [text] * times
        at += times


def _ods_text(element: ElementTree.Element) -> str:
    return "\n".join("".join(one.itertext()) for one in element if one.tag == f"{_TEXT}p")


def _ods_comments(row: ElementTree.Element, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for cell in row:
        found = cell.find(f"{_OFFICE}annotation")
        if found is not None and (text := _ods_text(found)):
            own = _ods_text(cell)
            yield comment(rows, len(rows) - 1, rows[-1].index(own) if own in rows[-1] else -1, text)
