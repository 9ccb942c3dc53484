"""Damaged files of every kind: whatever reading one raises is a DocumentError that names it."""

import asyncio
import random
import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.files.make import ENCRYPTED_DOCX, docx, pdf, zipped

from ateneo.errors import DocumentError, ReaderUnavailable
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.sandbox import read_file

LIMIT = 10_000_000
FILES = Path(__file__).parents[1] / "files" / "documents"
MUTATIONS = 150
WITH_OCR = 20

_MAIL = (
    b"From: a@b.ar\r\nTo: c@d.ar\r\nSubject: =?utf-8?q?Obra?=\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nHola.\r\n'
    b"--x\r\nContent-Type: text/html\r\n\r\n<p>Hola</p>\r\n--x--\r\n"
)
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SHEET = f'<worksheet xmlns="{_MAIN}"><sheetData><row r="1">{{}}</row></sheetData></worksheet>'
_CELL = '<c r="A1" t="inlineStr"><is><t>Hola</t></is></c>'
WHOLE = {
    "a.md": b"---\ntitle: T\ntags: [a]\n---\n# Uno\n\n| a | b |\n|---|---|\n| `1` | *2* |\n- x\n\n```\nls\n```\nD\n---",
    "a.txt": "Año señor. ¿Qué?\n\nDos — tres.".encode(),
    "utf16.txt": "Año señor.\n\nDos.".encode("utf-16"),
    "a.csv": 'código;medida\nA1;"2 ""pulgadas"""\nA2;"dos\nlíneas"\n'.encode(),
    "a.html": b"<!doctype html><html><meta charset=utf-8><title>T</title><h1>Uno</h1><table><tr><td>1</table></html>",
    "a.json": b'{"a": ["\\u00f1", {"b": [1, 2, null]}]}',
    "a.xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x><y z='1'>&a;</y></x>",
    "a.eml": _MAIL,
    "a.rtf": b"{\\rtf1\\ansi{\\fonttbl\\f0\\fswiss Helvetica;}\\f0\\pard Hola \\'e1rbol.\\par}",
    "a.pdf": pdf([["Manual", "Hola a todos."], ["Manual", "- uno", "- dos"]], title="Manual"),
    "a.docx": docx([("Manual", 1), "Hola.", [["a", "b"], ["1", "2"]]]),
    "clave.docx": ENCRYPTED_DOCX.read_bytes(),
    "a.xlsx": zipped({"[Content_Types].xml": "<Types/>", "xl/worksheets/sheet1.xml": _SHEET.format(_CELL)}),
    "a.odt": zipped(
        {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<office:document-content/>"}
    ),
    "a.doc": (FILES / "15" / "becas_tablas.doc").read_bytes(),
    "b.doc": (FILES / "14" / "contrato_cambios_notas.doc").read_bytes(),
    **{
        name: (FILES.parent / "kinds" / name).read_bytes()
        for name in ("tarifas.xls", "spreadsheetml.xls", "cambios.odt", "horas.xlsx", "pedido.pdf", "revisiones.rtf")
    },
    "a.epub": zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": "<container/>"}),
}
TEXTS = ("a.md", "a.txt", "utf16.txt", "a.csv", "a.html", "a.json", "a.xml")


class Words:
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some changed, cut out, doubled or put in; of an Office file, those of its members."""
    if data.startswith(b"PK") and chance.random() < 0.7:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = chance.choice(sorted(members))
        return zipped({**members, name: _mutated(members[name], chance)})
    return _mutated(data, chance)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(made) + 1)
        to = min(len(made), at + chance.choice((1, 2, 8, 64)))
        piece = made[at:to]
        made[at:to] = chance.choice(
            (
                b"",
                piece * 2,
                piece * 50,
                bytes(chance.randrange(256) for _ in piece),
                b"\x00",
                b"\xff\xfe",
                b'"',
                b"<",
                b"%",
                b"-",
            )
        )
    return bytes(made)


def mutations(name: str, count: int) -> Iterator[bytes]:
    chance = random.Random(name)
    for _ in range(count):
        yield mutated(WHOLE[name], chance)


@pytest.mark.parametrize("name", WHOLE)
async def test_a_damaged_file_is_read_or_is_a_document_error(name: str) -> None:
    async def read(data: bytes, *, ocr: bool) -> bool:
        try:
            await read_file(data, name, Words(), max_bytes=LIMIT, timeout_s=60, max_tokens=64, overlap=8, ocr=ocr)
        except ReaderUnavailable:
            raise
        except DocumentError as error:
            assert name in error.message
            assert error.remedy
            return False
        return True

    # a page that lost its text takes OCR half a second
    files = [WHOLE[name], *mutations(name, MUTATIONS)]
    outcomes = await asyncio.gather(*(read(data, ocr=number < WITH_OCR) for number, data in enumerate(files)))
    assert outcomes[0] or name in ("clave.docx", "a.xlsx", "a.odt", "a.epub")


@pytest.mark.parametrize("name", TEXTS)
def test_a_damaged_text_fails_in_no_other_way(name: str) -> None:
    """In this process, where nothing turns another exception into a DocumentError."""
    for data in mutations(name, MUTATIONS * 4):
        try:
            parse(data, name, max_bytes=LIMIT)
        except DocumentError as error:
            assert name in error.message


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([".md", ".csv", ".txt", ".tsv", ".html", ".eml", ".pdf", ".docx", ".xls", ""]),
)
def test_any_bytes_under_any_name(data: bytes, extension: str) -> None:
    try:
        parse(data, "archivo" + extension, max_bytes=LIMIT)
    except DocumentError as error:
        assert "archivo" in error.message


@given(st.text(alphabet='"\n,;ab ', max_size=60))
def test_no_letter_of_a_csv_is_lost(text: str) -> None:
    try:
        document = parse(text.encode(), "a.csv", max_bytes=LIMIT)
    except DocumentError:
        assert not any(map(str.isalnum, text))
        return
    kept = "".join(section.text for section in document.sections)
    assert all(kept.count(letter) >= text.count(letter) for letter in "ab")
