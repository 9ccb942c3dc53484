"""Word files: numbering, what was deleted, notes, merged cells."""

import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st

from ateneo.ingestion.parsing.word import read_docx

SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(body: str, **parts: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", f"<w:document {SPACE}><w:body>{body}</w:body></w:document>")
        for name, xml in parts.items():
            archive.writestr(f"word/{name}.xml", xml)
    return buffer.getvalue()


def run(text: str, marks: str = "") -> str:
    return f"<w:r><w:rPr>{marks}</w:rPr><w:t xml:space='preserve'>{text}</w:t></w:r>"


def paragraph(content: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{content}</w:p>"


def numbered(text: str, level: int = 0, number: int = 1) -> str:
    return paragraph(run(text), f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(run(text)) if text else '<w:p/>'}</w:tc>"


def table(*rows: str) -> str:
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"


def text_of(data: bytes) -> str:
    builder, _ = read_docx(data)
    return "\n".join("\n".join((*section.headings, section.text)) for section in builder.sections())


LEVELS = (
    ("decimal", "Artículo %1."),
    ("decimal", "%1.%2"),
    ("lowerLetter", "%3)"),
    ("upperRoman", "%4."),
    ("bullet", "•"),
)
NUMBERING = (
    f"<w:numbering {SPACE}><w:abstractNum w:abstractNumId='0'>"
    + "".join(
        f"<w:lvl w:ilvl='{at}'><w:start w:val='1'/><w:numFmt w:val='{kind}'/><w:lvlText w:val='{text}'/></w:lvl>"
        for at, (kind, text) in enumerate(LEVELS)
    )
    + "</w:abstractNum><w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>"
    "<w:num w:numId='2'><w:abstractNumId w:val='0'/>"
    "<w:lvlOverride w:ilvl='0'><w:startOverride w:val='7'/></w:lvlOverride></w:num></w:numbering>"
)


def test_numbers_are_counted_as_the_reader_sees_them() -> None:
    body = [numbered("uno"), numbered("bis", 1), numbered("ter", 1), numbered("equis", 2), numbered("dos"),
            numbered("otro", 1), numbered("tres"), numbered("punto", 4), numbered("siete", 0, 2),
            numbered("ocho")]  # fmt: skip
    assert text_of(docx("".join(body), numbering=NUMBERING)).split("\n") == [
        "Artículo 1. uno", "1.1 bis", "1.2 ter", "a) equis", "Artículo 2. dos", "2.1 otro", "Artículo 3. tres",
        "- punto",
        "Artículo 7. siete", "Artículo 8. ocho",
    ]  # fmt: skip


@given(st.lists(st.integers(0, 4), max_size=12))
def test_no_order_of_levels_fails(levels: list[int]) -> None:
    lines = text_of(
        docx("".join(numbered(f"texto{at}", level) for at, level in enumerate(levels)), numbering=NUMBERING)
    )
    assert all(f"texto{at}" in lines for at in range(len(levels)))


def test_what_was_deleted_is_out_and_what_was_inserted_is_in() -> None:
    deleted = f"<w:del>{run('cien')}</w:del><w:moveFrom>{run('!')}</w:moveFrom>"
    body = paragraph(f"{run('Vale ')}{deleted}<w:ins>{run('mil')}</w:ins>{run(' pesos.')}")
    assert text_of(docx(body)) == "Vale mil pesos."


def test_notes_and_comments_stand_below_their_paragraph() -> None:
    references = "<w:r><w:footnoteReference w:id='2'/></w:r><w:r><w:commentReference w:id='0'/></w:r>"
    body = paragraph(run("Depósito") + references) + paragraph(run("Fin."))
    notes = f"<w:footnotes {SPACE}><w:footnote w:id='2'>{paragraph(run('Se devuelve.'))}</w:footnote></w:footnotes>"
    comments = f"<w:comments {SPACE}><w:comment w:id='0'>{paragraph(run('Revisar.'))}</w:comment></w:comments>"
    assert text_of(docx(body, footnotes=notes, comments=comments)).split("\n\n") == [
        "Depósito", "Nota: Se devuelve.", "Comentario: Revisar.", "Fin.",
    ]  # fmt: skip


def test_merged_cells_are_in_each_of_their_rows() -> None:
    top, below = "<w:vMerge w:val='restart'/>", "<w:vMerge/>"
    rows = (
        cell("Zona") + cell("Mes") + cell("Cupo"),
        cell("Norte", top) + cell("Enero") + cell("4"),
        cell("", below) + cell("Marzo") + cell("6"),
    )
    assert "Norte | Mes: Marzo | Cupo: 6" in text_of(docx(table(*rows)))


def test_bold_lines_are_headings() -> None:
    bold = "<w:b/>"
    body = (
        paragraph(run("REGLAS", bold))
        + paragraph(run("Rige hoy."))
        + paragraph(run("Horario", bold))
        + paragraph(run("De 8 a 12."))
    )
    builder, _ = read_docx(docx(body))
    assert [section.headings for section in builder.sections()] == [("REGLAS",), ("REGLAS", "Horario")]
