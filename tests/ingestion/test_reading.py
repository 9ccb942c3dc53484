"""The reading report, and pages and images without text read by OCR."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from tests.files.make import docx
from tests.ingestion.test_sandbox import Words

from ateneo.errors import DocumentEmpty, DocumentUnsupported
from ateneo.ingestion.parsing.ocr_lines import without_lines
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.sandbox import read_file
from ateneo.types import Document, ReadingReport, Skipped

FILES = Path(__file__).parents[1] / "files" / "documents"
MIXED = FILES / "13" / "expediente_mixto.pdf"
SCAN = FILES / "13" / "acta_escaneada.pdf"
LIMIT = 10**8


def text(document: Document) -> str:
    return "\n".join(section.text for section in document.sections)


def image(kind: str, turn: int = 0, **options: Any) -> bytes:
    """The scanned page as a photo, turned by so many degrees."""
    with pypdfium2.PdfDocument(SCAN) as pdf:
        page = pdf[0].render(scale=2, grayscale=True).to_pil()
    content = io.BytesIO()
    page.rotate(turn, expand=True).save(content, kind, **options)
    return content.getvalue()


def test_a_mixed_file_says_which_pages_were_read_by_ocr() -> None:
    report = parse(MIXED.read_bytes(), "a.pdf", max_bytes=LIMIT).reading
    assert report.pages_without_text == report.ocr_pages == (2, 3)
    assert report.unread_pages == ()
    assert report.ocr_confidence is not None
    assert 0.8 < report.ocr_confidence <= 1


def test_without_ocr_the_report_says_which_pages_have_no_text() -> None:
    report = parse(MIXED.read_bytes(), "a.pdf", max_bytes=LIMIT, ocr_s=0).reading
    assert report.pages_without_text == report.unread_pages == (2, 3)
    assert report.ocr_pages == ()
    with pytest.raises(DocumentEmpty):
        parse(SCAN.read_bytes(), "a.pdf", max_bytes=LIMIT, ocr_s=0)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_photo_is_read_whichever_way_it_lies(turn: int) -> None:
    document = parse(image("JPEG", turn, quality=80), "acta.jpg", max_bytes=LIMIT)
    assert "cuota extraordinaria de $ 85.000" in text(document)
    assert "presentará tres presupuestos" in text(document)
    assert (document.mime, document.pages) == ("image/jpeg", 1)


def test_the_turn_that_a_camera_notes_counts() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    assert "bomba de agua" in text(parse(image("JPEG", 90, exif=exif), "acta.jpg", max_bytes=LIMIT))


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("TIFF", "a.tif"), ("WEBP", "a.webp")])
def test_other_images_are_read_too(kind: str, name: str) -> None:
    assert "bomba de agua" in text(parse(image(kind), name, max_bytes=LIMIT))


def test_an_image_is_refused_without_ocr() -> None:
    with pytest.raises(DocumentUnsupported):
        parse(image("PNG"), "a.png", max_bytes=LIMIT, ocr_s=0)


async def test_the_report_comes_from_the_reader_process() -> None:
    async def read(*, ocr: bool) -> ReadingReport:
        document, _ = await read_file(
            MIXED.read_bytes(), "a.pdf", Words(), max_bytes=LIMIT, timeout_s=120, max_tokens=64, overlap=8, ocr=ocr
        )
        return document.reading

    assert (await read(ocr=True)).ocr_pages == (2, 3)
    assert (await read(ocr=False)).unread_pages == (2, 3)


def test_what_an_attachment_lacks_is_said_of_the_mail() -> None:
    from email.message import EmailMessage

    mail = EmailMessage()
    mail["Subject"] = "Actas"
    mail.set_content("Van las actas.")
    mail.add_attachment(MIXED.read_bytes(), maintype="application", subtype="pdf", filename="actas.pdf")
    mail.add_attachment(b"\x7fELF" + bytes(99), maintype="application", subtype="x-elf", filename="programa")
    report = parse(mail.as_bytes(), "a.eml", max_bytes=LIMIT, ocr_s=0).reading
    assert report.attachments == ("actas.pdf",)
    assert [one.name for one in report.skipped] == ["actas.pdf/páginas 2, 3", "programa"]


def test_tables_are_counted() -> None:
    rows = "Producto;Precio\nYerba;1.200\nMate;3.400\n"
    assert parse(rows.encode(), "a.csv", max_bytes=LIMIT).reading.tables == 1


def test_a_report_survives_json() -> None:
    import dataclasses
    import json

    report = ReadingReport((1, 2), (2,), 0.9, 3, ("a",), (Skipped("b", "c"),))
    assert ReadingReport.of(json.loads(json.dumps(dataclasses.asdict(report)))) == report


def test_a_scanned_table_with_lines_keeps_its_rows() -> None:
    with pypdfium2.PdfDocument(FILES.parent / "kinds" / "tabla_dos_paginas.pdf") as pdf:
        page = pdf[0].render(scale=200 / 72, grayscale=True).to_pil()
    content = io.BytesIO()
    page.save(content, "JPEG", quality=80)
    lines = text(parse(content.getvalue(), "a.jpg", max_bytes=LIMIT)).split("\n")
    rows = [line for line in lines if re.match(r"A-\d{3} \|", line)]
    assert len(rows) == 29
    assert any(re.match("A-004 .*4 mm con aislación de PVC antillama.* Precio: 548,50", row) for row in rows)


def test_drawn_lines_are_found_and_taken_out() -> None:
    from PIL import Image, ImageDraw

    image = Image.new("L", (600, 400), 255)
    draw = ImageDraw.Draw(image)
    draw.line((50, 100, 550, 100), fill=0, width=3)
    draw.line((50, 100, 50, 300), fill=0, width=3)
    draw.text((100, 150), "Yerba 1.200", fill=0, font_size=30)
    clean, [across, down] = without_lines(image, 2.0)
    assert across[0] == pytest.approx(50, abs=3) and across[2] == pytest.approx(551, abs=3)
    assert down[1] == pytest.approx(100, abs=3) and down[3] == pytest.approx(301, abs=3)
    assert clean.crop((0, 90, 600, 110)).getextrema() == (255, 255)
    assert clean.crop((90, 140, 400, 200)).tobytes() == image.crop((90, 140, 400, 200)).tobytes()


def with_picture(paragraph: str) -> bytes:
    made = io.BytesIO(docx([paragraph]))
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("word/media/image1.jpeg", image("JPEG", quality=80))
    return made.getvalue()


def test_a_scan_pasted_into_a_word_file_is_read() -> None:
    document = parse(with_picture("Acta adjunta"), "acta.docx", max_bytes=LIMIT)
    assert "cuota extraordinaria de $ 85.000" in text(document)
    assert document.reading.attachments == ("image1.jpeg",)


def test_a_picture_in_a_text_is_named_as_unread() -> None:
    document = parse(with_picture("El presupuesto se aprueba en marzo. " * 20), "a.docx", max_bytes=LIMIT)
    assert "bomba de agua" not in text(document)
    assert [one.name for one in document.reading.skipped] == ["1 imagen"]
