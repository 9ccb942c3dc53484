"""Text documents of LibreOffice (ODT, OASIS OpenDocument 1.3) as read: lists counted, deleted text out, notes at their
place, tables with their merged cells."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ateneo.i18n import tr
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.spanning_cells import SpanningCells
from ateneo.ingestion.parsing.tables import table_lines
from ateneo.ingestion.parsing.word_numbering import written

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _STYLE, _OFFICE, _DRAW = (
    f"{{{_NS}{name}:1.0}}" for name in ("text", "table", "style", "office", "drawing")
)
_DC = "{http://purl.org/dc/elements/1.1/}"
_META = f"{{{_NS}meta:1.0}}"
_METADATA = {
    "title": f"{_DC}title", "authors": f"{_META}initial-creator", "subject": f"{_DC}subject",
    "keywords": f"{_META}keyword", "language": f"{_DC}language", "created_at": f"{_META}creation-date",
    "modified_at": f"{_DC}date",
}  # fmt: skip
_UNREAD = (f"{_TEXT}tracked-changes", f"{_TEXT}sequence-decls", f"{_OFFICE}forms", f"{_TEXT}note-citation")
_KINDS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_MOST_REPEATED = 64
_MOST_SPACES = 20


@dataclass(slots=True)
class _Level:
    prefix: str = ""
    suffix: str = ""
    kind: str = ""
    shown: int = 1
    start: int = 1


@dataclass(slots=True)
class _List:
    """Where a list is: its style, and how far each of its levels was counted."""

    style: str = ""
    counts: list[int] = field(default_factory=list)


def read_odt(data: bytes) -> tuple[SectionBuilder, dict[str, str]]:
    """The text, and what the file says of itself. Raises KeyError, zipfile.BadZipFile, ElementTree.ParseError for a
    damaged file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        content = ElementTree.fromstring(archive.read("content.xml"))
        styles = ElementTree.fromstring(archive.read("styles.xml")) if "styles.xml" in names else None
        meta = ElementTree.fromstring(archive.read("meta.xml")) if "meta.xml" in names else None
    told = {} if meta is None else {name: (meta.findtext(f".//{tag}") or "").strip() for name, tag in _METADATA.items()}
    return _Reader(content, styles).read(), {name: text for name, text in told.items() if text}


class _Reader:
    def __init__(self, content: Element, styles: Element | None) -> None:
        self._body = content.find(f"{_OFFICE}body/{_OFFICE}text")
        self._styles = styles
        self._levels = {
            (one.get(f"{_STYLE}name", ""), int(level.get(f"{_TEXT}level", "1"))): _level(level)
            for root in (styles, content)
            if root is not None
            for one in root.iter(f"{_TEXT}list-style")
            for level in one
            if level.tag.startswith(f"{_TEXT}list-level-style")
        }
        self._lists: dict[str, _List] = {}
        self._builder = SectionBuilder()

    def read(self) -> SectionBuilder:
        for line in self._edges("header"):
            self._builder.text(line)
        self._add(self._body if self._body is not None else ())
        for line in self._edges("footer"):
            self._builder.text(line)
        return self._builder

    def _edges(self, kind: str) -> list[str]:
        """The lines of the pages' headers or footers, each once, without those that number them."""
        found = () if self._styles is None else self._styles.iter(f"{_STYLE}{kind}")
        lines = [_line(one, []) for edge in found for one in edge.iter(f"{_TEXT}p") if not _numbers_pages(one)]
        return list(dict.fromkeys(line for line in lines if any(map(str.isalpha, line))))

    def _add(self, elements: "Element | tuple[()]") -> None:
        for one in elements:
            if one.tag == f"{_TEXT}h":
                notes: list[str] = []
                self._builder.heading(int(one.get(f"{_TEXT}outline-level", "1")), " ".join(_line(one, notes).split()))
                self._add_notes(notes)
            elif one.tag == f"{_TEXT}p":
                notes = []
                self._builder.text(_line(one, notes))
                self._add_notes(notes)
            elif one.tag == f"{_TEXT}list":
                self._add_list(one)
            elif one.tag == f"{_TABLE}table":
                self._add_table(one)
            elif one.tag not in _UNREAD:
                self._add(one)

    def _add_notes(self, notes: list[str]) -> None:
        for note in notes:
            self._builder.text(note)

    # --- lists

    def _add_list(self, element: Element) -> None:
        counted = _List(element.get(f"{_TEXT}style-name", ""))
        former = self._lists.get(counted.style)
        if former is not None and element.get(f"{_TEXT}continue-numbering") == "true":
            counted = former
        self._lists[counted.style] = counted
        notes: list[str] = []
        lines = list(self._items(element, counted, 1, notes))
        if lines:
            self._builder.text(lines[0])
        for line in lines[1:]:
            self._builder.line(line)
        self._add_notes(notes)

    def _items(self, element: Element, counted: _List, depth: int, notes: list[str]) -> Iterator[str]:
        for item in element:
            label = self._label(counted, depth) if item.tag == f"{_TEXT}list-item" else ""
            for one in item:
                if one.tag == f"{_TEXT}list":
                    yield from self._items(one, counted, depth + 1, notes)
                elif text := " ".join(_line(one, notes).split()):
                    yield f"{label} {text}".strip()
                    label = ""
        del counted.counts[depth:]

    def _label(self, counted: _List, depth: int) -> str:
        level = self._levels.get((counted.style, depth), _Level())
        counted.counts += [0] * (depth - len(counted.counts))
        counted.counts[depth - 1] = counted.counts[depth - 1] + 1 if counted.counts[depth - 1] else level.start
        if not level.kind:
            return "-"
        places = range(max(depth - level.shown, 0), depth)
        above = [self._levels.get((counted.style, at + 1), level).kind or level.kind for at in places]
        numbers = (written(counted.counts[at] or 1, kind) for at, kind in zip(places, above, strict=True))
        return f"{level.prefix}{'.'.join(numbers)}{level.suffix}".strip()

    # --- tables

    def _add_table(self, table: Element) -> None:
        notes: list[str] = []
        rows: list[list[str]] = []
        spanning = SpanningCells()
        for row in _rows(table):
            rows.append(list(_cells(row, spanning, notes)))
        declared = table.find(f"{_TABLE}table-header-rows") is not None
        self._builder.table("\n".join(table_lines(rows, header=declared or None)[0]))
        self._add_notes(notes)


