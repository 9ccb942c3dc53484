"""Tables as lines that can be read, and found, on their own."""

from collections.abc import Sequence

_BETWEEN = " | "
_LONGEST_NAME = 100
"""A longer cell names no column: as one it would be repeated in every row."""


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Returns one line a row. Below a header, each cell but the first carries its column's name:

    Concepto | Monto | Plazo
    Viáticos | Monto: $ 1.234,50 | Plazo: 30 días
    """
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not _has_header(cells):
        return "\n".join(_BETWEEN.join(cell for cell in row if cell) for row in cells)
    header = cells[0]
    lines = [_BETWEEN.join(cell for cell in header if cell)]
    lines += [_row(header, row) for row in cells[1:]]
    return "\n".join(lines)


def _has_header(cells: list[list[str]]) -> bool:
    if len(cells) < 2 or len(cells[0]) < 2:
        return False
    first = cells[0]
    if not all(first[1:]) or any(len(cell) > _LONGEST_NAME for cell in first):
        return False
    return not any(character.isdigit() for cell in first for character in cell)


def _row(header: list[str], row: list[str]) -> str:
    named = [row[0]] if row[0] else []
    for at, cell in enumerate(row[1:], start=1):
        if cell:
            named.append(f"{header[at]}: {cell}" if at < len(header) else cell)
    return _BETWEEN.join(named)
