"""Text in images, by the Tesseract that kreuzberg carries and the language data beside this file (ADR 45)."""

import html
import io
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from ateneo.ingestion.parsing.ocr_lines import without_lines
from ateneo.ingestion.parsing.pdf_tables import CELL_GAP, Rule, Segment, is_divided, upright_of

_TESSDATA = Path(__file__).with_name("tessdata")
_LANGUAGES = "spa+eng+por"
_DPI = 300
_POINTS = 72
_MOST_PIXELS = 20_000_000
_SURE = 0.75
"""A page that is read with less confidence than this may stand on its head."""
_FEW_LETTERS = 30
_IMAGE_SHARE = 0.5

_DRAWN = "|_[]"
"""What lines are taken for, where they are taken for text."""
_PAGE = re.compile(r"class='ocr_page'[^>]*bbox 0 0 (\d+) (\d+)")
_LINE = re.compile(r"<span class='ocr_(?:line|header|caption|textfloat)'[^>]*bbox (\d+) (\d+) (\d+) (\d+)")
_SIZE = re.compile(r"x_size ([\d.]+)")
_WORD = re.compile(
    r"<span class='ocrx_word'[^>]*bbox (\d+) (\d+) (\d+) (\d+); x_wconf (\d+)[^>]*>((?:[^<]|<(?!/span))*)</span>"
)
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Recognized:
    """The lines of an image, each of its parts with wide gaps between them, what is drawn there, and how sure the words
    are, 0 to 1."""

    lines: list[list[Segment]]
    rules: list[Rule]
    confidence: float


class Ocr:
    """The OCR of one file and what is within it, for `seconds` at most; 0: none."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def read_page(self, page: Any) -> Recognized | None:
        """A page of a PDF; None where no time is left, or nothing was found."""
        if self.is_over():
            return None
        width, height = page.get_size()
        scale = min(_DPI / _POINTS, sqrt(_MOST_PIXELS / max(width * height, 1)))
        return self.read_image(page.render(scale=scale, grayscale=True).to_pil(), scale)

    def read_image(self, image: Any, scale: float) -> Recognized | None:
        """An image of PIL, `scale` pixels a point. One that does not stand upright is turned and read again."""
        if self.is_over():
            return None
        read = _recognize(image, scale)
        turn = _turn(read)
        if turn and not self.is_over():
            read = max(_recognize(image.rotate(turn, expand=True), scale), read, key=lambda one: one.confidence)
        return read if read.lines else None

    def is_over(self) -> bool:
        """Whether nothing more is read."""
        return time.monotonic() >= self._end


def _turn(read: Recognized) -> int:
    """By how many degrees to turn the image for its text to stand upright. Tesseract reads lines that go up or down,
    too, but not the wrong way."""
    upright = sum(one.right - one.left - (one.top - one.bottom) for line in read.lines for one in line) >= 0
    if read.confidence >= _SURE:
        return 0 if upright else 90
    return 180 if upright else 270


def is_scanned(page: Any, text: str) -> bool:
    """Whether a page of a PDF has no text, or hardly any beside an image that fills it."""
    letters = sum(map(str.isalnum, text))
    return not letters or (letters < _FEW_LETTERS and _image_share(page) > _IMAGE_SHARE)


def _image_share(page: Any) -> float:
    from pypdfium2 import raw

    width, height = page.get_size()
    boxes = (one.get_bounds() for one in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=4))
    areas = [(right - left) * (top - bottom) for left, bottom, right, top in boxes]
    return float(max(areas, default=0.0) / max(width * height, 1))


def _recognize(image: Any, scale: float) -> Recognized:
    """A page with drawn lines is read without them, too: Tesseract loses some words between lines, others without."""
    clean, boxes = without_lines(image, scale)
    height = image.height
    rules = [(left / scale, (height - bottom) / scale, right / scale, (height - top) / scale)
             for left, top, right, bottom in boxes]  # fmt: skip
    lines = _read_lines(image, scale)
    if len(upright_of(rules)) > 1:
        words = [one for line in lines for one in line]
        more = ([one for one in line if not _is_read(one.place, words)] for line in _read_lines(clean, scale))
        lines += filter(None, more)
    filled = [one for line in lines for one in line]
    letters = sum(len(one.place.text) for one in filled)
    sure = sum(one.sure * len(one.place.text) for one in filled)
    parts = [list(_parts((one.place for one in line), upright_of(rules))) for line in lines]
    return Recognized(parts, rules, sure / letters / 100 if letters else 0.0)


@dataclass(frozen=True, slots=True)
class _Word:
    place: Segment
    sure: int


def _read_lines(image: Any, scale: float) -> list[list[_Word]]:
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    hocr = _hocr(content.getvalue())
    page = _PAGE.search(hocr)
    if page is None:
        return []
    scale *= int(page[1]) / image.width  # Tesseract is given the image larger
    lines: list[list[_Word]] = []
    for text in re.split(r"(?=<span class='ocr_(?!x))", hocr):
        words = (_Word(_segment(word, _size(text), int(page[2]), scale), int(word[5])) for word in _WORD.finditer(text))
        filled = [word for word in words if word.place.text.strip(_DRAWN)]
        if filled and _LINE.match(text):
            lines.append(filled)
    return lines


def _is_read(one: Segment, words: Sequence[_Word]) -> bool:
    """Whether a word stands there already."""
    return any(
        min(one.right, other.place.right) > max(one.left, other.place.left)
        and min(one.top, other.place.top) > max(one.bottom, other.place.bottom)
        for other in words
    )


def _hocr(image: bytes) -> str:
    import kreuzberg

    os.environ["TESSDATA_PREFIX"] = str(_TESSDATA)
    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        ocr=kreuzberg.OcrConfig(
            backend="tesseract",
            language=_LANGUAGES,
            tesseract_config=kreuzberg.TesseractConfig(
                language=_LANGUAGES, output_format="hocr", use_cache=False, enable_table_detection=False
            ),
        ),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        return str(kreuzberg.extract_bytes_sync(image, "image/png", config).content)
    except kreuzberg.KreuzbergError:
        return ""


def _size(line: str) -> float:
    found = _SIZE.search(line)
    return float(found[1]) if found else 0.0


def _segment(word: re.Match[str], size: float, height: int, scale: float) -> Segment:
    left, top, right, bottom = (int(word[at]) for at in range(1, 5))
    text = html.unescape(_TAG.sub("", word[6])).strip()
    return Segment(
        text,
        left / scale,
        (height - bottom) / scale,
        right / scale,
        (height - top) / scale,
        (size or bottom - top) / scale,
    )


def _parts(words: Iterator[Segment], upright: Sequence[Rule]) -> Iterator[Segment]:
    """The words of a line, joined where no wide gap and no drawn line is between them."""
    part = next(words)
    for word in words:
        if word.left - part.right < CELL_GAP * part.size and not is_divided(part, word.left, upright):
            part.add(f" {word.text}", word.left, word.bottom, word.right, word.top)
        else:
            yield part
            part = word
    yield part
