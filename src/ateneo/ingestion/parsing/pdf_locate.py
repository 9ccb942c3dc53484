"""Where a quote stands on the pages of a PDF: boxes to mark it with."""

import ctypes
import unicodedata
from collections.abc import Iterator
from typing import Any

from ateneo.types import Box, MarkedPage

_LEAST_LETTERS = 8
"""A shorter quote may stand anywhere."""


def locate(data: bytes, quote: str, page: int | None = None) -> tuple[MarkedPage, ...]:
    """The pages on which the quote stands, with a box for each of its lines there; () where it stands nowhere, or in
    several places of `page` (None: of the file), or is too short to be sure.

    Letters and digits are compared, in any case: white space, hyphens, punctuation and ligatures are written in the
    file as its program liked. Raises pypdfium2.PdfiumError for a file that cannot be opened.
    """
    import pypdfium2

    wanted = "".join(char for char, _ in _simple(quote))
    if len(wanted) < _LEAST_LETTERS:
        return ()
    with pypdfium2.PdfDocument(data) as pdf:
        text, places = _read(pdf)
        found = [at for at in _occurrences(text, wanted) if page is None or places[at][0] == page]
        if len(found) != 1:
            return ()
        letters = places[found[0] : found[0] + len(wanted)]
        pages = dict.fromkeys(number for number, _ in letters)
        return tuple(_marked(pdf, one, [at for number, at in letters if number == one]) for one in pages)


def _simple(text: str) -> Iterator[tuple[str, int]]:
    """What is compared of a text, and where each character of it comes from: letters, digits, and what stands between
    two digits, since 3.5 is not 35."""
    for at, char in enumerate(text):
        between_digits = text[at - 1 : at].isdecimal() and text[at + 1 : at + 2].isdecimal() and not char.isspace()
        for one in unicodedata.normalize("NFKD", char).casefold():
            if one.isalnum() or unicodedata.combining(one) or (between_digits and one.isprintable()):
                yield one, at


def _occurrences(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if end == len(text) or not unicodedata.combining(text[end]):  # "ano" does not stand in "año"
            yield at
        at = text.find(wanted, at + 1)


def _read(pdf: Any) -> tuple[str, list[tuple[int, int]]]:
    """What is compared of the file's text, and for each character its page (from 1) and its place among the page's."""
    from pypdfium2 import raw

    text: list[str] = []
    places: list[tuple[int, int]] = []
    for number in range(len(pdf)):
        page = pdf[number]
        text_page = page.get_textpage()
        drawn = "".join(chr(raw.FPDFText_GetUnicode(text_page, at)) for at in range(text_page.count_chars()))
        text_page.close()
        page.close()
        for char, at in _simple(drawn):
            text.append(char)
            places.append((number + 1, at))
    return "".join(text), places


def _marked(pdf: Any, number: int, characters: list[int]) -> MarkedPage:
    from pypdfium2 import raw

    page = pdf[number - 1]
    text_page = page.get_textpage()
    edges = [ctypes.c_double() for _ in range(4)]
    boxes: list[Box] = []
    for at in characters:
        raw.FPDFText_GetCharBox(text_page, at, *edges)
        left, right, bottom, top = (edge.value for edge in edges)
        box = Box(left, bottom, right, top)
        if boxes and boxes[-1].is_on_line_of(box):
            boxes[-1] = boxes[-1].joined(box)
        else:
            boxes.append(box)
    width, height = page.get_size()
    text_page.close()
    page.close()
    return MarkedPage(number, width, height, tuple(boxes))
