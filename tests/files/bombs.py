"""Small files that unpack to much: what each holds is bounded by the limits on text and memory, not by its size."""

# ruff: noqa: E501, PLW0108

import io
import json
import random
import zipfile
import zlib
from base64 import encodebytes
from collections.abc import Callable, Mapping

from tests.files.make import docx, pdf, zipped

_MB = 1_000_000
_RULE = "El plazo para presentar la solicitud es de diez días hábiles desde la notificación. " * 7
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def text(megabytes: float, rule: str = _RULE) -> str:
    """Sentences of that many million characters, which pack to about a hundredth."""
    lines = int(megabytes * _MB) // (len(rule) + 7)
    return "".join(f"{n:6} {rule}" for n in range(lines))


def _docx(body: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(docx(["x"]))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>'
    return zipped({**members, "word/document.xml": document})


def _paragraphs(count: int, words: str) -> bytes:
    return _docx("".join(f"<w:p><w:r><w:t>{n} {words}</w:t></w:r></w:p>" for n in range(count)))


def _xlsx(rows: str) -> bytes:
    types = f'<Types xmlns="{_PACKAGE}/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
    root = f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    own = f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    book = f'<workbook xmlns="{_SHEET}" xmlns:r="{_RELATIONS}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>'
    sheet = f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData></worksheet>'
    return zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": root,
            "xl/workbook.xml": book,
            "xl/_rels/workbook.xml.rels": own,
            "xl/worksheets/sheet1.xml": sheet,
        }
    )


def _rows(rows: int, columns: int, value: str) -> str:
    cell = f'<c t="inlineStr"><is><t>{value}</t></is></c>'
    return "".join(f"<row>{f'<c><v>{n}</v></c>'}{cell * columns}</row>" for n in range(rows))


def _ods(rows: str) -> bytes:
    names = " ".join(f'xmlns:{name}="{_OFFICE}:{name}:1.0"' for name in ("office", "table", "text"))
    body = f'<office:document-content {names}><office:body><office:spreadsheet><table:table table:name="a">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    return zipped({"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": body})


def _repeated(rows: int, value: str) -> bytes:
    """Rows that are declared once, a hundred times each, of a hundred equal cells."""
    cell = f'<table:table-cell table:number-columns-repeated="100"><text:p>{value}</text:p></table:table-cell>'
    return _ods(f'<table:table-row table:number-rows-repeated="100">{cell}</table:table-row>' * rows)


def _pptx(paragraphs: int) -> bytes:
    types = f'<Types xmlns="{_PACKAGE}/content-types"/>'
    relation = f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_RELATIONS}/slide" Target="slides/slide1.xml"/></Relationships>'
    deck = f'<p:presentation xmlns:p="{_SLIDES}" xmlns:r="{_RELATIONS}"><p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst></p:presentation>'
    words = "".join(f"<a:p><a:r><a:t>{n} {_RULE}</a:t></a:r></a:p>" for n in range(paragraphs))
    slide = f'<p:sld xmlns:p="{_SLIDES}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree><p:sp><p:txBody>{words}</p:txBody></p:sp></p:spTree></p:cSld></p:sld>'
    return zipped(
        {
            "[Content_Types].xml": types,
            "ppt/presentation.xml": deck,
            "ppt/_rels/presentation.xml.rels": relation,
            "ppt/slides/slide1.xml": slide,
        }
    )


def _nested_zip(depth: int, width: int, innermost: bytes, name: str) -> bytes:
    for level in range(depth):
        innermost, inner = zipped({f"{n}{name}": innermost for n in range(width)}), name
        name = f"{level}.zip" if inner else name
    return innermost


def _pdf(stream: bytes) -> bytes:
    """A page whose content is `stream`, packed twice."""
    packed = zlib.compress(zlib.compress(stream, 9), 9)
    made = pdf([["x"]])
    start = made.index(b"<< /Length")
    end = made.index(b"endstream", start)
    head = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(packed)
    return made[:start] + head + packed + b"\n" + made[end:]


def _mail(name: str, data: bytes) -> bytes:
    head = f'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    return (b'From: a@b.ar\r\nSubject: Obra\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
            b"--b\r\nContent-Type: text/plain\r\n\r\nHola.\r\n--b\r\n" + head.encode() + encodebytes(data) + b"\r\n--b--\r\n")  # fmt: skip


def _mail_in_mail(depth: int, data: bytes) -> bytes:
    name = "a.zip"
    for _ in range(depth):
        data, name = _mail(name, data), "a.eml"
    return data


