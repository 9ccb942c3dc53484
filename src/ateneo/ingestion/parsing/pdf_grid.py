"""Tables of a PDF's page whose cells are drawn: what horizontal and vertical lines enclose."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ateneo.ingestion.parsing.pdf_tables import Rule, Segment, Table, joined, visual_rows

_NEAR = 2.5
"""Lines no farther apart than this, in points, are one; two that come as near as this meet."""
_MOST_CROSSINGS = 200_000
_LONGEST_CELL = 600
"""A longer text is no cell: the lines frame a page or its columns."""
_LEAST_DIVIDED = 0.6
_FULL = 0.7
"""Lines of a wrapped text fill this much of their column's width."""


@dataclass(slots=True)
class _Stroke:
    """A drawn line: where it is on one axis, and from where to where on the other."""

    at: float
    start: float
    end: float

    def reaches(self, place: float) -> bool:
        return self.start - _NEAR <= place <= self.end + _NEAR


@dataclass(slots=True)
class _Grid:
    across: list[_Stroke] = field(default_factory=list)
    down: list[_Stroke] = field(default_factory=list)

    def lefts(self) -> list[float]:
        """Where its columns begin, and where the last one ends. Lines that reach beyond the outermost ones that stand
        show that the table has open sides."""
        return _edges(self.down, self.across)

    def tops(self) -> list[float]:
        """From the top down."""
        return _edges(self.across, self.down)[::-1]


def find_grids(segments: Sequence[Segment], rules: Sequence[Rule]) -> list[Table]:
    """The tables with drawn lines, each where its first text stands."""
    tables = (_table(grid, segments) for grid in _grids(rules))
    return [table for table in tables if table is not None]


def _grids(rules: Sequence[Rule]) -> list[_Grid]:
    """Lines that meet, directly or by others."""
    across = _strokes([(bottom, left, right) for left, bottom, right, top in rules if right - left >= top - bottom])
    down = _strokes([(left, bottom, top) for left, bottom, right, top in rules if right - left < top - bottom])
    if not down or len(across) * len(down) > _MOST_CROSSINGS:
        return []
    grids: list[_Grid] = []
    for one in across:
        meets = [other for other in down if one.reaches(other.at) and other.reaches(one.at)]
        joined_grids = [grid for grid in grids if any(other in grid.down for other in meets)]
        merged = _Grid([one], [*meets])
        for grid in joined_grids:
            grids.remove(grid)
            merged.across += grid.across
            merged.down += [other for other in grid.down if other not in merged.down]
        grids.append(merged)
    return [grid for grid in grids if len(grid.down) > 1]


def _strokes(lines: Sequence[tuple[float, float, float]]) -> list[_Stroke]:
    """The lines, those in one as one."""
    rows: list[list[tuple[float, float, float]]] = []
    for line in sorted(lines):
        if rows and line[0] - rows[-1][0][0] <= _NEAR:
            rows[-1].append(line)
        else:
            rows.append([line])
    strokes: list[_Stroke] = []
    for row in rows:
        first = len(strokes)
        for at, start, end in sorted(row, key=lambda one: one[1]):
            if len(strokes) > first and start <= strokes[-1].end + _NEAR:
                strokes[-1].end = max(strokes[-1].end, end)
            else:
                strokes.append(_Stroke(at, start, end))
    return strokes


def _edges(strokes: Sequence[_Stroke], crossing: Sequence[_Stroke]) -> list[float]:
    places: list[float] = []
    ends = (min(one.start for one in crossing), max(one.end for one in crossing))
    for place in sorted([*(one.at for one in strokes), *ends]):
        if not places or place - places[-1] > 2 * _NEAR:
            places.append(place)
    return places


