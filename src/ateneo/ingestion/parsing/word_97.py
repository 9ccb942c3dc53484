"""Word's binary format of 1997 to 2003 (MS-DOC): what its reader sees, without deleted text, tables by their cells."""

import io
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from struct import unpack_from
from typing import Any, Generic, TypeVar

from ateneo.ingestion.parsing.formats import decode
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import table_text

_MAGIC, _FIRST_VERSION = 0xA5EC, 0xC1
_SECOND_TABLE, _ENCRYPTED = 0x200, 0x100
_COUNTS, _CHARACTERS, _PARAGRAPHS, _PIECES = 0x4C, 0xFA, 0x102, 0x1A2
"""Where the file information block has the lengths of the stories, and the places of the tables of properties."""
_PAGE = 512
_DELETED, _HIDDEN = 0x0800, 0x083C
_IN_TABLE, _ROW_END, _CELLS = 0x2416, 0x2417, 0xD608
_VARIABLE = 6
_OPERAND = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}
_NEAR = 30
"""Edges of cells that are no farther apart than this many twips are one."""
_FIELD = re.compile(r"\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_SIGNS = str.maketrans({"\x0b": "\n", "\x1e": "-", "\xa0": " "} | dict.fromkeys("\x01\x02\x03\x04\x05\x08\x1f", None))
_PARAGRAPH_ENDS = re.compile(r"[^\r\x07\x0c]*[\r\x07\x0c]?")
_CELL = "\x07"
_DEEPEST_FIELD = 5
_STYLES = 0xA2
_TITLE_STYLE = 62

T = TypeVar("T")


class OtherWord(Exception):
    """A file of another version of Word."""


class EncryptedWord(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """`ends_cell` and `ends_row`: what its mark ends; `edges`: of the row's cells, in twips."""

    text: str
    level: int
    in_table: bool
    ends_cell: bool
    ends_row: bool
    edges: tuple[int, ...]


@dataclass(slots=True)
class _Runs(Generic[T]):
    """Properties by where in the file they begin; each ends where the next one begins."""

    none: T
    starts: list[int] = field(default_factory=list)
    properties: list[T] = field(default_factory=list)

    def at(self, place: int) -> T:
        found = bisect_right(self.starts, place) - 1
        return self.properties[found] if found >= 0 else self.none


def read_doc(data: bytes) -> tuple[SectionBuilder, dict[str, Any]]:
    """The text, and what the file says of itself. Raises OtherWord, EncryptedWord, and for a damaged file struct.error,
    OSError, IndexError or ValueError."""
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as file:
        document = file.openstream("WordDocument").read()
        magic, version = unpack_from("<HH", document, 0)
        flags = unpack_from("<H", document, 10)[0]
        if magic != _MAGIC or version < _FIRST_VERSION:
            raise OtherWord
        if flags & _ENCRYPTED:
            raise EncryptedWord
        table = file.openstream("1Table" if flags & _SECOND_TABLE else "0Table").read()
        metadata = _metadata(file.get_metadata())
    return _build(_Reader(document, table)), metadata


def _metadata(found: Any) -> dict[str, Any]:
    title, author = (decode(value or b"") or "" for value in (found.title, found.author))
    dates = {"created_at": found.create_time, "modified_at": found.last_saved_time}
    return {"title": title, "authors": [author] if author else None} | {
        name: value.isoformat() for name, value in dates.items() if value is not None
    }


def _build(reader: "_Reader") -> SectionBuilder:
    main, footnotes, headers, _, comments, endnotes, boxes, _ = reader.stories()
    builder = SectionBuilder()
    for line in dict.fromkeys(one.text for one in reader.paragraphs(headers)):
        if sum(map(str.isalpha, line)) > 3:
            builder.text(line)
    rows: list[_Row] = []
    row = _Row()
    for one in reader.paragraphs(main):
        if one.in_table:
            row.add(one)
            if one.ends_row:
                rows.append(row)
                row = _Row()
            continue
        _add_table(builder, rows)
        rows = []
        if one.level:
            builder.heading(one.level, one.text)
        else:
            builder.text(one.text)
    _add_table(builder, rows)
    for story in (footnotes, comments, endnotes, boxes):
        for one in reader.paragraphs(story):
            builder.text(one.text)
    return builder


# --- tables -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    cells: list[str] = field(default_factory=list)
    edges: tuple[int, ...] = ()
    _open: list[str] = field(default_factory=list)

    def add(self, paragraph: _Paragraph) -> None:
        if paragraph.ends_row:
            self.edges = paragraph.edges
            return
        self._open.append(paragraph.text)
        if paragraph.ends_cell:
            self.cells.append("\n".join(filter(None, self._open)))
            self._open = []


def _add_table(builder: SectionBuilder, rows: list[_Row]) -> None:
    if rows:
        columns = _columns(rows)
        builder.table(table_text([_placed(row, columns) for row in rows]))


def _columns(rows: list[_Row]) -> list[int]:
    """The left edges of all cells, each once."""
    edges = sorted(edge for row in rows for edge in row.edges[:-1])
    return [edge for before, edge in pairwise([-(10**6), *edges]) if edge - before > _NEAR]


def _placed(row: _Row, columns: list[int]) -> list[str]:
    """The cells by the columns where they begin; a cell over several leaves the others empty."""
    if len(row.edges) <= len(row.cells):
        return row.cells
    placed = [""] * len(columns)
    for cell, left in zip(row.cells, row.edges, strict=False):
        placed[max(0, bisect_right(columns, left + _NEAR) - 1)] = cell
    return placed


# --- text and properties ------------------------------------------------------------------------------------------


class _Reader:
    """`document`, `table`: the streams of the file."""

    def __init__(self, document: bytes, table: bytes) -> None:
        self._document = document
        self._table = table
        self._text, self._places = self._pieces()
        self._characters = self._runs(_CHARACTERS, _is_out, none=False)
        self._paragraphs = self._runs(_PARAGRAPHS, _paragraph_properties, none=b"")
        self._levels = list(self._style_levels())

    def stories(self) -> list[range]:
        """Main text, footnotes, headers, macros, comments, endnotes, text boxes, and those of headers."""
        counts = unpack_from("<8I", self._document, _COUNTS)
        return [range(start, end) for start, end in pairwise(accumulate(counts, initial=0))]

    def paragraphs(self, story: range) -> Iterator[_Paragraph]:
        for found in _PARAGRAPH_ENDS.finditer(self._text, story.start, story.stop):
            if not found[0]:
                continue
            mark = found[0][-1]
            own = self._paragraphs.at(self._places[found.end() - 1])
            properties = _sprms(own[2:])
            style = unpack_from("<H", own)[0] if len(own) > 1 else 0
            yield _Paragraph(
                text=self._kept(found.start(), found.end()).strip(),
                level=self._levels[style] if style < len(self._levels) else 0,
                in_table=_is_on(properties, _IN_TABLE) or mark == _CELL,
                ends_cell=mark == _CELL,
                ends_row=_is_on(properties, _ROW_END),
                edges=_edges(properties.get(_CELLS, b"")),
            )

    def _kept(self, start: int, end: int) -> str:
        """The text without what was deleted or is hidden, fields by their results."""
        kept = "".join(self._text[at] for at in range(start, end) if not self._characters.at(self._places[at]))
        kept = kept.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        for _ in range(_DEEPEST_FIELD):
            kept = _FIELD.sub(r"\1", kept)
        return kept.translate(_SIGNS).rstrip("\r\x07\x0c")

    def _pieces(self) -> tuple[str, list[int]]:
        """The text, and where each of its characters stands in the file."""
        at, _ = unpack_from("<II", self._document, _PIECES)
        while self._table[at] == 1:  # properties that pieces may have
            at += 3 + unpack_from("<H", self._table, at + 1)[0]
        count = (unpack_from("<I", self._table, at + 1)[0] - 4) // 12
        ends = unpack_from(f"<{count + 1}I", self._table, at + 5)
        texts: list[str] = []
        places: list[int] = []
        for number, (start, end) in enumerate(pairwise(ends)):
            place = unpack_from("<I", self._table, at + 5 + 4 * (count + 1) + 8 * number + 2)[0]
            narrow = bool(place & 0x40000000)
            place = (place & 0x3FFFFFFF) // (2 if narrow else 1)
            width = 1 if narrow else 2
            raw = self._document[place : place + width * (end - start)]
            units = () if narrow else unpack_from(f"<{len(raw) // 2}H", raw)
            texts.append(raw.decode("cp1252", "replace") if narrow else "".join(map(chr, units)))
            places += range(place, place + len(raw) // width * width, width)
        return "".join(texts), places

    def _style_levels(self) -> Iterator[int]:
        """By the number of a style the level of its headings, 0 for one of text."""
        at, size = unpack_from("<II", self._document, _STYLES)
        end = at + size
        at += 2 + unpack_from("<H", self._table, at)[0]
        while at + 4 <= end:
            length, kind = unpack_from("<HH", self._table, at)
            kind &= 0xFFF
            yield 0 if not length else 1 if kind == _TITLE_STYLE else kind if 1 <= kind <= 9 else 0
            at += 2 + length

    def _runs(self, where: int, properties: Callable[[bytes, int, int], T], none: T) -> _Runs[T]:
        """The properties of a kind, from the pages that the file information block tells of."""
        at, size = unpack_from("<II", self._document, where)
        count = (size - 4) // 8
        runs = _Runs(none)
        for number in unpack_from(f"<{count}I", self._table, at + 4 * (count + 1)) if count > 0 else ():
            page = self._document[(number & 0x3FFFFF) * _PAGE :][:_PAGE]
            if len(page) < _PAGE:
                continue
            used = page[_PAGE - 1]
            runs.starts += unpack_from(f"<{used}I", page)
            runs.properties += [properties(page, 4 * (used + 1), run) for run in range(used)]
        return runs


def _is_out(page: bytes, offsets: int, run: int) -> bool:
    """Whether these characters were deleted, or are hidden."""
    at = 2 * page[offsets + run]
    properties = _sprms(page[at + 1 : at + 1 + page[at]]) if at else {}
    return any(_is_on(properties, one) for one in (_DELETED, _HIDDEN))


def _paragraph_properties(page: bytes, offsets: int, run: int) -> bytes:
    """The number of its style, then its own properties."""
    at = 2 * page[offsets + 13 * run]
    if not at:
        return b""
    return page[at + 1 : at + 2 * page[at]] if page[at] else page[at + 2 : at + 2 + 2 * page[at + 1]]


def _sprms(properties: bytes) -> Mapping[int, bytes]:
    """By operation its operand; the rest is left out where one is cut off."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 3 <= len(properties):
        operation = unpack_from("<H", properties, at)[0]
        at += 2
        kind = operation >> 13
        if operation == _CELLS:
            size = unpack_from("<H", properties, at)[0] + 1 if at + 2 <= len(properties) else 0
        else:
            size = properties[at] + 1 if kind == _VARIABLE else _OPERAND[kind]
        found[operation] = properties[at : at + size]
        at += size
    return found


def _is_on(properties: Mapping[int, bytes], operation: int) -> bool:
    return properties.get(operation, b"\0")[:1] == b"\1"


def _edges(cells: bytes) -> tuple[int, ...]:
    """Of the operand of a table's row: its size, the number of cells, and their edges."""
    if len(cells) < 3 or len(cells) < 3 + 2 * (cells[2] + 1):
        return ()
    return tuple(unpack_from(f"<{cells[2] + 1}h", cells, 3))
