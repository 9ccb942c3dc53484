"""Tables in plain text: rows of cells that spaces or tabs put one below the other."""

import re
from collections.abc import Iterator, Sequence

from ateneo.ingestion.parsing.pdf_tables import Segment, find_tables
from ateneo.ingestion.parsing.tables import table_text

_CELL = re.compile(r"\S+(?:\s\S+)*")
_GAP = re.compile(r"\S(?: {2,}|\t+)\S")
_RULE = re.compile(r"[\s|+=-]*[=-]{3}[\s|+=-]*")
_LEAST_ROWS, _MOST_ROWS = 3, 2000
_WIDTH, _HEIGHT = 6.0, 12.0
"""Of a letter, as if it were on paper: two spaces are a wide gap."""


def as_table(paragraph: str) -> str | None:
    """The paragraph as lines of a table, each with the names of its columns; None for what is none."""
    lines = [line.expandtabs() for line in paragraph.split("\n") if line.strip() and not _RULE.fullmatch(line)]
    if not _LEAST_ROWS <= len(lines) <= _MOST_ROWS or sum(bool(_GAP.search(line)) for line in lines) < len(lines) - 1:
        return None
    rows = [list(_segments(line, at)) for at, line in enumerate(lines)]
    tables = find_tables([segment for row in rows for segment in row], [])
    if len(tables) != 1:
        return None
    return "\n".join([*_outside(rows, tables[0].segments), table_text(tables[0].rows)])


def _segments(line: str, at: int) -> Iterator[Segment]:
    for cell in _CELL.finditer(line):
        bottom = -_HEIGHT * at
        yield Segment(cell[0], cell.start() * _WIDTH, bottom, cell.end() * _WIDTH, bottom + 10.0, 10.0)


def _outside(rows: Sequence[Sequence[Segment]], held: set[int]) -> Iterator[str]:
    """The lines above the table, of a title."""
    yield from (" ".join(one.text for one in row) for row in rows if row and id(row[0]) not in held)
