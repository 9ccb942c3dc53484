"""Small files that unpack to much: each is read or refused within a ceiling on memory, of the reader and of the server.

The server is a process of its own (`memory_watched.py`), whose token counter costs nothing.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.files.bombs import BOMBS

from ateneo.ingestion.parsing.extracted import MOST_CHUNKS, MOST_COUNTED, MOST_HELD
from ateneo.ingestion.parsing.received import NoReader, Received

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


@needs_proc
@pytest.mark.parametrize("names", [WORST, pytest.param(tuple(BOMBS), marks=pytest.mark.long)], ids=["worst", "all"])
def test_no_small_file_takes_much_memory(tmp_path: Path, names: tuple[str, ...]) -> None:
    beyond, unclear = {}, {}
    for found in measured(tmp_path, names, timeout_s=60):
        if int(str(found["child_mb"])) > READER_MB or int(str(found["parent_mb"])) > SERVER_MB:
            beyond[found["name"]] = found
        refused = found.get("code") in ("document-too-large", "document-too-slow", "document-empty") and found["remedy"]
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
