"""Drawn lines of a scanned page: found, and taken out of the image, since Tesseract loses cells between them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DARK = 140
_LEAST_POINTS = 32.0
"""A shorter stroke may be of a letter."""
_MOST_POINTS = 3.0
"""A thicker one is a bar, or of a picture."""
_FILLED = 0.97
_AROUND = 2
"""Pixels beside a line that are a shade of it."""

_Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]


def without_lines(image: Any, scale: float) -> tuple[Any, list[Box]]:
    """The image of PIL, in shades of grey, without its long lines, and these: left, top, right, bottom, in pixels.
    `scale`: pixels a point."""
    from PIL import Image

    grey = np.asarray(image)
    dark = grey < _DARK
    least, most = max(int(_LEAST_POINTS * scale), 8), max(int(_MOST_POINTS * scale), 3)
    across, down = _strokes(dark, least, most), _strokes(dark.T, least, most).T
    boxes = [
        *_boxes(across, most),
        *((top, left, bottom, right) for left, top, right, bottom in _boxes(down.T, most)),
    ]
    if not boxes:
        return image, []
    white = grey.copy()
    white[_wider(across, axis=0) | _wider(down, axis=1)] = 255
    return Image.fromarray(white), boxes


def _strokes(dark: _Mask, least: int, most: int) -> _Mask:
    """What is dark for so long along a row, but not as far from row to row."""
    long = _long(dark, least)
    return long & ~_long(long.T, most).T


def _long(dark: _Mask, least: int) -> _Mask:
    """The pixels of runs along the rows that are dark nearly throughout, of `least` pixels or more."""
    width = dark.shape[1]
    if width < least:
        return np.zeros_like(dark)
    begins = _sums(dark, least) >= _FILLED * least
    padded = np.pad(begins, ((0, 0), (least - 1, least - 1)))
    return _sums(padded, least) > 0


def _sums(mask: _Mask, length: int) -> NDArray[np.int32]:
    """How many pixels are set in each stretch of that length along the rows."""
    total = np.pad(np.cumsum(mask, axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    return total[:, length:] - total[:, :-length]


def _wider(mask: _Mask, axis: int) -> _Mask:
    wide = mask.copy()
    for by in range(1, _AROUND + 1):
        wide |= np.roll(mask, by, axis) | np.roll(mask, -by, axis)
    return wide


def _boxes(mask: _Mask, most: int) -> Iterator[Box]:
    """The lines along the rows: neighbouring rows with set pixels, and from where to where these reach. Those of a page
    that lies askew are none: rows between them would be torn."""
    for top, bottom in _runs(np.any(mask, axis=1)):
        for left, right in _runs(np.any(mask[top:bottom], axis=0)) if bottom - top <= most else ():
            yield float(left), float(top), float(right), float(bottom)


def _runs(marks: Any) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        yield int(begin), int(end)
