"""Workbooks of Excel before 2007 (BIFF) by xlrd, and those in the XML of Excel 2003: cells as they are shown."""

import io
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from ateneo.ingestion.parsing.cell_format import shown
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.sheets import Rows, Sheet, comment, header_is_bold, read_sheets, spread

_XML = "{urn:schemas-microsoft-com:office:spreadsheet}"
_MOST_COLUMNS = 16_384


def read_xls(data: bytes) -> SectionBuilder:
    """Raises what xlrd raises for a damaged file: xlrd.XLRDError, struct.error, AssertionError and others."""
    import xlrd

    with io.StringIO() as log, xlrd.open_workbook(file_contents=data, formatting_info=True, logfile=log) as book:
        return read_sheets([_sheet(book, sheet) for sheet in book.sheets()])


def _sheet(book: Any, sheet: Any) -> Sheet:
    rows = [[_shown(book, cell) for cell in sheet.row(at)] for at in range(sheet.nrows)]
    bold = [[_is_bold(book, cell) for cell in sheet.row(at)] for at in range(min(sheet.nrows, 20))]
    for top, bottom, left, right in sheet.merged_cells:
        spread(rows, (top, left), (bottom - 1, right - 1))
    notes = [comment(rows, row, column, note.text) for (row, column), note in sorted(sheet.cell_note_map.items())]
    return Sheet(sheet.name, rows, sheet.visibility != 0, header_is_bold(rows, bold), notes)


def _shown(book: Any, cell: Any) -> str:
    import xlrd

    number_format = book.format_map[book.xf_list[cell.xf_index].format_key].format_str
    match cell.ctype:
        case xlrd.XL_CELL_DATE:
            return shown(_moment(cell.value, book.datemode, number_format), number_format)
        case xlrd.XL_CELL_BOOLEAN:
            return shown(bool(cell.value))
        case xlrd.XL_CELL_ERROR:
            return str(xlrd.error_text_from_code.get(cell.value, ""))
        case xlrd.XL_CELL_NUMBER:
            return shown(cell.value, number_format)
    return str(cell.value)


def _moment(days: float, mode: int, number_format: str) -> object:
    import xlrd

    if "[h" in number_format.lower():
        return timedelta(days=days)
    try:
        moment = xlrd.xldate_as_datetime(days, mode)
    except (ValueError, OverflowError):
        return days
    return moment.time() if days < 1 and isinstance(moment, datetime) else moment


def _is_bold(book: Any, cell: Any) -> bool:
    return bool(cell.value) and bool(book.font_list[book.xf_list[cell.xf_index].font_index].bold)


def read_excel_xml(text: str) -> SectionBuilder | None:
    """None for text that is none of Excel's."""
    if "urn:schemas-microsoft-com:office:spreadsheet" not in text[:2000]:
        return None
    try:
        root = ElementTree.fromstring(text)
        sheets = [Sheet(one.get(f"{_XML}Name", ""), _xml_rows(one)) for one in root.iter(f"{_XML}Worksheet")]
    except (ElementTree.ParseError, LookupError, ValueError):
        return None
    return read_sheets(sheets)


def _xml_rows(sheet: ElementTree.Element) -> Rows:
    rows: Rows = []
    for row in sheet.iter(f"{_XML}Row"):
        cells: list[str] = []
        for cell in row.iter(f"{_XML}Cell"):
            place = min(int(cell.get(f"{_XML}Index", len(cells) + 1)), _MOST_COLUMNS)
            text = "".join(part for one in cell.iter(f"{_XML}Data") for part in one.itertext())
            cells += [*[""] * (place - 1 - len(cells)), text, *[""] * int(cell.get(f"{_XML}MergeAcross", "0"))]
        rows.append(cells)
    return rows