def _deep_json(depth: int, entries: int) -> bytes:
    value: object = [{"a": _RULE, "b": n} for n in range(entries)]
    for _ in range(depth):
        value = {_RULE[:100]: 1, "n": [value]}
    return json.dumps(value, ensure_ascii=False).encode()


def _noise(megabytes: int) -> bytes:
    letters = random.Random(1).choices("abcdefghijklmnopqrstuvwxyz ", k=megabytes * _MB)
    return "".join(letters).encode()


BOMBS: Mapping[str, Callable[[], bytes]] = {
    "texto.docx": lambda: _paragraphs(66_000, _RULE),
    "casi.docx": lambda: _paragraphs(32_000, _RULE),
    "parrafos.docx": lambda: _paragraphs(1_500_000, "a"),
    "corridas.docx": lambda: _docx("<w:p>" + "<w:r><w:t>a </w:t></w:r>" * 3_000_000 + "</w:p>"),
    "celdas.xlsx": lambda: _xlsx(_rows(20_000, 100, "a")),
    "texto.xlsx": lambda: _xlsx(_rows(60_000, 1, _RULE)),
    "repetido.ods": lambda: _repeated(300, "a"),
    "texto.ods": lambda: _repeated(20, _RULE),
    "texto.pptx": lambda: _pptx(60_000),
    "casi.pptx": lambda: _pptx(30_000),
    "casi.txt.zip": lambda: zipped({"a.txt": text(19.5)}),
    "emoji.zip": lambda: zipped({"a.txt": "\U0001f600 " + text(19)}),
    "emojis.zip": lambda: zipped({"a.txt": text(19, "El plazo es de diez días \U0001f600. " * 17)}),
    "oraciones.zip": lambda: zipped({"a.txt": "".join(f"Es {n}. " for n in range(1_900_000))}),
    "parrafos.zip": lambda: zipped({"a.txt": "".join(f"{n}\n\n" for n in range(2_000_000))}),
    "titulos.zip": lambda: zipped({"a.md": "".join(f"# {'T' * 190}{n}\n\na\n\n" for n in range(90_000))}),
    "niveles.zip": lambda: zipped({"a.md": "".join(f"{'#' * level} {'T' * 190}\n\n" for level in range(1, 7)) + "".join(f"###### {n}\n\na\n\n" for n in range(150_000))}),
    "renglon.zip": lambda: zipped({"a.md": text(40)}),
    "tabla.zip": lambda: zipped({"a.md": "| a | b |\n|---|---|\n" + "".join(f"| {n} | {_RULE} |\n" for n in range(30_000))}),
    "muchos.zip": lambda: zipped({f"{n}.txt": text(0.5) for n in range(78)}),
    "anidado.zip": lambda: _nested_zip(3, 8, zipped({"a.txt": text(40)}), ".zip"),
    "copias.zip": lambda: _nested_zip(2, 10, text(10).encode(), ".txt"),
    "mezcla.zip": lambda: zipped({f"{n}.docx": _paragraphs(15_000, _RULE) for n in range(20)}),
    "flujo.pdf": lambda: _pdf(b"BT /F1 12 Tf 72 700 Td " + b"(El plazo es de diez dias.) Tj T* " * 1_200_000 + b"ET"),
    "blancos.pdf": lambda: _pdf(b" " * 500 * _MB),
    "correo.eml": lambda: _mail_in_mail(3, zipped({"a.txt": text(40)})),
    "copias.eml": lambda: _mail_in_mail(2, _nested_zip(1, 10, text(10).encode(), ".txt")),
    "celda.csv": lambda: ("a;b\n" + "".join(f"{n};{_RULE}\n" for n in range(60_000))).encode(),
    "celdas.csv": lambda: ("a;b\n" + "".join(f"{n};x\n" for n in range(1_900_000))).encode(),
    "columnas.csv": lambda: (";".join(["nombre de la columna"] * 2000) + "\n" + (";".join("x" * 2000) + "\n") * 400).encode(),
    "anidado.html": lambda: b"<html>" + b"<div>" * 2_000_000 + b"x",
    "texto.html": lambda: ("<html><body>" + "".join(f"<p>{n} {_RULE}</p>" for n in range(32_000))).encode(),
    "grupos.rtf": lambda: b"{\\rtf1" + b"{\\b a" * 4_000_000,
    "texto.rtf": lambda: b"{\\rtf1 " + text(25).encode("ascii", "ignore") + b"}",
    "anidado.json": lambda: _deep_json(40, 20_000),
    "numeros.json": lambda: ("[" + "1," * 10_000_000 + "1]").encode(),
    "objetos.json": lambda: ("[" + "{}," * 12_000_000 + "{}]").encode(),
    "ruido.txt": lambda: _noise(19),
}  # fmt: skip
