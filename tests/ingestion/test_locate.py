"""Where a quote stands in a PDF: what stands in the boxes is read again, by PDFium's own search of an area."""

import re
import unicodedata
from pathlib import Path

import pypdfium2
import pytest
from tests.files.make import pdf

from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import DocumentEmpty, DocumentEncrypted
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.pdf_locate import locate
from ateneo.ingestion.service import IngestionService
from ateneo.text.sentences import split_sentences
from ateneo.types import MarkedPage

FILES = sorted((Path(__file__).parents[1] / "files" / "documents").glob("*/*.pdf"))
MANUAL = pdf(
    [
        ["El plazo de entrega es de 3.5 días.", "La garantía cubre doce meses desde la", "entrega del equipo."],
        ["El plazo de pago es de 35 días.", "El service se pide por escrito.", "El service se pide por escrito."],
    ]
)


def letters(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text).casefold() if char.isalnum())


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w.,]*\w", text.casefold()))


def marked_text(data: bytes, marked: MarkedPage) -> str:
    with pypdfium2.PdfDocument(data) as opened:
        text = opened[marked.page - 1].get_textpage()
        boxes = [(box.left - 0.5, box.bottom, box.right + 0.5, box.top) for box in marked.boxes]
        return " ".join(text.get_text_bounded(*box) for box in boxes)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_marked_is_the_quote(path: Path) -> None:
    data = path.read_bytes()
    try:
        sections = parse(data, path.name, max_bytes=10_000_000).sections
    except DocumentEmpty:
        pytest.skip("a scan")
    for section in sections:
        for quote in split_sentences(section.text):
            pages = locate(data, quote, section.page)
            if pages:
                assert pages[0].page == section.page
                marked = "".join(marked_text(data, one) for one in pages)
                if " | " in quote:
                    assert words(marked) <= words(quote)
                    assert all(words(cell.partition(": ")[2] or cell) <= words(marked) for cell in quote.split(" | "))
                else:
                    assert letters(marked) == letters(quote)


@pytest.mark.parametrize(
    ("quote", "page", "found"),
    [
        ("el PLAZO de entrega es de 3.5 días", None, [1]),
        ("La garantía cubre doce meses desde la entrega", None, [1]),
        ("entrega del equipo. El plazo de pago", None, [1, 2]),
        ("El plazo de pago es de 3.5 días", None, []),
        ("El plazo de entrega es de 35 días", None, []),
        ("El service se pide por escrito", None, []),
        ("El service se pide por escrito", 2, []),
        ("El plazo de pago es de 35 días", 1, []),
        ("La garantia cubre doce meses", None, []),
        ("35", None, []),
        ("El plazo de pago es de 3", None, []),
    ],
)
def test_nothing_is_marked_that_is_not_sure(quote: str, page: int | None, found: list[int]) -> None:
    assert [one.page for one in locate(MANUAL, quote, page)] == found


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("Tuerca 10 | Precio: 1.200 | Stock: 4", 1),
        ("Tuerca 1 | Precio: 1.200 | Stock: 4", 0),
        ("Tuerca 10 | Precio: 200 | Stock: 4", 0),
        ("Tuerca 10 | Precio: 1.300 | Stock: 4", 0),
        ("Perno largo | Precio: 90 | Stock: 7", 0),
    ],
)
def test_a_row_is_where_all_its_cells_are(row: str, found: int) -> None:
    prices = pdf(
        [["Tuerca 10     1.200     4", "Tuerca 12     1.300     4", "Perno largo   90   7", "Perno largo   90   7"]]
    )
    assert len(locate(prices, row)) == found


def test_a_box_a_line() -> None:
    [marked] = locate(MANUAL, "La garantía cubre doce meses desde la entrega")
    above, below = marked.boxes
    assert above.bottom > below.bottom
    assert above.right - above.left > below.right - below.left > 0
    assert 0 < above.left < above.right < marked.width
    assert 0 < below.bottom < above.top < marked.height


async def test_it_is_looked_for_in_a_process_apart(database: Database, embedding: EmbeddingService) -> None:
    ingestion = IngestionService(database, embedding)
    [marked] = await ingestion.locate(MANUAL, "el plazo de pago es de 35 días", name="manual.pdf")
    assert (marked.page, len(marked.boxes)) == (2, 1)
    assert await ingestion.locate(b"El plazo de pago", "El plazo de pago", name="manual.txt") == ()
    with pytest.raises(DocumentEncrypted):
        await ingestion.locate(pdf([["El plazo"]], encrypted=True), "El plazo de pago", name="m.pdf")
