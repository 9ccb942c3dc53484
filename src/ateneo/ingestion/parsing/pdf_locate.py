"""Where a quote stands on the pages of a PDF: boxes to mark it with."""

import ctypes
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import Any

from ateneo.ingestion.parsing.tables import BETWEEN
from ateneo.types import Box, MarkedPage

_LEAST_LETTERS = 8
"""A shorter quote may stand anywhere."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What is compared of a page's text, and for each character of it its place in PDFium's `text_page`."""

    number: int
    width: float
    height: float
    text: str
    places: tuple[int, ...]
    text_page: Any

    def cells(self, value: str) -> Iterator[Box]:
        """Where whole words are `value`."""
        for begin, end in _occurrences(self.text, value):
            if not (self._goes_on(begin) or self._goes_on(end)):
                yield _whole(self.boxes(begin, end))

    def boxes(self, begin: int, end: int) -> list[Box]:
        """Of the characters from `begin` to `end`."""
        return [_box(self.text_page, at) for at in self.places[begin:end]]

    def divides_number(self, at: int) -> bool:
        """Whether `at` is in a number: 3 does not stand in 35."""
        return self._goes_on(at) and self.text[at - 1].isdecimal() and self.text[at].isdecimal()

    def _goes_on(self, at: int) -> bool:
        """Whether a word goes on at `at`."""
        return 0 < at < len(self.text) and self.places[at] - self.places[at - 1] <= 1

    def marked(self, boxes: Sequence[Box]) -> MarkedPage:
        return MarkedPage(self.number, self.width, self.height, tuple(boxes))


def locate(data: bytes, quote: str, page: int | None = None) -> tuple[MarkedPage, ...]:
    """The pages on which the quote stands, with a box for each of its lines there; () where it stands nowhere, or in
    several places of `page` (None: of the file), or is too short to be sure.

    Letters and digits are compared, in any case: white space, hyphens, punctuation and ligatures are written in the
    file as its program liked. A row of a table ("Name | Price: 3") is where its cells stand side by side. Raises
    pypdfium2.PdfiumError for a file that cannot be opened.
    """
    import pypdfium2

    wanted = "".join(char for char, _ in _simple(quote))
    if len(wanted) < _LEAST_LETTERS:
        return ()
    with pypdfium2.PdfDocument(data) as pdf:
        pages = [_page(pdf, number) for number in range(1, len(pdf) + 1)]
        places = _rows(pages, quote) if BETWEEN in quote else _passages(pages, wanted)
        found = [one for one in places if page is None or one[0].page == page]
    return found[0] if len(found) == 1 else ()


def _simple(text: str) -> Iterator[tuple[str, int]]:
    """What is compared of a text, and where each character of it comes from: letters, digits, and what stands between
    two digits, since 3.5 is not 35."""
    for at, char in enumerate(text):
        between_digits = text[at - 1 : at].isdecimal() and text[at + 1 : at + 2].isdecimal() and not char.isspace()
        for one in unicodedata.normalize("NFKD", char).casefold():
            if one.isalnum() or unicodedata.combining(one) or (between_digits and one.isprintable()):
                yield one, at


def _occurrences(text: str, wanted: str) -> Iterator[tuple[int, int]]:
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if end == len(text) or not unicodedata.combining(text[end]):  # "ano" does not stand in "año"
            yield at, end
        at = text.find(wanted, at + 1)


def _page(pdf: Any, number: int) -> _Page:
    """It is open until the file is closed."""
    from pypdfium2 import raw

    page = pdf[number - 1]
    text_page = page.get_textpage()
    drawn = "".join(chr(raw.FPDFText_GetUnicode(text_page, at)) for at in range(text_page.count_chars()))
    simple = list(_simple(drawn))
    text, places = "".join(char for char, _ in simple), tuple(at for _, at in simple)
    width, height = page.get_size()
    return _Page(number, width, height, text, places, text_page)


def _box(text_page: Any, at: int) -> Box:
    from pypdfium2 import raw

    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    raw.FPDFText_GetCharBox(text_page, at, left, right, bottom, top)
    return Box(left.value, bottom.value, right.value, top.value)


def _passages(pages: Sequence[_Page], wanted: str) -> Iterator[tuple[MarkedPage, ...]]:
    """Each place where the text goes on as `wanted`, over the ends of pages, too."""
    starts = [*accumulate((len(one.text) for one in pages[:-1]), initial=0)]
    for begin, end in _occurrences("".join(one.text for one in pages), wanted):
        parts = [
            (one, start)
            for one, start in zip(pages, starts, strict=True)
            if begin < start + len(one.text) and start < end
        ]
        if not any(one.divides_number(begin - start) or one.divides_number(end - start) for one, start in parts):
            yield tuple(one.marked(_lines(one.boxes(max(begin - start, 0), end - start))) for one, start in parts)


def _lines(boxes: Sequence[Box]) -> list[Box]:
    lines: list[Box] = []
    for box in boxes:
        if lines and lines[-1].is_on_line_of(box):
            lines[-1] = lines[-1].joined(box)
        else:
            lines.append(box)
    return lines


def _rows(pages: Sequence[_Page], quote: str) -> Iterator[tuple[MarkedPage, ...]]:
    """Each height of a page at which all cells of the row stand, as one box."""
    cells = [_value(cell) for cell in quote.split(BETWEEN)]
    values = sorted({value for value in cells if value}, key=len, reverse=True)
    for page in pages:
        places = [[*page.cells(one)] for one in values]
        for anchor in places[0]:
            beside = [[box for box in found if box.is_beside(anchor)] for found in places[1:]]
            if all(beside):
                yield (page.marked([_whole([anchor, *(box for found in beside for box in found)])]),)


def _value(cell: str) -> str:
    """What is compared of a cell, without its column's name."""
    _, named, value = cell.partition(": ")
    return "".join(char for char, _ in _simple(value if named else cell))


def _whole(boxes: Sequence[Box]) -> Box:
    return reduce(Box.joined, boxes)
