"""Text that comes in pieces, wrapped at words as it comes."""

import re
from typing import TextIO

from ateneo.text.clean import showable

_PART = re.compile(r"\n|[^\S\n]+|\S+")


class Flow:
    """Writes to `file`, in lines of `width` columns; as it comes where `width` is None."""

    def __init__(self, file: TextIO, width: int | None) -> None:
        self._file = file
        self._width = width
        self._column = 0
        self._word = ""
        self._space = ""

    def write(self, text: str) -> None:
        """Shows the text, but for its last word or spaces: they may go on, and then need another line."""
        text = showable(text)
        if self._width is None:
            self._file.write(text)
        else:
            parts = _PART.findall(self._word + text)
            self._word = parts.pop() if parts and parts[-1] != "\n" else ""
            for part in parts:
                self._put(part, self._width)
        self._file.flush()

    def end(self) -> None:
        """Shows what was kept, and ends the line."""
        if self._width is not None and self._word:
            self._put(self._word, self._width)
        self._word = self._space = ""
        self._file.write("\n")
        self._file.flush()

    def _put(self, part: str, width: int) -> None:
        if part == "\n":
            self._file.write("\n")
            self._column, self._space = 0, ""
        elif part.isspace():
            self._space = part
        else:
            if self._column and self._column + len(self._space) + len(part) > width:
                self._file.write("\n")
                self._column, self._space = 0, ""
            self._file.write(self._space + part)
            self._column += len(self._space) + len(part)
            self._space = ""
