"""What a reader process runs (`sandbox.py` starts it, `confinement.py` confines it): files in, their passages out,
until its parent is gone.

Frames are lines of JSON, because what comes out of a process that read a hostile file is not to be unpickled.
In: a request, then, after {"ready": what confines this process}, `size` bytes of the file (None: no file). Out: any
number of {"count": texts}, each answered by {"tokens": counts}, and of {"chunks": rows}; then one of {"document"},
{"error", "fields"} or {"failed"}. For a request with a quote: {"marked": pages}.
"""

import json
import mimetypes
import os
import resource
import select
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO, TypeVar

from ateneo import i18n
from ateneo.errors import AteneoError
from ateneo.ingestion.chunking import chunk
from ateneo.ingestion.parsing.confinement import confine
from ateneo.ingestion.parsing.extracted import (
    LONGEST_FRAME,
    MOST_DATA,
    check_chunks,
    check_extracted,
    out_of_memory,
    too_large,
)
from ateneo.ingestion.parsing.formats import PDF
from ateneo.ingestion.parsing.parse import check, parse
from ateneo.ingestion.parsing.pdf_errors import pdf_errors
from ateneo.ingestion.parsing.pdf_locate import locate
from ateneo.text.language import detect, load_language_model
from ateneo.types import Document

_FRAME_CHARACTERS = 50_000
"""About what a frame holds, so that no frame keeps its reader busy for long."""

_MEMORY_LIMIT = 4 * 1024**3
_MEMORY_KEPT = 512 * 1024**2
"""A process that a file has made larger than this ends after it; the next is smaller."""

_SECONDS_IDLE = 300.0

T = TypeVar("T")


def main(parent: int) -> None:
    load_language_model()
    mimetypes.init()  # openpyxl's, which reads files of the system
    confined = confine(parent)
    frames = Frames(sys.stdin.buffer, os.fdopen(confined.frames, "wb"))
    while frames.waits(_SECONDS_IDLE) and (request := frames.receive()) is not None:
        _limit(request["cpu_s"])
        i18n.use(request["lang"])
        frames.send({"ready": confined.holds})
        if request["size"] is None:
            continue
        data = frames.take(request["size"])
        last = None
        try:
            last = _located(data, request) if "quote" in request else _read(data, request, frames)
        except TooLong as long:
            last = _refusal(too_large(request["name"], str(long), i18n.size(LONGEST_FRAME)))
        except MemoryError:
            pass  # and what it was raised in lets its memory go
        except Exception as error:  # noqa: BLE001  the process's outermost edge; the parent logs it
            frames.send({"failed": type(error).__name__})
            return
        _finish(frames, request["name"], last)
        if last is None:
            return
        if _grown(confined.statm):
            return


def _finish(frames: "Frames", name: str, last: Mapping[str, Any] | None) -> None:
    """Sends the last frame; None where there was no memory for it."""
    try:
        frames.send(_refusal(out_of_memory(name, i18n.size(MOST_DATA))) if last is None else last)
    except TooLong as long:
        frames.send(_refusal(too_large(name, str(long), i18n.size(LONGEST_FRAME))))


class TooLong(Exception):
    """What is said of a file at once is too long: `size`."""


class Frames:
    """The two pipes to the parent. It is the TokenCounter, too: the embedder's tokeniser is the parent's."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source = source
        self._target = target

    def waits(self, seconds: float) -> bool:
        """Whether something comes within `seconds`."""
        return bool(select.select([self._source], [], [], seconds)[0])

    def receive(self) -> dict[str, Any] | None:
        line = self._source.readline()
        return json.loads(line) if line else None

    def take(self, size: int) -> bytes:
        return self._source.read(size)

    def send(self, frame: Mapping[str, Any]) -> None:
        """Raises TooLong."""
        line = json.dumps(frame, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        if len(line) > LONGEST_FRAME:
            raise TooLong(i18n.size(len(line)))
        self._target.write(line)
        self._target.flush()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [count for some in _shares(texts, len) for count in self._counts(some)]

    def _counts(self, texts: Sequence[str]) -> list[int]:
        self.send({"count": texts})
        answer = self.receive()
        if answer is None:
            sys.exit()
        return list(answer["tokens"])


def _read(data: bytes, request: Mapping[str, Any], frames: Frames) -> dict[str, Any]:
    try:
        document = parse(data, request["name"], max_bytes=request["max_bytes"], ocr_s=request["ocr_s"])
        check_extracted(document, request["name"])
        chunks = chunk(document, frames, max_tokens=request["max_tokens"], overlap=request["overlap"])
        check_chunks(chunks, request["name"])
    except AteneoError as error:
        return _refusal(error)
    rows = [(one.index, one.contenido, one.tokens, one.page, one.headings, one.page_breaks) for one in chunks]
    for some in _shares(rows, lambda row: len(row[1]) + sum(map(len, row[4]))):
        frames.send({"chunks": some})
    metadata = {**document.metadata, "language": _language(document)}
    told = {"title": document.title, "mime": document.mime, "pages": document.pages, "metadata": metadata}
    return {"document": told, "reading": asdict(document.reading)}


def _located(data: bytes, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if check(data, request["name"], max_bytes=request["max_bytes"]) != PDF:
            return {"marked": []}  # other kinds have no places to mark
        with pdf_errors(request["name"]):
            return {"marked": [asdict(page) for page in locate(data, request["quote"], request["page"])]}
    except AteneoError as error:
        return _refusal(error)


def _refusal(error: AteneoError) -> dict[str, Any]:
    return {"error": type(error).__name__, "fields": error.fields}


def _language(document: Document) -> str:
    """The text's own language; where it does not tell, what the file says of itself ("es-AR" is "es")."""
    found = detect("\n".join(section.text for section in document.sections))
    declared = str(document.metadata.get("language", ""))[:2].lower()
    return declared if found == "unknown" and declared in ("es", "en", "pt") else found


def _shares(items: Sequence[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """The items in order, in lists of about as many characters as a frame holds."""
    share: list[T] = []
    total = 0
    for item in items:
        share.append(item)
        total += size(item)
        if total >= _FRAME_CHARACTERS:
            yield share
            share, total = [], 0
    if share:
        yield share


# --- limits -------------------------------------------------------------------------------------------------------


def _limit(cpu_s: int) -> None:
    """`cpu_s` more seconds of processor time for the next file."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + cpu_s)
    if sys.platform == "linux":
        _lower(resource.RLIMIT_AS, _MEMORY_LIMIT)
        _lower(resource.RLIMIT_DATA, MOST_DATA)


def _lower(kind: int, limit: int) -> None:
    """Sets the soft limit, which may be raised for the next file up to the hard one."""
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _grown(statm: int | None) -> bool:
    if statm is None:  # not Linux
        return False
    pages = int(os.pread(statm, 200, 0).split()[1])
    return pages * resource.getpagesize() > _MEMORY_KEPT
