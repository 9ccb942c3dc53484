"""Presentations: slides, notes, tables and charts; and workbooks that are none."""

from tests.files.make import zipped

from ateneo.ingestion.parsing.parse import parse
from ateneo.types import Document

LIMIT = 10**7
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
_C = 'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart"'
_RELATIONS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_NAMES = f"{_A} {_P} {_C} {_RELATIONS}"


def shape(text: str, kind: str = "body") -> str:
    lines = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr><p:txBody>{lines}</p:txBody></p:sp>'


def slide(*shapes: str) -> str:
    return f"<p:sld {_NAMES}>{''.join(shapes)}</p:sld>"


def relations(**targets: str) -> str:
    inner = "".join(f'<Relationship Id="{name}" Target="{target}"/>' for name, target in targets.items())
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inner}</Relationships>'
    )


def points(tag: str, *values: str) -> str:
    inner = "".join(f'<c:pt idx="{at}"><c:v>{value}</c:v></c:pt>' for at, value in enumerate(values))
    return f"<c:{tag}><c:strRef><c:strCache>{inner}</c:strCache></c:strRef></c:{tag}>"


def presentation() -> bytes:
    chart = (
        '<p:graphicFrame><a:graphic><a:graphicData><c:chart r:id="c1"/></a:graphicData></a:graphic></p:graphicFrame>'
    )
    series = points("tx", "Ventas") + points("cat", "Enero", "Febrero") + points("val", "120", "340.5")
    order = '<p:sldIdLst><p:sldId id="1" r:id="s2"/><p:sldId id="2" r:id="s1"/></p:sldIdLst>'
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "ppt/presentation.xml": f"<p:presentation {_NAMES}>{order}</p:presentation>",
            "ppt/_rels/presentation.xml.rels": relations(s1="slides/slide1.xml", s2="/ppt/slides/slide2.xml"),
            "ppt/slides/slide1.xml": slide(shape("Segunda", "title"), chart, shape("7", "sldNum")),
            "ppt/slides/_rels/slide1.xml.rels": relations(c1="../charts/chart1.xml"),
            "ppt/charts/chart1.xml": f"<c:chartSpace {_NAMES}><c:ser>{series}</c:ser></c:chartSpace>",
            "ppt/slides/slide2.xml": slide(shape("Uno.\nDos."), shape("Plan", "title")),
            "ppt/slides/_rels/slide2.xml.rels": relations(n="../notesSlides/notesSlide1.xml"),
            "ppt/notesSlides/notesSlide1.xml": f"<p:notes {_NAMES}>{shape('Bajar el precio a 4.500.')}</p:notes>",
        }
    )


def read(data: bytes | str, name: str) -> Document:
    return parse(data.encode() if isinstance(data, str) else data, name, max_bytes=LIMIT)


def test_slides_come_in_their_order_with_notes_and_charts() -> None:
    document = read(presentation(), "plan.pptx")
    assert [(section.page, section.headings, section.text) for section in document.sections] == [
        (1, ("Plan",), "Uno.\nDos.\n\nNotas del orador:\nBajar el precio a 4.500."),
        (2, ("Plan", "Segunda"), "Enero | Ventas: 120\nFebrero | Ventas: 340.5"),
    ]
    assert (document.pages, document.reading.tables) == (2, 1)


def test_an_odp_is_read_with_its_notes() -> None:
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"'
        for name, path in (("draw", "drawing"), ("text", "text"), ("presentation", "presentation"), ("table", "table"))
    )
    page = (
        "<draw:page><draw:frame><draw:text-box><text:p>El tope es de <text:span>3.000</text:span> pesos.</text:p>"
        '</draw:text-box></draw:frame><draw:frame presentation:class="title"><text:p>Presupuesto</text:p></draw:frame>'
        "<presentation:notes><text:p>Decirlo dos veces.</text:p></presentation:notes></draw:page>"
    )
    mime = "application/vnd.oasis.opendocument.presentation"
    document = read(zipped({"mimetype": mime, "content.xml": f"<x {spaces}>{page}</x>"}), "a.odp")
    assert [(section.page, section.headings, section.text) for section in document.sections] == [
        (1, ("Presupuesto",), "El tope es de 3.000 pesos.\n\nNotas del orador:\nDecirlo dos veces.")
    ]


def test_a_workbook_that_is_a_page_or_lines_with_tabs() -> None:
    page = "<table><tr><td>Artículo</td><td>Precio</td></tr><tr><td>Yerba</td><td>1.200</td></tr></table>"
    assert "Yerba | Precio: 1.200" in read(page, "lista.xls").sections[0].text
    tabs = "Artículo\tPrecio\nYerba\t1.200\nMate\t3.400\n"
    assert "Mate | Precio: 3.400" in read(tabs, "lista.xls").sections[0].text
    assert read("Un contrato en texto solo.", "contrato.doc").sections[0].text == "Un contrato en texto solo."
