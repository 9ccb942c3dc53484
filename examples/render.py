"""Render a Markdown source of the example corpus as PDF, DOCX or HTML.

    python render.py SOURCE.md TARGET.{pdf,docx,html}

Needs `reportlab` (PDF), `python-docx` (DOCX) or `markdown` (HTML). Understood: `#` to `###` headings, paragraphs,
`-` and `1.` lists, tables with `|`, `**bold**` and `*italic*`. The first `#` heading becomes the document's title.
The same source always gives the same text and the same metadata.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

FIXED_DATE = datetime(2025, 1, 1)
HEADING = re.compile(r"(#{1,3})\s+(.+)")
BULLET = re.compile(r"-\s+(.+)")
NUMBERED = re.compile(r"\d+\.\s+(.+)")
INLINE = re.compile(r"\*\*(.+?)\*\*|\*(.+?)\*")


@dataclass(frozen=True)
class Block:
    """One block of a document: `kind` is heading, paragraph, bullets, numbered or table."""

    kind: str
    level: int = 0
    lines: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def parse(source: str) -> list[Block]:
    """Split Markdown into blocks; blank lines separate them."""
    blocks: list[Block] = []
    for chunk in re.split(r"\n\s*\n", source.strip()):
        lines = [line.strip() for line in chunk.splitlines() if line.strip()]
        while lines and (match := HEADING.fullmatch(lines[0])):
            blocks.append(Block("heading", len(match[1]), [match[2]]))
            lines.pop(0)
        if lines:
            blocks.append(_body(lines))
    return blocks


def _body(lines: list[str]) -> Block:
    if lines[0].startswith("|"):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return Block("table", rows=[row for row in cells if any(set(cell) - set(":-") for cell in row)])
    for kind, pattern in (("bullets", BULLET), ("numbered", NUMBERED)):
        if pattern.match(lines[0]):
            return Block(kind, lines=_items(lines, pattern))
    return Block("paragraph", lines=[" ".join(lines)])


def _items(lines: list[str], pattern: re.Pattern[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        if match := pattern.match(line):
            items.append(match[1])
        else:
            items[-1] += " " + line
    return items


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Yield (style, text) pairs, style being '', 'b' or 'i'."""
    end = 0
    for match in INLINE.finditer(text):
        if match.start() > end:
            yield "", text[end : match.start()]
        yield ("b", match[1]) if match[1] else ("i", match[2])
        end = match.end()
    if end < len(text):
        yield "", text[end:]


def title_of(blocks: list[Block], fallback: str) -> str:
    """The text of the first top-level heading."""
    return next((block.lines[0] for block in blocks if block.kind == "heading" and block.level == 1), fallback)


