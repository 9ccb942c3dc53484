"""How much of small companies' documents is read, and how fast, beside markitdown on the same files?

Rounds alternate in one run, each reader in one process. Words are those of a plain reading of the file; a row of a
table is right where its cells stand in one line, in order. Neither reads scans: OCR would be all of the time.
"""

import argparse
import json
import re
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table
from tests.files.reference import LEFT_OUT, ROOT, files, reference, words

from ateneo.errors import DocumentError
from ateneo.ingestion.parsing.parse import parse
from benchmarks import stage

_ROUNDS = 3
_CASES = ("tests/files/documents", "tests/files/kinds")
_CELLS = re.compile(r" \\\| |\.\*")
_NAME = re.compile(r"^[^:]*: (?=.)")
_ESCAPE = re.compile(r"\\(.)")

Read = Callable[[Path], tuple[float, str]]


@dataclass(slots=True)
class _Score:
    files: int = 0
    wanted: int = 0
    found: int = 0
    rows: int = 0
    right: int = 0
    seconds: list[float] = field(default_factory=list)


def main(flags: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks documents")
    parser.add_argument("--peers-python", help="Python with benchmarks/peers/documents.txt installed; else left out")
    options = parser.parse_args(flags)
    with _readers(options.peers_python) as readers:
        corpus = [path for path in files() if "13" not in path.parts and "45" not in path.parts]
        scores = {name: _measured(read, corpus) for name, read in readers.items()}
        for _ in range(_ROUNDS):
            for name, read in readers.items():
                for kind, seconds in _timed(read, corpus).items():
                    scores[name][kind].seconds.append(seconds)
    _show(scores)


@contextmanager
def _readers(peers_python: str | None) -> Iterator[dict[str, Read]]:
    if not peers_python:
        yield {"ateneo": _read}
        return
    with subprocess.Popen(
        [peers_python, "-m", "benchmarks.peers.markitdown_reader"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip

        def peer(path: Path) -> tuple[float, str]:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            seconds, text = json.loads(process.stdout.readline())
            return seconds, text

        yield {"ateneo": _read, "markitdown": peer}


def _read(path: Path) -> tuple[float, str]:
    begun = time.perf_counter()
    try:
        document = parse(path.read_bytes(), path.name, max_bytes=10**8, ocr_s=0)
    except DocumentError:
        return time.perf_counter() - begun, ""
    texts = ["\n".join((*section.headings, section.text)) for section in document.sections]
    return time.perf_counter() - begun, "\n".join([document.title, *map(str, document.metadata.values()), *texts])


def _measured(read: Read, corpus: Sequence[Path]) -> dict[str, _Score]:
    rows = _rows()
    scores: dict[str, _Score] = defaultdict(_Score)
    for path in corpus:
        _, text = read(path)
        wanted = words(reference(path)) - words(LEFT_OUT.get(path.name, ""))
        score = scores[path.suffix]
        score.files += 1
        score.wanted += wanted.total()
        score.found += (wanted & words(text)).total()
        lines = text.split("\n")
        for row in rows.get(path, ()):
            score.rows += 1
            score.right += any(row.search(line) for line in lines)
    return scores


def _rows() -> dict[Path, list[re.Pattern[str]]]:
    """What the cases say of rows, without the names of columns: those may stand in each row or above."""
    found: dict[Path, list[re.Pattern[str]]] = defaultdict(list)
    for folder in _CASES:
        for case in json.loads((ROOT / folder / "expected.json").read_text("utf-8")):
            for pattern in case["one_line_of_a_chunk_matches"]:
                if r" \|" in pattern and not set("?[") & set(pattern):
                    cells = [_NAME.sub("", _ESCAPE.sub(r"\1", cell)) for cell in _CELLS.split(pattern.strip("^$"))]
                    found[ROOT / folder / case["file"]].append(re.compile(".*".join(map(re.escape, cells))))
    return found


def _timed(read: Read, corpus: Sequence[Path]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    for path in corpus:
        seconds[path.suffix] += read(path)[0]
    return seconds


def _show(scores: dict[str, dict[str, _Score]]) -> None:
    table = Table(title="Documents read")
    for heading in (
        "format",
        "files",
        *(f"{name}\n{what}" for name in scores for what in ("words", "rows", "files/s")),
    ):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    kinds = next(iter(scores.values()))
    for kind in kinds:
        table.add_row(kind, str(kinds[kind].files), *(cell for name in scores for cell in _cells([scores[name][kind]])))
    everything = [cell for name in scores for cell in _cells([*scores[name].values()])]
    table.add_row("all", str(sum(one.files for one in kinds.values())), *everything)
    stage.console.print(table)


def _cells(scores: Sequence[_Score]) -> list[str]:
    files_read, wanted, found = (sum(getattr(one, name) for one in scores) for name in ("files", "wanted", "found"))
    rows, right = sum(one.rows for one in scores), sum(one.right for one in scores)
    seconds = sum(statistics.median(one.seconds) for one in scores)
    return [f"{100 * found / wanted:.1f} %", f"{right}/{rows}" if rows else "-", f"{files_read / seconds:.1f}"]
