"""What a reader has sent of a file, bounded: the reader may be a file's by now, and say what no reader says."""

from collections.abc import Mapping, Sequence
from typing import Any

from ateneo.ingestion.parsing.extracted import MOST_CHUNKS, MOST_COUNTED, MOST_HELD, held
from ateneo.types import Chunk

_Headings = tuple[str, ...]


class NoReader(Exception):
    """The process has ended, or says what no reader says."""


class Received:
    """The chunks of a file, and how much was counted for it."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self._held = self._counted = 0
        self._headings: dict[_Headings, _Headings] = {}

    def texts(self, frame: Mapping[str, Any]) -> Sequence[str]:
        """Those whose tokens are asked for. Raises NoReader."""
        texts = frame["count"]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise NoReader
        self._counted += sum(map(len, texts)) + len(texts)
        if self._counted > MOST_COUNTED:
            raise NoReader
        return texts

    def add(self, frame: Mapping[str, Any]) -> None:
        """Raises NoReader."""
        try:
            chunks = [self._chunk(*row) for row in frame["chunks"]]
        except (TypeError, ValueError) as error:
            raise NoReader from error
        self._held += sum(held(one.contenido, one.headings) for one in chunks)
        if self._held > MOST_HELD or len(self.chunks) + len(chunks) > MOST_CHUNKS:
            raise NoReader
        self.chunks += chunks

    def _chunk(
        self, index: int, contenido: str, tokens: int, page: int | None, headings: list[str], breaks: list[list[int]]
    ) -> Chunk:
        if not isinstance(contenido, str):
            raise TypeError
        path = tuple(headings)
        shared = self._headings.setdefault(path, path)
        return Chunk(index, contenido, tokens, page, shared, tuple((offset, first) for offset, first in breaks))
