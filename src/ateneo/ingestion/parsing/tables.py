"""Tables as lines that can be read, and found, on their own: every row with the names of its columns."""

import re
from collections.abc import Sequence
from itertools import groupby

Row = Sequence[str]

BETWEEN = " | "
LEVELS = " / "
"""Between the names of a column that has several, one above the other."""
_LONGEST_NAME = 100
"""A longer cell names no column: as one it would be repeated in every row."""
_YEAR = re.compile(r"(?:19|20)\d\d")
_VALUE = re.compile(
    r"[^\w(]*[(-]?\s?[\d][\d.,' \N{NO-BREAK SPACE}]*(?:\s?[%°ºª)]|\s?(?:[a-zA-Z$€£]{1,4}\.?))?"
    r"|\d{1,4}[-/.]\d{1,2}(?:[-/.]\d{2,4})?(?:[ T]\d{1,2}:\d\d(?::\d\d)?)?|\d{1,2}:\d\d(?::\d\d)?"
    r"|[-–—x✓✗]|s[ií]|no|true|false|verdadero|falso",
    re.IGNORECASE,
)
"""What stands below a header and is none: amounts, dates, times, marks."""


_WHEN = re.compile(r"\d{1,4}[-/.]\d{1,2}(?:[-/.]\d{2,4})?|\d{1,2}:\d\d(?::\d\d)?(?: [ap]\. m\.)?")


def table_text(rows: Sequence[Row]) -> str:
    """One line a row. Below a header, each cell but the first carries its column's name; rows above it are text:

    Concepto | Monto | Plazo
    Viáticos | Monto: $ 1.234,50 | Plazo: 30 días

    A blank row ends a block, and a block without a header of its own has that of the block before. A header of two
    rows, the upper one over several columns, names them `upper / lower`.
    """
    return "\n".join(table_lines(rows)[0])


