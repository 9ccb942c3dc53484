"""Texts of a source that are HTML, as the text that they say: by the reader of files, in processes of its own."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from ateneo.db.source_rows import Row
from ateneo.errors import DocumentEmpty, DocumentError, ReaderUnavailable
from ateneo.ingestion.parsing.sandbox import read_file
from ateneo.ports import TokenCounter
from ateneo.types import Chunk

_MOST_BYTES = 32 * 1024 * 1024
_TIMEOUT_S = 30.0
_WHOLE = 1_000_000
"""Tokens: a section is not cut here."""
_NAME = "text.html"
_TAG = re.compile(r"</(p|div|li|ul|ol|h[1-6]|table|td|strong|em|a|span)>|<br\s*/?>", re.IGNORECASE)


def looks_like_html(texts: Sequence[str]) -> bool:
    """Whether most of them are."""
    return sum(_TAG.search(one) is not None for one in texts) * 2 > len(texts)


async def as_text(rows: Sequence[Row], counter: TokenCounter) -> list[Row]:
    """What cannot be read as HTML stays as it is; what says nothing is empty. Raises ReaderUnavailable."""
    texts = await asyncio.gather(*(_text(row.body, counter) for row in rows))
    return [replace(row, body=text) for row, text in zip(rows, texts, strict=True)]


async def _text(body: str, counter: TokenCounter) -> str:
    if not _TAG.search(body):
        return body
    try:
        _, chunks = await read_file(
            body.encode(),
            _NAME,
            counter,
            max_bytes=_MOST_BYTES,
            timeout_s=_TIMEOUT_S,
            max_tokens=_WHOLE,
            overlap=0,
            ocr=False,
        )
    except DocumentEmpty:
        return ""
    except ReaderUnavailable:
        raise
    except DocumentError:
        return body
    return _joined(chunks)


def _joined(chunks: Sequence[Chunk]) -> str:
    """Headings are lines of their own."""
    lines: list[str] = []
    path: tuple[str, ...] = ()
    for one in chunks:
        same = next((at for at, pair in enumerate(zip(path, one.headings, strict=False)) if pair[0] != pair[1]), None)
        lines += one.headings[min(len(path), len(one.headings)) if same is None else same :]
        lines.append(one.contenido)
        path = one.headings
    return "\n\n".join(lines)
