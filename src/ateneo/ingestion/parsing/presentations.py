"""Presentations slide by slide: texts, tables, charts and the speaker's notes, from the XML of PPTX and ODP."""

import io
import posixpath
import zipfile
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ateneo.i18n import tr
from ateneo.ingestion.parsing.sections import SectionBuilder
from ateneo.ingestion.parsing.tables import named_row, table_text
from ateneo.ingestion.parsing.word import properties_of

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_WRITTEN = (f"{_A}t", f"{_A}br")
_TITLES = ("title", "ctrTitle")
_NO_TEXT = ("dt", "ftr", "hdr", "sldNum", "sldImg")
"""Placeholders that every slide repeats."""

_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_SHOW = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"


# --- PPTX ---------------------------------------------------------------------------------------------------------


def read_pptx(data: bytes) -> tuple[SectionBuilder, dict[str, str]]:
    """The slides, and what the file says of itself. Raises KeyError, zipfile.BadZipFile, ElementTree.ParseError for a
    damaged file."""
    builder = SectionBuilder()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        main = "ppt/presentation.xml"
        targets = _targets(archive, main)
        slides = [targets[one.get(f"{_R}id", "")] for one in _xml(archive, main).iter(f"{_P}sldId")]
        for number, slide in enumerate(slides, start=1):
            builder.turn_to(number)
            _add_slide(builder, archive, slide)
        return builder, properties_of(archive)


def _xml(archive: zipfile.ZipFile, part: str) -> Element:
    return ElementTree.fromstring(archive.read(part))


def _targets(archive: zipfile.ZipFile, part: str) -> dict[str, str]:
    """The parts that this one refers to, by their ids."""
    folder, name = posixpath.split(part)
    relations = f"{folder}/_rels/{name}.rels"
    if relations not in archive.namelist():
        return {}
    return {
        one.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, one.get("Target", ""))).lstrip("/")
        for one in _xml(archive, relations)
        if one.get("TargetMode") != "External"
    }


def _add_slide(builder: SectionBuilder, archive: zipfile.ZipFile, part: str) -> None:
    root = _xml(archive, part)
    targets = _targets(archive, part)
    shapes = [one for one in root.iter() if one.tag in (f"{_P}sp", f"{_P}graphicFrame")]
    for shape in sorted(shapes, key=lambda one: _kind(one) not in _TITLES):
        _add_shape(builder, shape)
        for chart in shape.iter(f"{_C}chart"):
            name = targets.get(chart.get(f"{_R}id", ""), "")
            if name in archive.namelist():
                builder.table("\n".join(_chart_lines(_xml(archive, name))))
    for name in targets.values():
        if "/notesSlides/" in name and name in archive.namelist():
            _add_notes(builder, [line for one in _xml(archive, name).iter(f"{_P}sp") for line in _lines(one)])


def _add_notes(builder: SectionBuilder, lines: Sequence[str]) -> None:
    if lines:
        builder.text("\n".join([tr("Notas del orador:", "Speaker's notes:"), *lines]))


def _kind(shape: Element) -> str:
    placeholder = shape.find(f".//{_P}nvPr/{_P}ph")
    return "" if placeholder is None else placeholder.get("type", "body")


def _add_shape(builder: SectionBuilder, shape: Element) -> None:
    table = shape.find(f".//{_A}tbl")
    if table is not None:
        cells = [[" ".join(_paragraphs(cell)) for cell in row.iter(f"{_A}tc")] for row in table.iter(f"{_A}tr")]
        builder.table(table_text(cells))
    elif _kind(shape) in _TITLES:
        builder.heading(1, " ".join(_lines(shape)))
    else:
        builder.text("\n".join(_lines(shape)))


def _lines(shape: Element) -> list[str]:
    return [] if _kind(shape) in _NO_TEXT else list(_paragraphs(shape))


def _paragraphs(element: Element) -> Iterator[str]:
    for paragraph in element.iter(f"{_A}p"):
        parts = (" " if one.tag == f"{_A}br" else one.text or "" for one in paragraph.iter() if one.tag in _WRITTEN)
        if text := " ".join("".join(parts).split()):
            yield text


def _chart_lines(chart: Element) -> list[str]:
    """A row a category, a column a series, below its title."""
    series = list(chart.iter(f"{_C}ser"))
    names = [" ".join(_values(one.find(f"{_C}tx")).values()) for one in series]
    categories = next((found for one in series if (found := _values(one.find(f"{_C}cat")))), {})
    values = [_values(one.find(f"{_C}val")) for one in series]
    places = sorted({at for one in (categories, *values) for at in one})
    title = chart.find(f".//{_C}title")
    titles = [] if title is None else _paragraphs(title)
    rows = ([categories.get(at, ""), *(one.get(at, "") for one in values)] for at in places)
    return [*titles, *(named_row(["", *names], row) for row in rows)]


def _values(element: Element | None) -> dict[int, str]:
    """What a chart keeps of the cells that it was made of, by their numbers."""
    points = () if element is None else element.iter(f"{_C}pt")
    return {int(one.get("idx", "0")): (one.findtext(f"{_C}v") or "").strip() for one in points}


# --- ODP ----------------------------------------------------------------------------------------------------------


def read_odp(data: bytes) -> SectionBuilder:
    """Raises KeyError, zipfile.BadZipFile, ElementTree.ParseError for a damaged file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read("content.xml"))
    builder = SectionBuilder()
    for number, page in enumerate(root.iter(f"{_DRAW}page"), start=1):
        builder.turn_to(number)
        notes = page.find(f"{_SHOW}notes")
        if notes is not None:
            page.remove(notes)
        frames = sorted(page, key=lambda one: one.get(f"{_SHOW}class") != "title")
        for frame in frames:
            _add_frame(builder, frame)
        if notes is not None:
            _add_notes(builder, list(_odf_lines(notes)))
    return builder


def _add_frame(builder: SectionBuilder, frame: Element) -> None:
    table = frame.find(f".//{_TABLE}table")
    if table is not None:
        rows = [
            [" ".join(_odf_lines(cell)) for cell in row if cell.tag.endswith("table-cell")]
            for row in table.iter(f"{_TABLE}table-row")
        ]
        builder.table(table_text(rows))
    elif frame.get(f"{_SHOW}class") == "title":
        builder.heading(1, " ".join(_odf_lines(frame)))
    else:
        builder.text("\n".join(_odf_lines(frame)))


def _odf_lines(element: Element) -> Iterator[str]:
    for paragraph in element.iter():
        if paragraph.tag in (f"{_TEXT}p", f"{_TEXT}h") and (text := " ".join("".join(paragraph.itertext()).split())):
            yield text
