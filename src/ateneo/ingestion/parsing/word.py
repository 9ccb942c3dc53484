"""Word files (DOCX, ECMA-376 part 1) as read: numbering counted, deleted text out, notes at their place."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ateneo.i18n import tr
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import table_lines
from ateneo.ingestion.parsing.word_numbering import Numbering, W, value_of

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_CP = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}"
_LONGEST_HEADING = 120
_DELETED = {f"{W}del", f"{W}moveFrom", f"{W}rPr", f"{W}pPr", f"{W}instrText", f"{W}delText", f"{_MC}Fallback"}
_HEADING_STYLE = re.compile(r"(?:title|t[ií]tulo|ttulo)|(?:heading|t[ií]tulo|ttulo)\s*([1-9])", re.IGNORECASE)
_PAGE = re.compile(r"\W*(?:p[áa]g(?:ina|\.)?|page|hoja)\s*\d*\s*(?:(?:/|de|of)\s*\d*)?\W*", re.IGNORECASE)
_OFF = ("0", "false", "off")
_METADATA = {
    "title": f"{_DC}title", "authors": f"{_DC}creator", "subject": f"{_DC}subject", "keywords": f"{_CP}keywords",
    "language": f"{_DC}language", "created_at": f"{_TERMS}created", "modified_at": f"{_TERMS}modified",
}  # fmt: skip


@dataclass(slots=True)
class _Paragraph:
    """`level`: of a heading, 0 for text; `bold`: all of it; `notes`: what is to be read below it; `cells`: its parts
    between tabs."""

    text: str
    level: int
    bold: bool
    listed: bool
    notes: list[str] = field(default_factory=list)
    cells: Sequence[str] = ()


def read_docx(data: bytes) -> tuple[SectionBuilder, dict[str, str]]:
    """The text, and what the file says of itself. Raises KeyError, zipfile.BadZipFile, ElementTree.ParseError for a
    damaged file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return _Reader(archive).read(), properties_of(archive)


def properties_of(archive: zipfile.ZipFile) -> dict[str, str]:
    """What a file of Office says of itself."""
    if "docProps/core.xml" not in archive.namelist():
        return {}
    root = ElementTree.fromstring(archive.read("docProps/core.xml"))
    return {name: text for name, tag in _METADATA.items() if (text := (root.findtext(tag) or "").strip())}


