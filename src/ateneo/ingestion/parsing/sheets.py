"""The sheets of a workbook, whatever format it comes from: their tables, and what is noted beside cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ateneo.i18n import tr
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import BETWEEN, table_lines

_USUAL_NAME = re.compile(r"(?:hoja|sheet|planilha|feuille|tabelle)\s*_?\d*", re.IGNORECASE)
_MOST_SPREAD = 50
"""A cell merged over more rows, and over columns, is no name of each of them."""

Rows = list[list[str]]
Place = tuple[int, int]


@dataclass(slots=True)
class Sheet:
    """`header`: whether the first row of several cells names columns, None where nothing tells; `notes`: lines below
    the table; `unread`: what was not read of it."""

    name: str
    rows: Rows
    hidden: bool = False
    header: bool | None = None
    notes: list[str] = field(default_factory=list)
    unread: str = ""


def read_sheets(sheets: Sequence[Sheet]) -> SectionBuilder:
    """Each below its name; the usual name of a single one is none."""
    builder = SectionBuilder()
    filled = [sheet for sheet in sheets if any(map(any, sheet.rows)) or any(sheet.notes)]
    for sheet in filled:
        if sheet.hidden:
            builder.heading(1, tr(f"{sheet.name} (hoja oculta)", f"{sheet.name} (hidden sheet)"))
        elif len(filled) > 1 or not _USUAL_NAME.fullmatch(sheet.name):
            builder.heading(1, sheet.name)
        builder.table("\n".join(table_lines(sheet.rows, header=sheet.header)[0]))
        builder.text("\n".join(filter(None, sheet.notes)))
    for sheet in sheets:
        if sheet.unread:
            builder.report = builder.report.with_skipped(sheet.name, sheet.unread)
    if len(filled) > 1:
        builder.first_heading = ""  # one sheet's name is no title of the others
    return builder


def spread(rows: Rows, first: Place, last: Place) -> None:
    """Puts the text of a cell that is merged over rows into each of them, so that no row is without it; one that is
    merged over columns stays in the first, over empty ones."""
    (top, column), (bottom, right) = first, last
    if not 0 <= top < len(rows) or not 0 <= column < len(rows[top]) or (right > column and bottom - top > _MOST_SPREAD):
        return
    for row in rows[top + 1 : bottom + 1]:
        if column < len(row) and not row[column]:
            row[column] = rows[top][column]


def comment(rows: Sequence[Sequence[str]], row: int, column: int, text: str) -> str:
    """What is noted beside a cell, after what names it: the first cell of its row, and its own text."""
    cells = rows[row] if 0 <= row < len(rows) else ()
    own = cells[column] if 0 <= column < len(cells) else ""
    named = BETWEEN.join(dict.fromkeys(filter(None, (next(filter(None, cells), ""), own))))
    text = " ".join(text.split())
    return tr(f"Comentario en {named}: {text}", f"Comment on {named}: {text}") if named and text else text


def header_is_bold(rows: Sequence[Sequence[str]], bold: Sequence[Sequence[bool]]) -> bool | None:
    """True where the first row of several cells is bold and the next one is not; None tells nothing."""
    at = next((at for at, row in enumerate(rows[: len(bold) - 1]) if sum(map(bool, row)) > 1), None)
    if at is None:
        return None
    whole = [all(mark for cell, mark in zip(rows[row], bold[row], strict=True) if cell) for row in (at, at + 1)]
    return True if whole == [True, False] and any(rows[at + 1]) else None
