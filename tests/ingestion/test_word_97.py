"""Word's binary format: files that LibreOffice wrote."""

import random
import struct
from pathlib import Path

import pytest

from ateneo.errors import DocumentCorrupt, DocumentEncrypted, DocumentError
from ateneo.ingestion.parsing.parse import parse
from ateneo.types import Document

FILES = Path(__file__).parents[1] / "files" / "documents"
CONTRACT = (FILES / "14" / "contrato_cambios_notas.doc").read_bytes()
GRANTS = (FILES / "15" / "becas_tablas.doc").read_bytes()
FLAGS = 10


def read(data: bytes) -> Document:
    return parse(data, "a.doc", max_bytes=10**8)


def text(document: Document) -> str:
    return "\n".join(section.text for section in document.sections)


def patched(data: bytes, at: int, value: int) -> bytes:
    """With another 16-bit number at this place of the file information block."""
    block = data.index(struct.pack("<HH", 0xA5EC, 0x101))
    return data[: block + at] + struct.pack("<H", value) + data[block + at + 2 :]


def test_what_was_deleted_is_out_and_what_was_inserted_is_in() -> None:
    document = read(CONTRACT)
    assert "es de trescientos cincuenta mil pesos y se paga" in text(document)
    assert "doscientos" not in text(document)
    assert "SHAPE" not in text(document)


def test_titles_headings_notes_headers_and_boxes() -> None:
    document = read(CONTRACT)
    assert document.title == "Contrato de locación"
    assert document.sections[-1].headings == ("Contrato de locación", "Condiciones")
    for part in ("Inmobiliaria Sauce", "treinta días de la entrega", "Recuadro: la mora"):
        assert text(document).count(part) == 1


def test_cells_stand_below_their_columns() -> None:
    document = read(GRANTS)
    lines = text(document).split("\n")
    assert (
        "Comedor | Monto mensual / Primer año: 35.000 | Monto mensual / Segundo año: 38.000"
        " | Requisito: Ingreso familiar bajo"
    ) in lines
    assert "Cierre de inscripción | 28 de febrero" in lines
    assert document.reading.tables == 2


def test_a_password_and_half_a_file() -> None:
    with pytest.raises(DocumentEncrypted):
        read(patched(CONTRACT, FLAGS, 0x1300))
    with pytest.raises(DocumentCorrupt):
        read(CONTRACT[:4000])


def test_damaged_files_fail_as_documents() -> None:
    chance = random.Random("doc")
    for data in (CONTRACT, GRANTS):
        for _ in range(150):
            made = bytearray(data)
            for _ in range(chance.choice((1, 4, 40))):
                made[chance.randrange(len(made))] = chance.choice((0, 1, 255, chance.randrange(256)))
            try:
                read(bytes(made))
            except DocumentError as error:
                assert "a.doc" in error.message