class _Reader:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = set(archive.namelist())
        styles = self._part("word/styles.xml")
        self._styles = {} if styles is None else {one.get(f"{W}styleId", ""): one for one in styles.iter(f"{W}style")}
        self._numbering = Numbering(self._part("word/numbering.xml"))
        self._notes = {kind: self._noted(f"word/{kind}s.xml", kind) for kind in ("footnote", "endnote", "comment")}
        self._builder = SectionBuilder()

    def read(self) -> SectionBuilder:
        document = ElementTree.fromstring(self._archive.read("word/document.xml"))
        body = document.find(f"{W}body")
        for line in self._edges("word/header"):
            self._builder.text(line)
        blocks = [self._block(one) for one in _blocks(body if body is not None else document)]
        blocks = list(_with_tabbed_rows(blocks))
        for block, following in zip_longest(blocks, blocks[1:]):
            if isinstance(block, _Paragraph):
                self._add(block, following)
            elif block:
                self._builder.table("\n".join(block))
        for line in self._edges("word/footer"):
            self._builder.text(line)
        return self._builder

    def _part(self, name: str) -> Element | None:
        return ElementTree.fromstring(self._archive.read(name)) if name in self._names else None

    def _noted(self, name: str, tag: str) -> dict[str, str]:
        """The texts of notes by their ids; the separators that a file keeps among them have no text."""
        root = self._part(name)
        found = () if root is None else root.iter(f"{W}{tag}")
        return {one.get(f"{W}id", ""): " ".join(" ".join(_plain(one)).split()) for one in found}

    def _edges(self, prefix: str) -> list[str]:
        """The lines of headers or footers, each once. One without letters is the number of a page."""
        lines: dict[str, None] = {}
        for name in sorted(name for name in self._names if name.startswith(prefix) and name.endswith(".xml")):
            root = ElementTree.fromstring(self._archive.read(name))
            lines |= dict.fromkeys(line for one in root.iter(f"{W}p") if (line := "".join(_plain(one)).strip()))
        return [line for line in lines if sum(map(str.isalpha, line)) > 3 and not _PAGE.fullmatch(line)]

    def _block(self, element: Element) -> "_Paragraph | list[str]":
        if element.tag == f"{W}tbl":
            rows, is_header = self._table(element)
            return table_lines(rows, header=is_header)[0]
        return self._paragraph(element)

    def _add(self, paragraph: _Paragraph, following: "_Paragraph | list[str] | None") -> None:
        if paragraph.level:
            self._builder.heading(paragraph.level, paragraph.text)
        elif paragraph.text and self._looks_like_heading(paragraph, following):
            first = not self._builder.first_heading
            self._builder.heading(1 if first or paragraph.text.isupper() else 2, paragraph.text)
        elif paragraph.listed:
            self._builder.line(paragraph.text)
        elif paragraph.text:
            self._builder.text(paragraph.text)
        for note in paragraph.notes:
            self._builder.text(note)

    @staticmethod
    def _looks_like_heading(paragraph: _Paragraph, following: "_Paragraph | list[str] | None") -> bool:
        """Bold, short, no sentence, and not at the end: what people write where they do not use styles."""
        text = paragraph.text
        return (
            paragraph.bold
            and following is not None
            and len(text) <= _LONGEST_HEADING
            and "\n" not in text
            and not text.endswith((".", ",", ";", ":"))
        )

    # --- paragraphs

    def _paragraph(self, element: Element) -> _Paragraph:
        properties = element.find(f"{W}pPr")
        notes: list[str] = []
        text = "".join(self._runs(element, notes))
        cells = [cell.strip() for cell in text.split("\t")] if "\n" not in text else []
        text = "\n".join(" ".join(line.split()) for line in text.split("\n")).strip()
        style = "" if properties is None else value_of(properties.find(f"{W}pStyle"))
        level = self._level(properties, style) if text else 0
        label = self._label(properties, style) if text else ""
        listed = bool(label) and not level
        for box in element.iter(f"{W}txbxContent"):
            notes += [line for one in box.iter(f"{W}p") if (line := " ".join("".join(_plain(one)).split()))]
        return _Paragraph(
            f"{label} {text}".strip(),
            level,
            self._is_bold(element, style),
            listed,
            list(dict.fromkeys(notes)),
            cells if len(cells) > 1 and cells[0] and not label and not level else (),
        )

    def _runs(self, element: Element, notes: list[str]) -> Iterator[str]:
        for part in _parts(element):
            kind = part.tag.removeprefix(W).removesuffix("Reference")
            if kind in self._notes:
                text = self._notes[kind].get(part.get(f"{W}id", ""))
                if text:
                    notes.append(f"{_note_name(kind)}: {text}")
            else:
                yield _shown(part)

    def _level(self, properties: Element | None, style: str) -> int:
        direct = None if properties is None else properties.find(f"{W}outlineLvl")
        levels = [direct, *(one.find(f"{W}pPr/{W}outlineLvl") for one in self._inherited(style))]
        for level in levels:
            if level is not None and value_of(level).isdecimal():
                return int(value_of(level)) + 1 if int(value_of(level)) < 9 else 0
        names = [style, *(value_of(one.find(f"{W}name")) for one in self._inherited(style))]
        found = next((found for name in names if (found := _HEADING_STYLE.fullmatch(name))), None)
        return 0 if found is None else int(found[1] or 1)

    def _label(self, properties: Element | None, style: str) -> str:
        places = [properties, *(one.find(f"{W}pPr") for one in self._inherited(style))]
        found = next(
            (one for place in places if place is not None and (one := place.find(f"{W}numPr")) is not None), None
        )
        if found is None:
            return ""
        level = value_of(found.find(f"{W}ilvl"))
        return self._numbering.next_label(
            value_of(found.find(f"{W}numId")), int(level) if level.isdecimal() else 0, style
        )

    def _inherited(self, style: str) -> Iterator[Element]:
        seen: set[str] = set()
        while style in self._styles and style not in seen:
            seen.add(style)
            yield self._styles[style]
            style = value_of(self._styles[style].find(f"{W}basedOn"))

    def _is_bold(self, element: Element, style: str) -> bool:
        runs = [run for run in element.iter(f"{W}r") if any((text.text or "").strip() for text in run.iter(f"{W}t"))]
        by_style = any(_is_on(one.find(f"{W}rPr/{W}b")) for one in self._inherited(style))
        return bool(runs) and all(_is_on(run.find(f"{W}rPr/{W}b"), by_style) for run in runs)

    # --- tables

    def _table(self, element: Element) -> tuple[list[list[str]], bool | None]:
        """The rows, and whether the first is a header: True where the file says so or where it alone is bold, False
        where the first column is bold instead, None where nothing tells."""
        rows: list[list[str]] = []
        bold: list[list[bool]] = []
        declared = False
        for row in _within(element, f"{W}tr"):
            if row.find(f"{W}trPr/{W}del") is not None:
                continue
            declared |= not rows and row.find(f"{W}trPr/{W}tblHeader") is not None
            cells, marks = self._row(row, rows[-1] if rows else [])
            rows.append(cells)
            bold.append(marks)
        if declared or (len(bold) > 1 and all(bold[0]) and not all(map(all, bold))):
            return rows, True
        side = len(bold) > 1 and all(marks and marks[0] for marks in bold) and not any(all(marks) for marks in bold)
        return rows, False if side else None

    def _row(self, row: Element, above: list[str]) -> tuple[list[str], list[bool]]:
        cells: list[str] = []
        marks: list[bool] = []
        for cell in _within(row, f"{W}tc"):
            span = value_of(cell.find(f"{W}tcPr/{W}gridSpan"))
            merged = cell.find(f"{W}tcPr/{W}vMerge")
            blocks = [self._block(one) for one in _blocks(cell)]
            text = " ".join(filter(None, map(_in_a_cell, blocks)))
            if merged is not None and value_of(merged) != "restart" and len(cells) < len(above):
                text = above[len(cells)]
            marks.append(all(one.bold for one in blocks if isinstance(one, _Paragraph) and one.text))
            cells += [text, *[""] * (int(span) - 1 if span.isdecimal() and int(span) < 64 else 0)]
        return cells, marks


