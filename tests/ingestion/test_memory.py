"""Small files that unpack to much: each is read or refused within a ceiling on memory, of the reader and of the server.

The server is a process of its own (`memory_watched.py`), whose token counter costs nothing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.files.bombs import BOMBS
from tests.files.make import zipped
from tests.ingestion.memory_watched import Words

from ateneo.errors import DocumentTooLarge
from ateneo.ingestion.parsing import extracted
from ateneo.ingestion.parsing.extracted import MOST_CHUNKS, MOST_COUNTED, MOST_HELD
from ateneo.ingestion.parsing.parse import parse
from ateneo.ingestion.parsing.received import NoReader, Received
from ateneo.ingestion.parsing.sandbox import read_file

ROOT = Path(__file__).parents[2]
READER_MB, SERVER_MB = 1000, 50
WORST = ("blancos.pdf", "celdas.xlsx", "muchos.zip")

needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures by /proc")


def measured(folder: Path, names: tuple[str, ...], timeout_s: float) -> Iterator[dict[str, object]]:
    command = [sys.executable, "-m", "tests.ingestion.memory_watched", str(timeout_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in names:
            (folder / name).write_bytes(BOMBS[name]())
            process.stdin.write(f"{folder / name}\n")
            process.stdin.flush()
            yield json.loads(process.stdout.readline())
        process.stdin.close()


_ALL = (
    pytest.mark.long,
    pytest.mark.skipif("CI" in os.environ, reason="four minutes: for `make test-long` at a desk"),
)


@needs_proc
@pytest.mark.parametrize("names", [WORST, pytest.param(tuple(BOMBS), marks=_ALL)], ids=["worst", "all"])
def test_no_small_file_takes_much_memory(tmp_path: Path, names: tuple[str, ...]) -> None:
    beyond, unclear = {}, {}
    for found in measured(tmp_path, names, timeout_s=60):
        if int(str(found["child_mb"])) > READER_MB or int(str(found["parent_mb"])) > SERVER_MB:
            beyond[found["name"]] = found
        codes = ["document-too-large", "document-too-slow", "document-empty"]
        if found["name"] == "blancos.pdf":  # native code ends: a server larger than it cannot tell that memory did
            codes.append("document-corrupt")
        refused = found.get("code") in codes and found["remedy"]
        bomb = found.get("code") == "document-corrupt" and "bomba zip" in str(found["message"])
        if not (refused or bomb or "chunks" in found):
            unclear[found["name"]] = found
    assert (beyond, unclear) == ({}, {})


# --- a reader that says what no reader says -----------------------------------------------------------------------


def row(text: str, headings: list[str] | None = None) -> list[object]:
    return [0, text, 1, None, headings or [], []]


def test_chunks_of_too_much_memory_are_not_taken() -> None:
    received = Received()
    with pytest.raises(NoReader):
        for _ in range(MOST_HELD // 100_000 + 1):
            received.add({"chunks": [row("a" * 100_000)]})
    assert sum(len(one.contenido) for one in received.chunks) <= MOST_HELD


def test_too_many_chunks_are_not_taken() -> None:
    received = Received()
    with pytest.raises(NoReader):
        for _ in range(MOST_CHUNKS // 1000 + 1):
            received.add({"chunks": [row("a")] * 1000})
    assert len(received.chunks) <= MOST_CHUNKS


def test_tokens_of_too_many_characters_are_not_counted() -> None:
    received = Received()
    text = "a" * 1_000_000
    with pytest.raises(NoReader):
        for _ in range(MOST_COUNTED // len(text) + 1):
            received.texts({"count": [text]})


@pytest.mark.parametrize("rows", [1, ["a"], [[1]], [row(1)], [[0, "a", 1, None, 7, []]]])  # type: ignore[arg-type]
def test_chunks_that_are_none_are_not_taken(rows: object) -> None:
    with pytest.raises(NoReader):
        Received().add({"chunks": rows})


@pytest.mark.parametrize("texts", [1, "a", {"a": 1}, [1], [["a"]]])
def test_texts_that_are_none_are_not_counted(texts: object) -> None:
    with pytest.raises(NoReader):
        Received().texts({"count": texts})


def test_neighbours_share_their_headings() -> None:
    received = Received()
    received.add({"chunks": [row("a", ["Uno", "Dos"]), row("b", ["Uno", "Dos"])]})
    assert received.chunks[0].headings is received.chunks[1].headings


# --- what all files within a file give ----------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "most"), [("MOST_UNPACKED", 40_000), ("MOST_CHARACTERS", 20_000)])
def test_files_within_a_file_share_its_limits(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    inner = zipped({f"{n}.txt": "Hola a todos. " * 500 for n in range(2)})
    small, large = zipped({"a.zip": inner}), zipped({"a.zip": inner, "b.zip": inner, "c.zip": inner})
    monkeypatch.setattr(extracted, limit, most)
    assert parse(small, "obra.zip", max_bytes=10**6).sections
    with pytest.raises(DocumentTooLarge, match=r"obra.zip"):
        parse(large, "obra.zip", max_bytes=10**6)


async def test_what_a_reading_report_says_is_bounded() -> None:
    long = {f"{'a' * 60_000}{n}.bin": b"\x00\x01" for n in range(20)}
    with pytest.raises(DocumentTooLarge, match=r"obra.zip"):
        await read_file(
            zipped({"a.txt": "Hola.", **long}),
            "obra.zip",
            Words(),
            max_bytes=10**7,
            timeout_s=60,
            max_tokens=64,
            overlap=8,
        )
