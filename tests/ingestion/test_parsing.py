"""Real files of each kind, good and bad, through `parse`."""

import re
from pathlib import Path

import pytest
from tests.files.make import ENCRYPTED_DOCX, docx, pdf, zipped

from ateneo.errors import (
    DocumentCorrupt,
    DocumentEmpty,
    DocumentEncrypted,
    DocumentError,
    DocumentTooLarge,
    DocumentUnsupported,
)
from ateneo.ingestion.parsing.parse import parse
from ateneo.types import Document, Section

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*/files/*"))
LIMIT = 10_000_000
DOCX_MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def read(data: bytes | str, name: str) -> Document:
    return parse(data.encode() if isinstance(data, str) else data, name, max_bytes=LIMIT)


def builder(document: Document) -> list[tuple[tuple[str, ...], str]]:
    return [(section.headings, section.text) for section in document.sections]


MANUAL = [
    (("Manual",), "Texto inicial."),
    (("Manual", "Licencias"), "La licencia es de 90 días."),
    (("Manual", "Licencias", "Montos"), "Concepto | Monto\nViáticos | Monto: $ 1.234,50\nComida | Monto: $ 500"),
    (("Manual", "Feriados"), "Se paga el doble."),
]


def test_markdown_keeps_its_headings_and_tables() -> None:
    text = (
        "# Manual\n\nTexto inicial.\n\n## Licencias\nLa licencia es\nde **90 días**.\n\n### Montos\n\n"
        "| Concepto | Monto |\n|---|---:|\n| Viáticos | $ 1.234,50 |\n| [Comida](x.html) | $ 500 |\n\n"
        "Feriados\n--------\n\nSe paga el `doble`.\n"
    )
    document = read(text, "manual.md")
    assert builder(document) == MANUAL
    assert (document.title, document.mime, document.pages) == ("Manual", "text/markdown", None)


def test_word_keeps_its_headings_and_tables() -> None:
    table = [["Concepto", "Monto"], ["Viáticos", "$ 1.234,50"], ["Comida", "$ 500"]]
    texts = ["Texto inicial.", "La licencia es de 90 días.", "Se paga el doble."]
    made = docx(
        [("Manual", 1), texts[0], ("Licencias", 2), texts[1], ("Montos", 3), table, ("Feriados", 2), texts[2]],
    )
    document = read(made, "manual.docx")
    assert builder(document) == MANUAL
    assert (document.title, document.mime) == ("Manual", DOCX_MIME)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_html_keeps_its_headings_and_tables_and_leaves_scripts_out(encoding: str) -> None:
    page = (
        f'<html lang="es"><head><meta charset="{encoding}"><title>Manual</title><style>p {{}}</style></head><body>'
        "<script>alert('no')</script><h1>Manual</h1><p>Texto <b>inicial</b>.</p><h2>Licencias</h2>"
        "<p>La licencia es de <a href='x'>90 días</a>.</p><h3>Montos</h3><table><tr><th>Concepto</th><th>Monto</th>"
        "</tr><tr><td>Viáticos</td><td>$ 1.234,50</td></tr><tr><td>Comida</td><td>$ 500</td></tr></table>"
        "<h2>Feriados</h2><p>Se paga el doble.</p></body></html>"
    )
    document = read(page.encode(encoding), "manual.html")
    assert builder(document) == MANUAL
    assert document.title == "Manual"


def test_pdf_keeps_pages_and_headings_and_leaves_running_lines_out() -> None:
    wrapped = ["Quien trabaja en un día feriado cobra el doble de lo que cobra en", "un día común de la semana."]
    pages = [
        [
            "Manual · página 1",
            "Manual",
            "Feriados",
            *wrapped,
            "La regla sigue en la página que viene y ocupa más de una",
        ],
        ["Manual · página 2", "línea.", "Licencias", "Hay que avisar:", "- por escrito", "- a tiempo"],
    ]
    document = read(pdf(pages, title="Manual"), "manual.pdf")
    assert document.sections == (
        Section(
            "Quien trabaja en un día feriado cobra el doble de lo que cobra en un día común de la semana.\n\n"
            "La regla sigue en la página que viene y ocupa más de una",
            ("Manual", "Feriados"),
            1,
        ),
        Section("línea.", ("Manual", "Feriados"), 2, continues=True),
        Section("Hay que avisar:\n\n- por escrito\n- a tiempo", ("Manual", "Licencias"), 2),
    )
    assert document.pages == 2


def test_pdf_numbered_headings_give_the_levels() -> None:
    lines = ["1. Personal", "Rige para todos.", "1.1 Horario", "De ocho a cinco.", "2. Compras", "Con orden de compra."]
    assert builder(read(pdf([lines], title="R"), "r.pdf")) == [
        (("R", "1. Personal"), "Rige para todos."),
        (("R", "1. Personal", "1.1 Horario"), "De ocho a cinco."),
        (("R", "2. Compras"), "Con orden de compra."),
    ]


def test_titles_come_from_metadata_then_headings_then_the_name() -> None:
    assert read("---\ntitle: 'De la ficha'\n---\n# Del texto\n\nHola.", "a.md").title == "De la ficha"
    assert read("# Del texto\n\nHola.", "a.md").title == "Del texto"
    assert read("Hola.", "a.md").title == "a.md"
    assert read(pdf([["Hola a todas."]], title="untitled"), "a.pdf").title == "a.pdf"
    assert builder(read("---\ntitle: 'De la ficha'\n---\n# Del texto\n\nHola.", "a.md")) == [
        (("De la ficha", "Del texto"), "Hola.")
    ]


def test_headings_without_text_are_not_lost() -> None:
    assert builder(read("# M\n\n## Vacío\n\n## Lleno\n\nHola.", "a.md")) == [
        (("M",), "Vacío"),
        (("M", "Lleno"), "Hola."),
    ]


def test_comment_marks_in_code_are_text_and_images_by_reference_are_none() -> None:
    text = (
        "Se escribe `<!-- así -->` <!-- no\nesto --> y sigue.\n\n```html\n<!-- tal cual -->\n```\n\n"
        "![el plano][p] del piso <!-- abierto\n\n[p]: <data:image/png;base64,AAAA>\n\nVer [la nota]: es breve."
    )
    [section] = parse(text.encode(), "m.md", max_bytes=1000).sections
    assert section.text == (
        "Se escribe <!-- así --> y sigue.\n\n<!-- tal cual -->\n\nel plano del piso <!-- abierto\n\n"
        "Ver [la nota]: es breve."
    )


def test_code_is_no_heading_and_comments_are_no_text() -> None:
    text = (
        "# M\n\n<!-- nota\n# interna -->\n```sh\n# comentario\nls *.md\n```\n\nFin \\*literal\\*, `a*b*c` y 2 * 3 * 4."
    )
    assert builder(read(text, "a.md")) == [(("M",), "# comentario\nls *.md\n\nFin *literal*, a*b*c y 2 * 3 * 4.")]


def test_csv_rows_stand_on_their_own() -> None:
    document = read("producto;precio;stock\nRemera;10;\n\n", "p.csv")
    assert builder(document) == [((), "producto | precio | stock\nRemera | precio: 10")]


def rows(text: str) -> list[str]:
    [(_, read_text)] = builder(read(text, "lista.csv"))
    return read_text.split("\n")


def test_a_stray_quote_in_csv_is_a_letter_and_every_row_a_row() -> None:
    more = "".join(f"B{n};caño de {n} mm;{n}00\n" for n in range(8000))
    found = rows('codigo;medida;precio\nA1;"2 pulgadas;100\n' + more)
    assert found[1:3] == ['A1 | medida: "2 pulgadas | precio: 100', "B0 | medida: caño de 0 mm | precio: 000"]
    assert len(found) == 8002


@pytest.mark.parametrize(
    ("cells", "read_cells"),
    [
        ('A1;"2 pulgadas;1\nA2;3";2', ['A1 | medida: "2 pulgadas | precio: 1', 'A2 | medida: 3" | precio: 2']),
        ('A1;caño 2" x 3";1\nA2;"3;2', ['A1 | medida: caño 2" x 3" | precio: 1', 'A2 | medida: "3 | precio: 2']),
        ('A1;"caño; ""grueso""";1', ['A1 | medida: caño; "grueso" | precio: 1']),
        ('A1;"caño\nde dos\nrenglones";1', ["A1 | medida: caño de dos renglones | precio: 1"]),
        ('A1;"caño";"uno\r\ndos"', ["A1 | medida: caño | precio: uno dos"]),
        ('A1;"caño"x;1', ['A1 | medida: "caño"x | precio: 1']),
        ('A1;"";1\n"', ["A1 | precio: 1", '"']),
        (f'A1;"{"x" * 200_000}";1', [f"A1 | medida: {'x' * 200_000} | precio: 1"]),
    ],
    ids=range(8),
)
def test_quotes_in_csv(cells: str, read_cells: list[str]) -> None:
    assert rows("codigo;medida;precio\n" + cells) == ["codigo | medida | precio", *read_cells]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("personal.csv", "PK;Nombre;Turno\n1;Lucía;noche\n"),
        ("pki.md", "PKI: política de certificados.\n\nVencen al año.\n"),
        ("formatos.md", "# Formatos\n\nUn archivo PDF empieza con %PDF-1.7 y sus objetos.\n"),
        ("pdf.txt", "%PDF-2.0 es lo primero de un PDF.\n"),
        ("mz.csv", "MZ;Lote\n1;Norte\n"),
        ("rar.txt", "Rar! dijo el perro.\n"),
        ("gif", "GIF89 es un formato viejo."),
    ],
)
def test_text_that_begins_as_a_binary_file_does_is_text(name: str, text: str) -> None:
    [section] = read(text, name).sections
    assert re.split(r"[\s;]", text.strip())[-1] in section.text


@pytest.mark.parametrize(
    "text", ["El año próximo la compañía abrirá.", "ÁREA de compras: el año próximo.", "Ü Ý Á Í: Ñandú, 25 €."]
)
@pytest.mark.parametrize("bad", [b"caf\xe9.", b"\xf0\x9f\x8f", b"a\x81b"])
def test_a_bad_byte_in_utf8_is_a_replacement_character(text: str, bad: bytes) -> None:
    data = f"{text}\n\nNota: ".encode() + bad + "\n\nFirmó la comisión.".encode()
    [section] = read(data, "acta.txt").sections
    assert section.text == f"{text}\n\nNota: {bad.decode('utf-8', 'replace')}\n\nFirmó la comisión."
    assert section.text.count("\ufffd") == 1


@pytest.mark.parametrize("charset", ["idna", "punycode", "unicode_escape", "undefined", "rot13", "utf-7", "no-hay"])
def test_a_page_cannot_choose_a_codec_that_is_none_of_letters(charset: str) -> None:
    page = f"<html><meta charset={charset}><p>El año".encode("cp1252") + b" \xf1and\xfa</p></html>"
    [section] = read(page, "a.html").sections
    assert section.text == "El año ñandú"


def test_a_rule_at_the_start_of_markdown_is_no_front_matter() -> None:
    text = "---\nActa del comité de obra\n\nSe resolvió comprar la grúa torre.\n\n---\n\nFirman los presentes.\n"
    [section] = read(text, "acta.md").sections
    assert section.text == "Acta del comité de obra\n\nSe resolvió comprar la grúa torre.\n\nFirman los presentes."
    [section] = read("---\n\nNota: hay obra.\n\n---\n\nFin.", "b.md").sections
    assert section.text == "Nota: hay obra.\n\nFin."


def test_front_matter_is_metadata_and_its_description_is_text() -> None:
    text = (
        "---\ntitle: Ficha del proveedor\ndescription: >\n  Vende válvulas esclusas\n  en Rosario\n"
        "tags: [bronce, 'riego']\n# nota\nareas:\n  - compras\n  - obra\nvence: 2027-03-01\n---\n\nTexto del cuerpo.\n"
    )
    document = read(text, "ficha.md")
    assert document.title == "Ficha del proveedor"
    assert document.metadata == {
        "description": "Vende válvulas esclusas en Rosario",
        "tags": ["bronce", "riego"],
        "areas": ["compras", "obra"],
        "vence": "2027-03-01",
    }
    assert document.sections[0].text == "Vende válvulas esclusas en Rosario\n\nTexto del cuerpo."


def test_a_page_that_begins_with_a_rule_keeps_its_text() -> None:
    page = "<html><body><hr><p>Nota: hay obra.</p><h2>Horario: nuevo</h2><p>De ocho a cinco.</p></body></html>"
    assert [text for _, text in builder(read(page, "a.html"))] == ["Nota: hay obra.", "De ocho a cinco."]


def test_pages_of_records_keep_the_numbers_at_their_edges() -> None:
    records = [("Legajo 4521", "812"), ("Legajo 4522", "934"), ("Legajo 4530", "877")]
    pages = [
        [f"Recibos · hoja {at} de 3", number, *(f"Percibe {net} por noche {n}." for n in "abcd"), f"Sueldo neto: {net}"]
        for at, (number, net) in enumerate(records, 1)
    ]
    document = read(pdf(pages), "recibos.pdf")
    text = "\n".join("\n".join((*section.headings, section.text)) for section in document.sections)
    for number, net in records:
        assert number in text
        assert f"Sueldo neto: {net}" in text
    assert "hoja" not in text


@pytest.mark.parametrize("numbers", [["1", "2", "3"], ["ii", "iii", "iv"], ["pág. 4", "pág. 5", "pág. 6"]])
def test_page_numbers_are_left_out(numbers: list[str]) -> None:
    pages = [
        ["Manual de obra", f"Regla {at}{at}.", "El plazo rige.", f"Se revisa en {at}{at} meses.", number]
        for at, number in zip("abc", numbers, strict=True)
    ]
    document = read(pdf([*pages, ["Manual de obra", "Otra cosa.", "Nada más."]]), "m.pdf")
    lines = [line for section in document.sections for line in section.text.split("\n")]
    assert "El plazo rige." in lines
    assert not set(numbers) & set(lines)


def test_what_a_file_says_of_itself_has_a_limit() -> None:
    document = read(f"---\ntitle: {'muy ' * 9000}\nautor: {'x' * 90_000}\n---\n" + "# A\n\nb\n\n" * 50, "a.md")
    assert len(document.title) <= 500
    assert len(document.metadata["autor"]) <= 2000
    wide = f"{'columna ' * 9000};b\n" + "1;2\n" * 1000
    assert len(read(wide, "a.csv").sections[0].text) < 2 * len(wide)


@pytest.mark.parametrize(
    "data",
    ["Año señor".encode(), "Año señor".encode("latin-1"), "Año señor".encode("utf-16"), "\ufeffAño señor".encode()],
)
def test_plain_text_in_any_usual_encoding(data: bytes) -> None:
    assert read(data, "sin-extension").sections == (Section("Año señor"),)


def test_hostile_characters_are_cleaned_and_kept() -> None:
    text = "Uno\x00 \u202eאבג\u202c e\u0301 \ufeff🏖️"
    [section] = read(text, "a.txt").sections
    assert section.text == text.replace("\x00", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_example_files_have_a_title_and_headings(path: Path) -> None:
    document = read(path.read_bytes(), path.name)
    assert document.title != path.name
    assert {section.headings[0] for section in document.sections} == {document.title}
    assert len({section.headings for section in document.sections}) > 2
    assert (document.pages is not None) == (path.suffix == ".pdf")


GOOD_DOCX = docx(["Hola a todos y a todas."])
GOOD_PDF = pdf([["Hola a todos y a todas."]])
BOMB = zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": b" " * 60_000_000})

BAD = {
    "vacio.md": (b"", DocumentEmpty),
    "vacio.pdf": (b"", DocumentEmpty),
    "espacios.txt": (b" \n\t\x0c", DocumentEmpty),
    "signos.md": (b"---\n\n***\n", DocumentEmpty),
    "en-blanco.pdf": (pdf([[""]]), DocumentEmpty),
    "sin-texto.docx": (docx([""]), DocumentEmpty),
    "sin-texto.html": (b"<html><body><img src='x'></body></html>", DocumentEmpty),
    "clave.pdf": (pdf([["Secreto."]], encrypted=True), DocumentEncrypted),
    "clave.docx": (ENCRYPTED_DOCX.read_bytes(), DocumentEncrypted),
    "cortado.pdf": (GOOD_PDF[: len(GOOD_PDF) // 3], DocumentCorrupt),
    "cabecera.pdf": (b"%PDF-1.7\n", DocumentCorrupt),
    "cortado.docx": (GOOD_DOCX[: len(GOOD_DOCX) // 2], DocumentCorrupt),
    "otro.docx": (zipped({"hola.txt": "hola"}), DocumentCorrupt),
    "texto.docx": (b"esto es texto", DocumentCorrupt),
    "texto.pdf": (b"esto es texto", DocumentCorrupt),
    "xml-roto.docx": (zipped({"[Content_Types].xml": "<", "word/document.xml": "<w:doc"}), DocumentCorrupt),
    "bomba.docx": (BOMB, DocumentCorrupt),
    "foto.png": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), DocumentCorrupt),
    "foto.txt": (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4, DocumentCorrupt),
    "programa": (b"\x7fELF" + bytes(200), DocumentUnsupported),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_has_its_own_error(name: str) -> None:
    data, expected = BAD[name]
    with pytest.raises(DocumentError) as caught:
        read(data, name)
    assert type(caught.value) is expected
    assert name in caught.value.message
    assert caught.value.remedy


def test_a_bomb_is_refused_before_it_is_unpacked_and_called_by_its_name() -> None:
    assert len(BOMB) < 100_000
    with pytest.raises(DocumentCorrupt, match="bomba zip"):
        read(BOMB, "bomba.docx")


def test_the_size_is_checked_before_anything_else() -> None:
    with pytest.raises(DocumentTooLarge, match=r"1,0 MiB.*1000 bytes"):
        parse(b"\x00" * 1024 * 1024, "x.bin", max_bytes=1000)


@pytest.mark.parametrize("unit", ["<!--", "<http://", "[a](", "`` ` ", "*a ", "_a ", "|-", "> "])
def test_long_runs_of_marks_are_read_in_one_pass(unit: str) -> None:
    [section] = read("# T\n\n" + unit * (200_000 // len(unit)) + "\n\nFin.", "a.md").sections
    assert section.text.endswith("Fin.")