def _with_tabbed_rows(blocks: "Sequence[_Paragraph | list[str]]") -> "Iterator[_Paragraph | list[str]]":
    """Paragraphs that tabs divide into as many cells, three of them or more, as a table."""
    for cells, run in groupby(blocks, key=lambda one: len(one.cells) if isinstance(one, _Paragraph) else 0):
        rows = [one for one in run if isinstance(one, _Paragraph) or cells == 0]
        if cells > 1 and len(rows) > 2 and not any(isinstance(one, list) or one.notes for one in rows):
            yield table_lines([one.cells for one in rows if isinstance(one, _Paragraph)])[0]
        else:
            yield from rows


def _in_a_cell(block: "_Paragraph | list[str]") -> str:
    """A paragraph or table as a part of a cell's text."""
    return " ".join(filter(None, (block.text, *block.notes))) if isinstance(block, _Paragraph) else "; ".join(block)


def _within(element: Element, tag: str) -> Iterator[Element]:
    """Those below the element, not those within one of them."""
    for one in element:
        if one.tag == tag:
            yield one
        else:
            yield from _within(one, tag)


def _blocks(body: Element) -> Iterator[Element]:
    """Paragraphs and tables in order, also those within content controls."""
    for element in body:
        if element.tag in (f"{W}p", f"{W}tbl"):
            yield element
        elif element.tag in (f"{W}sdt", f"{W}sdtContent", f"{W}ins", f"{W}customXml"):
            yield from _blocks(element)


def _parts(element: Element) -> Iterator[Element]:
    """What a paragraph shows, in order: not what was deleted, nor what a text box in it holds."""
    for one in element:
        if one.tag in _DELETED or one.tag == f"{W}txbxContent":
            continue
        if len(one):
            yield from _parts(one)
        else:
            yield one


def _shown(part: Element) -> str:
    match part.tag.removeprefix(W):
        case "t":
            return part.text or ""
        case "tab" | "ptab":
            return "\t"
        case "br" | "cr":
            return "\n"
        case "noBreakHyphen":
            return "-"
    return ""


def _plain(element: Element) -> Iterator[str]:
    for part in _parts(element):
        yield _shown(part)


def _note_name(kind: str) -> str:
    return tr("Comentario", "Comment") if kind == "comment" else tr("Nota", "Note")


def _is_on(element: Element | None, otherwise: bool = False) -> bool:
    return otherwise if element is None else element.get(f"{W}val", "1") not in _OFF