def _table(grid: _Grid, segments: Sequence[Segment]) -> Table | None:
    """None where the lines make no rows of several cells."""
    lefts, tops = grid.lefts(), grid.tops()
    if len(lefts) < 3 or len(tops) < 2:
        return None
    cells = _Cells(grid, lefts, tops)
    for segment in segments:
        cells.take(segment)
    if not cells.held or not cells.divided():
        return None
    rows = [row for row in cells.rows() if any(row)]
    used = [at for at in range(len(lefts) - 1) if any(row[at] for row in rows)]
    if len(rows) < 2 or len(used) < 2 or max(len(cell) for row in rows for cell in row) > _LONGEST_CELL:
        return None
    columns = [(lefts[at], lefts[at + 1]) for at in used]
    return Table([[row[at] for at in used] for row in rows], columns, cells.held)


class _Cells:
    """The texts of a grid by their cells; a cell that is merged over others is the upper left one of them."""

    def __init__(self, grid: _Grid, lefts: Sequence[float], tops: Sequence[float]) -> None:
        self._lefts, self._tops = lefts, tops
        columns, rows = [(a + b) / 2 for a, b in pairwise(lefts)], [(a + b) / 2 for a, b in pairwise(tops)]
        self._left = [[_is_drawn(grid.down, lefts[at], middle) for at in range(len(columns))] for middle in rows]
        self._top = [[_is_drawn(grid.across, tops[at], middle) for middle in columns] for at in range(len(rows))]
        self._texts: dict[tuple[int, int], list[Segment]] = {}
        self.held: set[int] = set()

    def take(self, segment: Segment) -> None:
        column = _place(self._lefts, (segment.left + segment.right) / 2)
        row = _place([-top for top in self._tops], -segment.middle)
        if column is None or row is None:
            return
        self.held.add(id(segment))
        self._texts.setdefault(self._origin(row, column), []).append(segment)

    def _origin(self, row: int, column: int) -> tuple[int, int]:
        while column and not self._left[row][column]:
            column -= 1
        while row and not self._top[row][column]:
            row -= 1
        return row, column

    def divided(self) -> bool:
        """Whether most rows have several cells."""
        rows = [row for row in range(len(self._tops) - 1) if any(at[0] == row for at in self._texts)]
        return sum(any(self._left[row][1:]) for row in rows) >= _LEAST_DIVIDED * len(rows)

    def rows(self) -> Iterator[list[str]]:
        """A cell that is merged over rows is in each of them, one over columns in the first of them."""
        for row in range(len(self._tops) - 1):
            cells = [self._texts.get(self._origin(row, column), []) for column in range(len(self._lefts) - 1)]
            shown = [cell if self._origin(row, at)[1] == at else [] for at, cell in enumerate(cells)]
            lines = visual_rows([segment for cell in shown for segment in cell])
            if self._holds_rows(shown, len(lines)):
                held = [{id(one) for one in line} for line in lines]
                yield from ([_text([one for one in cell if id(one) in line]) for cell in shown] for line in held)
            else:
                yield [_text(cell) for cell in shown]

    def _holds_rows(self, cells: Sequence[Sequence[Segment]], lines: int) -> bool:
        """Whether what two lines enclose are several rows: in two columns most of the lines have room for more."""
        short = 0
        for at, cell in enumerate(cells):
            full = _FULL * (self._lefts[at + 1] - self._lefts[at])
            texts = visual_rows(cell)
            wide = sum(row[-1].right - row[0].left > full for row in texts)
            short += len(texts) > max(2, lines // 2) and 4 * wide < len(texts)
        return short > 1


def _is_drawn(strokes: Sequence[_Stroke], at: float, middle: float) -> bool:
    return any(abs(one.at - at) <= 2 * _NEAR and one.reaches(middle) for one in strokes)


def _place(edges: Sequence[float], at: float) -> int | None:
    """Between which two of the edges, which rise, `at` is."""
    return next((place for place, (start, end) in enumerate(pairwise(edges)) if start <= at < end), None)


def _text(cell: Sequence[Segment]) -> str:
    text = ""
    for row in visual_rows(cell):
        text = joined(text, " ".join(one.text for one in row))
    return text