def _level(element: Element) -> _Level:
    return _Level(
        element.get(f"{_STYLE}num-prefix", element.get(f"{_TEXT}num-prefix", "")),
        element.get(f"{_STYLE}num-suffix", element.get(f"{_TEXT}num-suffix", "")),
        _KINDS.get(element.get(f"{_STYLE}num-format", element.get(f"{_TEXT}num-format", "")), ""),
        int(element.get(f"{_TEXT}display-levels", "1")),
        int(element.get(f"{_TEXT}start-value", "1")),
    )


def _rows(table: Element) -> Iterator[Element]:
    for one in table:
        if one.tag == f"{_TABLE}table-row":
            yield one
        elif one.tag != f"{_TABLE}table":
            yield from _rows(one)


def _cells(row: Element, spanning: SpanningCells, notes: list[str]) -> Iterator[str]:
    at = 0
    for cell in row:
        covered = cell.tag == f"{_TABLE}covered-table-cell"
        height = int(cell.get(f"{_TABLE}number-rows-spanned", "1"))
        text = spanning.text(at, _cell_text(cell, notes), covered=covered, rows=height)
        times = min(int(cell.get(f"{_TABLE}number-columns-repeated", "1")), _MOST_REPEATED)
        yield from [text] * times
        at += times


def _cell_text(cell: Element, notes: list[str]) -> str:
    lines = (_line(one, notes) for one in cell.iter() if one.tag in (f"{_TEXT}p", f"{_TEXT}h"))
    return " ".join(" ".join(lines).split())


# --- what a paragraph says ----------------------------------------------------------------------------------------


def _numbers_pages(paragraph: Element) -> bool:
    return paragraph.find(f".//{_TEXT}page-number") is not None


def _line(paragraph: Element, notes: list[str]) -> str:
    """The paragraph's text; its footnotes, comments and text boxes go to `notes`."""
    return "\n".join(" ".join(line.split()) for line in "".join(_parts(paragraph, notes)).split("\n")).strip()


def _parts(element: Element, notes: list[str]) -> Iterator[str]:
    yield element.text or ""
    for one in element:
        name = one.tag.removeprefix(_TEXT)
        if name == "s":
            yield " " * min(int(one.get(f"{_TEXT}c", "1")), _MOST_SPACES)
        elif name == "tab":
            yield "\t"
        elif name == "line-break":
            yield "\n"
        elif name == "note" or one.tag == f"{_OFFICE}annotation":
            kind = tr("Nota", "Note") if name == "note" else tr("Comentario", "Comment")
            if text := _cell_text(one, notes):
                notes.append(f"{kind}: {text}")
        elif one.tag == f"{_DRAW}text-box":
            notes.extend(filter(None, (_line(inner, notes) for inner in one.iter(f"{_TEXT}p"))))
        elif one.tag not in _UNREAD:
            yield from _parts(one, notes)
        yield one.tail or ""