def table_lines(
    rows: Sequence[Row], names: Sequence[str] = (), *, header: bool | None = None
) -> tuple[list[str], list[str]]:
    """The lines, and the names of the columns at the end. `names`: those of the columns of a table that this one
    continues; `header`: whether the first row is one, None where the file does not say."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    if not names:
        begins = min((next(at for at, cell in enumerate(row) if cell) for row in cells if any(row)), default=0)
        cells = [row[begins:] for row in cells]
    lines: list[str] = []
    known = list(names)
    for filled, run in groupby(cells, any):
        for block in _beside(list(run)) if filled else ():
            more, known = _block(block, known, None if lines else header)
            lines += more
    return lines, known


def _beside(rows: list[list[str]]) -> list[list[list[str]]]:
    """The tables that stand side by side, with an empty column between them; else the rows as they are. A column that
    nobody filled in within one table is told by its parts: these have neither titles each nor names in common."""
    width = max(map(len, rows))
    for at in range(2, width - 2):
        if any(len(row) > at and row[at] for row in rows):
            continue
        parts = [[*filter(any, (row[:at] for row in rows))], [*filter(any, (row[at + 1 :] for row in rows))]]
        if not all(parts):
            continue
        titles = [_titles(part) for part in parts]
        bodies = [part[above:] for part, above in zip(parts, titles, strict=True)]
        left, right = (set(filter(None, body[0])) if _header_height(body) else set() for body in bodies)
        if left and right and (all(titles) or left & right):
            begins = min(next(place for place, cell in enumerate(row) if cell) for row in parts[1])
            return [parts[0], *_beside([row[begins:] for row in parts[1]])]
    return [rows]


def _block(rows: list[list[str]], former: list[str], header: bool | None) -> tuple[list[str], list[str]]:
    """The lines of rows without a blank one between them, and the names of their columns."""
    titles = _titles(rows)
    body = rows[titles:]
    lines = [BETWEEN.join(filter(None, row)) for row in rows[:titles]]
    height = _header_height(body) if header is None else _declared_height(body) if header else 0
    names = _names(body[:height]) if height else former if body and _fits(body, former) else []
    lines += [BETWEEN.join(filter(None, row)) for row in body[:height]]
    lines += filter(None, (named_row(names, row) for row in body[height:]))  # "" where it repeats the header
    return lines, names


def named_row(names: Sequence[str], row: Row) -> str:
    """The row as a line: its first cell bare, the others with the names of their columns."""
    parts: list[str] = []
    for at, cell in enumerate(row):
        name = names[at] if at < len(names) else ""
        if cell and cell != name:
            parts.append(
                f"{name}: {cell}" if name and at and name[-1] not in ":?" else f"{name} {cell}" if name and at else cell
            )
    return BETWEEN.join(parts)


def _titles(rows: list[list[str]]) -> int:
    """How many rows at the top have one cell alone, while the others have more: titles and dates of the table."""
    if max(map(_filled, rows)) < 2:
        return 0
    return next(at for at, row in enumerate(rows) if _filled(row) > 1)


def _filled(row: Row) -> int:
    return sum(map(bool, row))


def _header_height(rows: list[list[str]]) -> int:
    """1 or 2 where the block begins with a header, else 0."""
    if len(rows) < 2 or not _may_name(rows[0]):
        return 0
    if len(rows) > 2 and _spans(rows[0]) and _may_name(rows[1]) and _names_columns(rows[1], rows[2:]):
        return 2
    return 1 if _names_columns(rows[0], rows[1:]) else 0


def _declared_height(rows: list[list[str]]) -> int:
    """As `_header_height`, where the first row is one."""
    return _header_height(rows) or (1 if len(rows) > 1 and _filled(rows[0]) > 1 else 0)


def _may_name(row: Row) -> bool:
    """Whether the cells may be names of columns: short, more than one, none a value, but years beside other names."""
    cells = [cell for cell in row if cell]
    if len(cells) < 2 or any(len(cell) > _LONGEST_NAME for cell in cells):
        return False
    years = [cell for cell in cells if _YEAR.fullmatch(cell)]
    if len(years) == len(cells):
        return False
    if any(_is_value(cell) for cell in cells if cell not in years):
        return _names_days(cells)
    return len(years) < 2 or sorted(set(years)) in (years, years[::-1])


def _names_days(cells: Sequence[str]) -> bool:
    """Whether a name is before dates, or hours, each of them once: columns of a calendar."""
    first, *others = cells
    return not _is_value(first) and len(set(others)) == len(others) > 1 and all(map(_WHEN.fullmatch, others))


def _is_value(cell: str) -> bool:
    return _VALUE.fullmatch(cell) is not None


def _names_columns(header: Row, body: Sequence[Row]) -> bool:
    """Whether the rows below are of another kind than the header: values where it has words. Where all are words, a
    header fills each of three columns or more that they use, once each, and none of its cells occurs below; in two
    columns a row may as well be a name and what it is."""
    columns = range(max(map(len, body)))
    below = {at: [row[at] for row in body if at < len(row) and row[at]] for at in columns}
    used = [at for at in columns if below[at]]
    if _names_days([*filter(None, header)]):
        return not any(_WHEN.fullmatch(cell) for at in used[1:] for cell in below[at])
    if any(2 * sum(map(_is_value, below[at])) > len(below[at]) for at in used if at < len(header) and header[at]):
        return True
    names = [header[at] if at < len(header) else "" for at in used]
    return (
        len(used) > 2
        and all(names[1:])
        and len(set(names)) == len(names)
        and not any(character.isdigit() for name in names for character in name)
        and not any(header[at] in below[at] for at in used if at < len(header))
    )


def _spans(row: Row) -> bool:
    """Whether a cell stands over empty ones: a name of several columns."""
    return any(cell and not after for cell, after in zip(row[1:], [*row[2:], "x"], strict=False)) or (
        len(set(filter(None, row))) < _filled(row)
    )


def _names(header: Sequence[Row]) -> list[str]:
    if len(header) == 1:
        return list(header[0])
    upper, lower = header
    names, over = [], ""
    for at in range(max(len(upper), len(lower))):
        above = upper[at] if at < len(upper) else ""
        below = lower[at] if at < len(lower) else ""
        over = above or (over if below else "")
        names.append(LEVELS.join(dict.fromkeys(filter(None, (over, below)))))
    return names


def _fits(rows: Sequence[Row], names: Sequence[str]) -> bool:
    """Whether the rows can be of the columns that another block named."""
    return bool(names) and all(len(row) <= len(names) and _filled(row) > 1 for row in rows[:1])