def render_pdf(source: str, target: Path) -> None:
    """A4 pages with outline, page numbers and selectable text."""
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
    from reportlab.lib.units import cm
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import (
        BaseDocTemplate,
        Flowable,
        Frame,
        PageTemplate,
        Paragraph,
        Spacer,
        Table,
        TableStyle,
    )

    blocks = parse(source)
    title = title_of(blocks, target.stem)
    numbers = count(1)
    sheet = getSampleStyleSheet()
    text = ParagraphStyle("text", parent=sheet["BodyText"], fontName="Helvetica", fontSize=11, leading=16, spaceAfter=7)
    item = ParagraphStyle("item", parent=text, leftIndent=18, bulletIndent=4, spaceAfter=4)
    cell = ParagraphStyle("cell", parent=text, fontSize=9.5, leading=12, spaceAfter=0)
    grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.grey), ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke)]

    def markup(line: str) -> str:
        return "".join(f"<{s}>{html.escape(t)}</{s}>" if s else html.escape(t) for s, t in spans(line))

    class Heading(Paragraph):  # type: ignore[misc]
        """A heading that also enters the PDF's outline."""

        def __init__(self, line: str, level: int) -> None:
            super().__init__(markup(line), sheet[f"Heading{level}"])
            self.line, self.outline_level, self.key = line, level - 1, f"heading-{next(numbers)}"

        def draw(self) -> None:
            self.canv.bookmarkPage(self.key)
            self.canv.addOutlineEntry(self.line, self.key, self.outline_level)
            super().draw()

    def flowables(block: Block) -> list[Flowable]:
        if block.kind == "heading":
            return [Heading(block.lines[0], block.level)]
        if block.kind == "paragraph":
            return [Paragraph(markup(block.lines[0]), text)]
        if block.kind == "table":
            rows = [[Paragraph(markup(value), cell) for value in row] for row in block.rows]
            return [Table(rows, style=TableStyle(grid), repeatRows=1), Spacer(1, 0.4 * cm)]
        marks = ("–" if block.kind == "bullets" else f"{number}." for number in count(1))
        return [Paragraph(markup(line), item, bulletText=mark) for line, mark in zip(block.lines, marks, strict=False)]

    def footer(canvas: Canvas, _: BaseDocTemplate) -> None:
        canvas.setFont("Helvetica", 8)
        canvas.drawCentredString(A4[0] / 2, 1.2 * cm, f"{title} · página {canvas.getPageNumber()}")

    document = BaseDocTemplate(
        str(target), pagesize=A4, title=title, author="Ateneo examples", lang="es", invariant=1,
        leftMargin=2.5 * cm, rightMargin=2.5 * cm, topMargin=2.2 * cm, bottomMargin=2.2 * cm,
    )  # fmt: skip
    frame = Frame(document.leftMargin, document.bottomMargin, document.width, document.height)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=footer)])
    document.build([flowable for block in blocks for flowable in flowables(block)])


def render_docx(source: str, target: Path) -> None:
    """A Word document with the built-in heading, list and table styles."""
    from docx import Document
    from docx.text.paragraph import Paragraph

    def write(paragraph: Paragraph, line: str) -> None:
        for style, piece in spans(line):
            run = paragraph.add_run(piece)
            run.bold, run.italic = style == "b" or None, style == "i" or None

    blocks = parse(source)
    document = Document()
    properties = document.core_properties
    properties.title, properties.author = title_of(blocks, target.stem), "Ateneo examples"
    properties.language, properties.comments = "es", ""
    properties.created = properties.modified = FIXED_DATE
    for block in blocks:
        if block.kind == "heading":
            document.add_heading(block.lines[0], level=block.level)
        elif block.kind == "table":
            table = document.add_table(rows=len(block.rows), cols=len(block.rows[0]), style="Table Grid")
            for row, values in zip(table.rows, block.rows, strict=True):
                for cell, value in zip(row.cells, values, strict=True):
                    write(cell.paragraphs[0], value)
        else:
            style = {"bullets": "List Bullet", "numbered": "List Number"}.get(block.kind)
            for line in block.lines:
                write(document.add_paragraph(style=style), line)
    document.save(str(target))


def render_html(source: str, target: Path) -> None:
    """One standalone page, as an intranet would serve it."""
    import markdown

    title = html.escape(title_of(parse(source), target.stem))
    body = markdown.markdown(source, extensions=["tables", "sane_lists"], output_format="html")
    target.write_text(
        f'<!DOCTYPE html>\n<html lang="es">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n",
        encoding="utf-8",
    )


RENDERERS: dict[str, Callable[[str, Path], None]] = {".pdf": render_pdf, ".docx": render_docx, ".html": render_html}


def main(arguments: list[str]) -> int:
    """Render one file; the target's suffix picks the format."""
    if len(arguments) != 2 or Path(arguments[1]).suffix not in RENDERERS:
        print("usage: render.py SOURCE.md TARGET.{pdf,docx,html}", file=sys.stderr)
        return 2
    source, target = Path(arguments[0]), Path(arguments[1])
    RENDERERS[target.suffix](source.read_text(encoding="utf-8"), target)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
