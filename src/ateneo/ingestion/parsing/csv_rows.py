"""Rows of cells from text with delimiters, as spreadsheets and people write it: quotes may stand where none belong."""

import re
from collections import Counter

_DELIMITERS = ";\t|,"
_DECIMAL = re.compile(r"(?<=\d),(?=\d)")
_SAMPLE_LINES = 2000
_SEP = re.compile(r"sep=(.)\n", re.IGNORECASE)


def read_csv(text: str) -> list[list[str]]:
    """Returns the cells of each row, quotes around them resolved. A quoted cell may hold delimiters and line ends; a
    quote that no other closes before a delimiter is a letter as any other. No text is refused. The delimiter is the one
    that `sep=` names in a first line, else the one that most lines have equally often."""
    text = text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")
    named = _SEP.match(text)
    delimiter, width = (named[1], 0) if named else _delimiter(text)
    text = text[named.end() :] if named else text
    mark = re.escape(delimiter)
    quoted = re.compile(rf'[ ]*+"((?:[^"]|"")*+)"[ ]*+(?={mark}|\n|\Z)')
    plain = re.compile(rf"[^{mark}\n]*+")
    rows: list[list[str]] = []
    row: list[str] = []
    at = 0
    while at <= len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        if not row and text.find('"', at, end) < 0:
            rows.append(text[at:end].split(delimiter))
            at = end + 1
            continue
        cell = quoted.match(text, at)
        if cell is None or _holds_rows(text, at, cell.end(), delimiter, width):
            cell = plain.match(text, at)
            assert cell is not None
            row.append(cell[0])
        else:
            row.append(cell[1].replace('""', '"'))
        at = cell.end() + 1
        if cell.end() == len(text) or text[cell.end()] == "\n":
            rows.append(row)
            row = []
    return rows


def _delimiter(text: str) -> tuple[str, int]:
    """The delimiter, and how many of it a line of the table has. A line that a quoted cell takes over several counts
    little among many; a comma between digits is a decimal mark where another delimiter is there, too."""
    lines = [re.sub(r'"[^"]*"', "", line) for line in text.split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]
    best = (",", 0)
    most = 0
    for mark in _DELIMITERS:
        if mark == "," and most > 1:
            lines = [_DECIMAL.sub("", line) for line in lines]
        counts = Counter(count for line in lines if (count := line.count(mark)))
        width, times = counts.most_common(1)[0] if counts else (0, 0)
        if times > most:
            best, most = (mark, width), times
    return best


def _holds_rows(text: str, start: int, end: int, delimiter: str, width: int) -> bool:
    """Whether what two quotes hold is no cell but whole rows, each with as many delimiters as most: then the
    quotes are an inch mark here and another some rows below."""
    if not width or text.find("\n", start, end) < 0:
        return False
    start = text.rfind("\n", 0, start) + 1
    end = text.find("\n", end)
    lines = text[start : end if end >= 0 else len(text)].split("\n")
    return all(line.count(delimiter) == width for line in lines)
