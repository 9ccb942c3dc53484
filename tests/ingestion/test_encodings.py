"""The encoding of a text by what it makes of it."""

import pytest

from ateneo.ingestion.parsing.formats import decode

TEXTS = [
    "El señor Núñez pagó la factura n.º 12 en Asunción: ¿cuánto falta? Según el artículo 3°, «nada».",
    "NIÑEZ Y ADOLESCENCIA: AÑO 2026. ÍNDICE",
    "A comissão não aprovou a redação; às vezes é assim, até amanhã, três.",
    "Teléfono; Dirección; Año\nPérez; Av. Güemes; 2026",
    "Simultáneamente, el automático más caro",
]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "cp850", "mac_roman", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_in_its_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_one_bad_byte_is_one_character() -> None:
    assert decode("Pagó el año".encode().replace(b"Pag", b"P\xffag")) == "P\N{REPLACEMENT CHARACTER}agó el año"


def test_bytes_are_no_text() -> None:
    assert decode(bytes(range(256)) * 20) is None
    assert decode(b"\x00\x01\x02\x03" * 100) is None
