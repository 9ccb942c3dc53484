"""Files within files: ZIP archives, and what is embedded in a PDF."""

import io
from collections.abc import Mapping

import pypdfium2
import pytest
from tests.files.make import docx, pdf, zipped

from ateneo.errors import DocumentCorrupt, DocumentEmpty, DocumentUnsupported
from ateneo.ingestion.parsing.containers import MOST_FILES
from ateneo.ingestion.parsing.parse import parse
from ateneo.types import Document

LIMIT = 10**7


def read(files: Mapping[str, bytes | str], name: str = "contratos 2026.zip", max_bytes: int = LIMIT) -> Document:
    return parse(zipped(files), name, max_bytes=max_bytes)


def test_each_file_stands_below_its_name() -> None:
    document = read({"a/uno.md": "# Alquiler\n\nVence en marzo.", "dos.csv": "Rubro;Monto\nLuz;1.200\nGas;3.400\n"})
    assert document.title == "contratos 2026"
    assert [section.headings for section in document.sections] == [
        ("contratos 2026", "a/uno.md", "Alquiler"),
        ("contratos 2026", "dos.csv"),
    ]
    assert "Luz | Monto: 1.200" in document.sections[1].text
    assert document.reading.attachments == ("a/uno.md", "dos.csv")
    assert document.reading.tables == 1


def test_what_is_no_document_is_listed_and_not_read() -> None:
    skipped: dict[str, bytes | str] = {
        "~$a.docx": b"x" * 50,
        "Thumbs.db": b"x",
        "b/.DS_Store": b"x",
        ".git/config": "[core]",
        "__MACOSX/a.md": b"x",
        "programa.exe": b"MZ" + bytes(100),
        "vacio.txt": b"",
    }
    document = read({"a.md": "# A\n\nEl texto de a.", **skipped})
    assert document.reading.attachments == ("a.md",)
    assert [one.name for one in document.reading.skipped] == list(skipped)
    assert all(one.reason for one in document.reading.skipped)
    assert "core" not in " ".join(section.text for section in document.sections)


def test_archives_within_archives_end() -> None:
    data: bytes | str = "El texto del fondo."
    name = "fondo.txt"
    for depth in range(2):
        data, name = zipped({name: data}), f"{depth}.zip"
    assert "El texto del fondo." in read({name: data}).sections[0].text
    for depth in range(2, 5):
        data, name = zipped({name: data}), f"{depth}.zip"
    with pytest.raises(DocumentCorrupt, match="demasiados otros"):
        read({name: data})


def test_limits() -> None:
    document = read({f"{at}.txt": "Un texto." for at in range(MOST_FILES + 5)})
    assert len(document.reading.attachments) == MOST_FILES
    assert document.reading.skipped[-1].name == "5 más"
    large = read({"grande.txt": "x" * 3000, "chico.txt": "Un texto."}, max_bytes=2000)
    assert [one.name for one in large.reading.skipped] == ["grande.txt"]
    with pytest.raises(DocumentCorrupt, match="bomba zip"):
        read({"cero.txt": bytes(50 * 1024 * 1024)}, max_bytes=10**9)


def test_archives_that_cannot_be_read() -> None:
    with pytest.raises(DocumentEmpty):
        read({})
    with pytest.raises(DocumentCorrupt, match=r"programa\.exe"):
        read({"programa.exe": b"MZ" + bytes(100)})
    with pytest.raises(DocumentCorrupt, match="dañado"):
        parse(zipped({"a.txt": "Un texto."})[:40], "a.zip", max_bytes=LIMIT)
    with pytest.raises(DocumentUnsupported):
        read({"a.class": b"x"}, "programa.jar")


def test_what_is_embedded_in_a_pdf_is_read() -> None:
    with pypdfium2.PdfDocument(pdf([["La factura del mes de mayo."]])) as document:
        attached = document.new_attachment("detalle.docx")
        attached.set_data(docx(["La suma asegurada es de nueve millones."]))
        target = io.BytesIO()
        document.save(target)
    invoice = parse(target.getvalue(), "factura.pdf", max_bytes=LIMIT)
    assert invoice.reading.attachments == ("detalle.docx",)
    assert [section.text for section in invoice.sections] == [
        "La factura del mes de mayo.",
        "La suma asegurada es de nueve millones.",
    ]
    assert invoice.sections[1].headings[-1] == "Adjunto: detalle.docx"
