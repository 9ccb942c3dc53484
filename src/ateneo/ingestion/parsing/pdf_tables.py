"""Tables found by where texts stand on a page: rows of cells whose edges make columns, with or without drawn lines."""

from bisect import bisect, bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

CELL_GAP = 1.0
"""Between two cells of a row there is at least this much of the letters' size."""
_LEAST_ROWS = 3
_PROSE_CHARS = 30
_PROSE_FILL = 0.8
_PROSE_WORDS = 15
_DOWN_SHARE = 0.75
_HEADING_SIZE = 1.15
_SEEN_ROWS = 50
_LEAST_APART = 0.7
_LEAST_DIVIDED = 0.5
_MEETS = 0.8
"""Rows nearer to each other than this many letters' heights are lines of cells that are centred in one."""
_LINE = 1.6
"""Lines of one text are no farther apart than this many letters' heights."""
_MOST_ROW_GAP = 3.0
"""Rows of one table are no farther apart than this many letters' heights."""

HYPHEN = "\x02"
"""What PDFium puts where a word is divided at the end of a line."""

Rule = tuple[float, float, float, float]
"""A drawn line: left, bottom, right, top."""


@dataclass(slots=True)
class Segment:
    """Text without a wide gap in it, in points from the page's lower left corner."""

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float

    def add(self, text: str, left: float, bottom: float, right: float, top: float) -> None:
        self.text += text
        self.left, self.bottom = min(self.left, left), min(self.bottom, bottom)
        self.right, self.top = max(self.right, right), max(self.top, top)

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


@dataclass(slots=True)
class Table:
    """`rows`: cells by column, "" for an empty one; `columns`: left and right of each."""

    rows: list[list[str]]
    columns: list[tuple[float, float]]
    segments: set[int] = field(default_factory=set)

    def holds(self, segment: Segment) -> bool:
        return id(segment) in self.segments

    def is_continued_by(self, other: "Table") -> bool:
        """Whether the other one has the same columns."""
        return len(self.columns) == len(other.columns) and all(
            min(a[1], b[1]) > max(a[0], b[0]) for a, b in zip(self.columns, other.columns, strict=True)
        )


def joined(text: str, following: str) -> str:
    """What a cell says in two lines, as one; a word that the line's end divides is whole again."""
    return text[:-1] + following if text.endswith(HYPHEN) else f"{text} {following}".strip()


def upright_of(rules: Sequence[Rule]) -> list[Rule]:
    """The lines that stand, from left to right."""
    return sorted(rule for rule in rules if rule[3] - rule[1] > rule[2] - rule[0])


def is_divided(last: Segment, left: float, upright: Sequence[Rule]) -> bool:
    """Whether a drawn line stands between the text and what begins at `left`."""
    if left - last.right < _LEAST_DIVIDED:
        return False
    at = bisect_left(upright, (last.right - 1.0,))
    while at < len(upright) and upright[at][0] <= left + 1.0:
        if upright[at][1] < last.middle < upright[at][3]:
            return True
        at += 1
    return False


def find_tables(segments: Sequence[Segment], rules: Sequence[Rule]) -> list[Table]:
    """Tables from top to bottom. `segments` come as the file has them."""
    tables = []
    order = {id(segment): at for at, segment in enumerate(segments)}
    for run in _runs(visual_rows(segments)):
        columns = _columns(run)
        if len(columns) < 2 or _is_prose(run, columns) or _goes_down(run, order):
            continue
        heights = _heights(run, rules)
        rows = _cells(run, columns, heights)
        if len(rows) >= (2 if heights else _LEAST_ROWS):
            tables.append(Table(rows, columns, {id(segment) for row in run for segment in row}))
    return tables


def visual_rows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments at one height, from the top down, each row from left to right."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda one: -one.middle):
        if rows and abs(_middle(rows[-1]) - segment.middle) < 0.5 * max(segment.size, 4.0):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return [sorted(row, key=lambda one: one.left) for row in rows]


def _middle(row: Sequence[Segment]) -> float:
    return sum(one.middle for one in row) / len(row)


def _runs(rows: list[list[Segment]]) -> list[list[list[Segment]]]:
    """Neighbouring rows that may be a table: of two cells or more; one of a single cell may stand between two of them,
    where a cell goes on."""
    runs: list[list[list[Segment]]] = []
    run: list[list[Segment]] = []

    def close() -> None:
        while run and len(run[-1]) < 2 and not _is_rest(run[-1][0], run[-3:-1]):
            run.pop()
        runs.extend(part for part in _divided(list(run)) if sum(len(row) > 1 for row in part) >= 2)
        run.clear()

    for row in rows:
        if run and _middle(run[-1]) - _middle(row) > _MOST_ROW_GAP * max(one.size for one in row):
            close()
        if len(row) > 1 or (run and len(run[-1]) > 1 and _may_stand_between(row[0], run)):
            run.append(row)
        else:
            close()
    close()
    return runs


def _may_stand_between(one: Segment, run: Sequence[Sequence[Segment]]) -> bool:
    """Whether a row of this single cell can be of the table: it is not wide, nor larger than the others."""
    return one.right - one.left < _width(run) / 2 and one.size < _HEADING_SIZE * max(c.size for c in run[-1])


