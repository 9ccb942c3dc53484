"""Files made to hurt whoever reads them: one each for what is known to hang, crash or fill a parser."""

import io
import zipfile
from collections.abc import Callable, Mapping

from tests.files.make import docx, pdf, zipped

_MB = 1_000_000
_LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a0 "ja">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]>"
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_TYPES = "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>"


def _members(made: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _word(body: str, prolog: str = "") -> bytes:
    document = f'{prolog}<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return zipped({**_members(docx(["x"])), "word/document.xml": document})


def _bomb(megabytes: int) -> bytes:
    """A document of blanks, packed piece by piece: nobody holds it whole but who unpacks it."""
    kept = _members(_word("<w:p/>"))
    head, tail = kept.pop("word/document.xml").split(b"</w:body>")
    packed = io.BytesIO(zipped(kept))
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w") as body:
        body.write(head)
        for _ in range(megabytes):
            body.write(b" " * _MB)
        body.write(b"</w:body>" + tail)
    return packed.getvalue()


def _sheet(rows: str) -> bytes:
    book = f'<workbook xmlns="{_SHEET}"><sheets><sheet name="a" sheetId="1"/></sheets></workbook>'
    sheet = f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData></worksheet>'
    return zipped({"[Content_Types].xml": _TYPES, "xl/workbook.xml": book, "xl/worksheets/sheet1.xml": sheet})


def _pdf_with(old: bytes, new: bytes) -> bytes:
    return pdf([["Hola a todos."]]).replace(old, new)


def _mail(parts: int) -> bytes:
    head = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(parts))
    return ("From: a@b.ar\r\nSubject: Obra\r\nMIME-Version: 1.0\r\n" + head + "\r\nHola.").encode()


FILES: Mapping[str, Callable[[], bytes | str]] = {
    # Markdown
    "tabla.md": lambda: "Texto | x\n-|" + " " * 1500,
    "tabla-larga.md": lambda: "Texto | x\n-|" + " " * _MB + "x",
    "tabla-ancha.md": lambda: "| a " * 5000 + "\n" + "|-" * 5000 + "\n" + "| b " * 5000,
    "titulo.md": lambda: "# a" + " " * _MB + "b",
    "subrayados.md": lambda: "a\n-\n" * 50_000,
    "acentos-graves.md": lambda: "".join("`" * n + " a " for n in range(1, 500)),
    "enfasis.md": lambda: "*a _b ~~c " * 10_000,
    "enlaces.md": lambda: "[a](" * 20_000,
    "corchetes.md": lambda: "[" * _MB,
    "citas.md": lambda: "> " * 500_000 + "x",
    "listas.md": lambda: "".join(" " * n + "- a\n" for n in range(1500)),
    "cercas.md": lambda: "```\n~~~\n" * 50_000,
    "comentarios.md": lambda: "<!--" * 250_000,
    "ficha.md": lambda: "---\n" + "a" * 100_000 + ": b\n---\nx",
    "titulo-de-ficha.md": lambda: f"---\ntitle: {'muy ' * 250_000}\n---\n" + "# A\n\nb\n\n" * 2000,
    "renglon.md": lambda: "palabra " * 60_000,
    # text
    "renglon.txt": lambda: "x" * 20 * _MB,
    "espacios.txt": lambda: "a" + " " * 20 * _MB + "b",
    "renglones.txt": lambda: "\n" * 10 * _MB + "fin",
    "puntos.txt": lambda: "." * 200_000 + "a. " * 20_000,
    "abreviaturas.txt": lambda: "(1. " * 20_000 + "Sr. " * 20_000,
    "marcas.txt": lambda: "e" + "\u0301" * 100_000,
    "controles.txt": lambda: "hola\x07" * 500_000,
    "json.json": lambda: "[" * 2 * _MB,
    "un-renglon.json": lambda: '{"a": "' + "ñ\\u00f1 " * 20_000 + '"}',
    "risas.xml": lambda: _LAUGHS + "<z>&a11;</z>",
    # CSV
    "celdas.csv": lambda: "a;b\n" + "1;" * 100_000,
    "filas.csv": lambda: "a;b\n" + "1;2\n" * 20_000,
    "columnas.csv": lambda: ";".join(["nombre de la columna"] * 2000) + "\n" + (";".join("x" * 2000) + "\n") * 2,
    "comillas.csv": lambda: 'a;b\n"x;' * 20_000,
    "comillas-dobles.csv": lambda: "a;b\n" + '";""' * 30_000,
    "celda.csv": lambda: 'a;b\n"' + "x\n" * 50_000 + '";2',
    # what kreuzberg reads
    "anidado.html": lambda: "<html>" + "<div>" * 300_000 + "x",
    "listas.html": lambda: "<html>" + "<ul><li>" * 20_000 + "x",
    "tablas.html": lambda: "<html>" + "<table><tr><td>" * 5000 + "x",
    "entidades.html": lambda: "<html>" + "&amp" * 20_000,
    "rayas.html": lambda: "<html><body><hr>" + "<br>\n" * 200_000 + "<h2>x</h2>",
    "juego.html": lambda: "<html><meta charset=punycode>" + "\xff" * 100_000,
    "grupos.rtf": lambda: "{\\rtf1" + "{" * _MB,
    "partes.eml": lambda: _mail(2000),
    "encabezado.eml": lambda: "Subject: " + "=?utf-8?q?a?= " * 100_000 + "\r\n\r\nHola.",
    "risas.docx": lambda: _word("<w:p><w:r><w:t>&a11;</w:t></w:r></w:p>", _LAUGHS),
    "anidado.docx": lambda: _word("<w:tbl><w:tr><w:tc>" * 20_000),
    "bomba.docx": lambda: _bomb(600),
    "bomba-chica.docx": lambda: _word("<w:p><w:r><w:t>" + "a " * 50_000 + "</w:t></w:r></w:p>"),
    "bomba.xlsx": lambda: _sheet("<row>" + '<c t="inlineStr"><is><t>a</t></is></c>' * 400_000 + "</row>"),
    "fila-lejana.xlsx": lambda: _sheet('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
    "miembros.docx": lambda: zipped({f"word/{n}.xml": b"" for n in range(70_000)}),
    "ciclo.pdf": lambda: _pdf_with(b"/Kids [5 0 R]", b"/Kids [2 0 R]"),
    "cuenta.pdf": lambda: _pdf_with(b"/Count 1", b"/Count 99999999"),
    "anidado.pdf": lambda: _pdf_with(b"/Type /Font ", b"/Type /Font /X " + b"[" * _MB),
    "largo.pdf": lambda: pdf([["a" * 50_000] * 20] * 2),
    "filas.pdf": lambda: pdf([["Caño de acero"] * 3000] * 20),
}