def _is_rest(one: Segment, above: Sequence[Sequence[Segment]]) -> bool:
    """Whether a cell of the rows above ends here."""
    return (
        one.text[0].islower()
        and bool(above)
        and _middle(above[-1]) - one.middle < _LINE * one.size
        and any(abs(cell.left - one.left) < 2.0 for row in above for cell in row)
    )


def _divided(run: list[list[Segment]]) -> list[list[list[Segment]]]:
    """The run in parts, where below a row of one cell, a title, others have other columns."""
    parts: list[list[list[Segment]]] = []
    begins = 0
    for at in range(2, len(run) - 1):
        if at - begins > 1 and len(run[at]) == 1 and len(run[at + 1]) > 1:
            upper, lower = run[max(begins, at - _SEEN_ROWS) : at], run[at + 1 : at + 1 + _SEEN_ROWS]
            if _have_other_columns(_columns(upper), _columns(lower)):
                parts.append(run[begins:at])
                begins = at + 1
    return [*parts, run[begins:]]


def _have_other_columns(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]]) -> bool:
    """Whether one of the lower columns stands under none, or several stand under one."""
    places = [max(upper, key=lambda one: min(one[1], c[1]) - max(one[0], c[0])) for c in lower]
    apart = any(min(one[1], c[1]) <= max(one[0], c[0]) for one, c in zip(places, lower, strict=True))
    return apart or len(set(places)) < len(places)


def _width(run: Sequence[Sequence[Segment]]) -> float:
    return max(one.right for row in run for one in row) - min(one.left for row in run for one in row)


def _columns(run: Sequence[Sequence[Segment]]) -> list[tuple[float, float]]:
    """Where the cells of the rows that have most of them stand, one over the other."""
    counts = sorted(len(row) for row in run)
    usual = max(set(counts), key=lambda count: (counts.count(count) * count, count))
    edges = sorted((one.left, one.right) for row in run if len(row) >= usual for one in row)
    columns: list[tuple[float, float]] = []
    for left, right in edges:
        if columns and left < columns[-1][1] + 1.0:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _is_prose(run: Sequence[Sequence[Segment]], columns: Sequence[tuple[float, float]]) -> bool:
    """Whether these are columns of a newspaper: in two of them most lines are long and fill their column."""
    prose = 0
    for left, right in columns:
        cells = [one for row in run for one in row if one.left < right and one.right > left]
        long = [
            one
            for one in cells
            if len(one.text) >= _PROSE_CHARS and one.right - one.left > _PROSE_FILL * (right - left)
        ]
        prose += 2 * len(long) > len(cells)
    return prose > 1


def _goes_down(run: Sequence[Sequence[Segment]], order: Mapping[int, int]) -> bool:
    """Whether the file has these texts column by column, as those of a newspaper, and not row by row."""
    texts = sorted((one for row in run for one in row), key=lambda one: order[id(one)])
    down = sum(
        after.middle < one.middle - one.size / 2 and min(one.right, after.right) > max(one.left, after.left)
        for one, after in pairwise(texts)
    )
    return down > _DOWN_SHARE * (len(texts) - 1) and median(len(one.text) for one in texts) >= _PROSE_WORDS


def _heights(run: Sequence[Sequence[Segment]], rules: Sequence[Rule]) -> list[float]:
    """Heights of the drawn lines within the table that reach over some of its width; none where these leave many rows
    between two of them: then they do not tell rows apart."""
    top = max(one.top for one in run[0]) + 10
    bottom = min(one.bottom for one in run[-1]) - 10
    least = _width(run) / (2 * max(map(len, run)))
    heights = sorted({round(y, 0) for left, y, right, _ in rules if bottom < y < top and right - left > least})
    rows = [_middle(row) for row in run if len(row) > 1]
    return heights if len({bisect(heights, row) for row in rows}) >= _LEAST_APART * len(rows) and heights else []


def _cells(
    run: Sequence[Sequence[Segment]], columns: Sequence[tuple[float, float]], heights: Sequence[float]
) -> list[list[str]]:
    rows: list[list[str]] = []
    above = None
    for row in run:
        cells = [""] * len(columns)
        for one in row:
            at = max(range(len(columns)), key=lambda at: (_overlap(one, columns[at]), -abs(one.left - columns[at][0])))
            cells[at] = joined(cells[at], one.text)
        meets = above is not None and above - _middle(row) < _MEETS * row[0].size
        if rows and above is not None and (meets or _continues(cells, rows[-1], _middle(row), above, heights)):
            rows[-1] = [*map(joined, rows[-1], cells)]
        else:
            rows.append(cells)
        above = _middle(row)
    return rows


def _overlap(one: Segment, column: tuple[float, float]) -> float:
    return min(one.right, column[1]) - max(one.left, column[0])


def _continues(
    cells: Sequence[str], former: Sequence[str], middle: float, above: float, heights: Sequence[float]
) -> bool:
    """Whether the row only goes on with cells of the row above: no drawn line is between them where others have one;
    else it has a single cell, which goes on in lower case."""
    if heights:
        return not any(middle < height < above for height in heights)
    filled = [at for at, cell in enumerate(cells) if cell]
    return len(filled) == 1 and bool(former[filled[0]]) and cells[filled[0]][0].islower()
