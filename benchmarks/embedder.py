"""How fast is the bundled embedder, beside fp32 all-MiniLM-L6-v2 under sentence-transformers, on the same texts?

Rounds alternate in one run, both on all cores. Then the cold start: from the start of a new Python to the first vector.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.table import Table

from ateneo.embedding.service import EmbeddingService
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from benchmarks import stage

_ROOT = Path(__file__).parents[1]
_WORDS_IN_A_PASSAGE = 110
_PASSAGES = 200
_ROUNDS = 3
_STARTS = 5
_QUERIES = 50
_FIRST_VECTOR = """
import asyncio, time
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
embedder = LocalEmbedder(bundled_model_dir())
asyncio.run(embedder.embed(["¿cuántos días de vacaciones hay?"], "query"))
"""


class Peer:
    """sentence-transformers in a process and a virtual environment of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def seconds(self, texts: Sequence[str]) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(texts)) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


@contextmanager
def _peer(python: str) -> Iterator[Peer]:
    with subprocess.Popen(
        [python, "-m", "benchmarks.peers.sentence_encoder"],
        cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield Peer(process)


def main(flags: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks embedder")
    parser.add_argument("--peers-python", help="Python with benchmarks/peers/embedder.txt installed; else left out")
    options = parser.parse_args(flags)
    texts = {"Spanish (examples/)": _passages("examples"), "English (docs/)": _passages("docs")}
    rates: dict[tuple[str, str], float] = {}
    if options.peers_python:
        with _peer(options.peers_python) as peer:
            for language, passages in texts.items():
                ours, theirs = _alternate(passages, peer)
                rates |= {("ateneo", language): ours, ("peer", language): theirs}
    else:
        for language, passages in texts.items():
            rates["ateneo", language] = _alternate(passages, None)[0]
    _show(texts, rates)
    _show_latency()


def _alternate(passages: Sequence[str], peer: Peer | None) -> tuple[float, float]:
    """Passages a second of both, each the median of its rounds; the first round warms up."""
    ours, theirs = [], []
    service = EmbeddingService(LocalEmbedder(bundled_model_dir()))
    for _ in range(_ROUNDS + 1):
        begun = time.perf_counter()
        asyncio.run(service.embed_matrix(passages))
        ours.append(len(passages) / (time.perf_counter() - begun))
        if peer is not None:
            theirs.append(len(passages) / peer.seconds(passages))
    return statistics.median(ours[1:]), statistics.median(theirs[1:]) if theirs else 0.0


def _passages(folder: str) -> list[str]:
    """The Markdown of a folder, cut into passages of equal length."""
    words = [word for path in sorted((_ROOT / folder).rglob("*.md")) for word in path.read_text("utf-8").split()]
    starts = range(0, len(words), _WORDS_IN_A_PASSAGE)
    return [" ".join(words[start : start + _WORDS_IN_A_PASSAGE]) for start in starts][:_PASSAGES]


def _show(texts: dict[str, list[str]], rates: dict[tuple[str, str], float]) -> None:
    table = Table(title=f"Passages of {_WORDS_IN_A_PASSAGE} words a second")
    for heading in ("texts", "passages", "bundled", "all-MiniLM fp32", "ratio"):
        table.add_column(heading, justify="left" if heading == "texts" else "right")
    for language, passages in texts.items():
        ours, theirs = rates["ateneo", language], rates.get(("peer", language))
        peer = [f"{theirs:.1f}", f"{ours / theirs:.2f}"] if theirs else ["-", "-"]
        table.add_row(language, str(len(passages)), f"{ours:.1f}", *peer)
    stage.console.print(table)


def _show_latency() -> None:
    starts = [_seconds_of(_FIRST_VECTOR) - _seconds_of("import asyncio, time") for _ in range(_STARTS)]
    embedder = LocalEmbedder(bundled_model_dir())
    questions = [f"¿Qué dice el manual sobre el tema número {number}?" for number in range(_QUERIES + 1)]
    asyncio.run(embedder.embed(["cargar"], "query"))
    took = []
    for question in questions:
        begun = time.perf_counter()
        asyncio.run(embedder.embed([question], "query"))
        took.append(1000 * (time.perf_counter() - begun))
    table = Table(title="Latency of the bundled model")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_row("cold start: imports, loading, first vector (s)", f"{statistics.median(starts):.2f}")
    table.add_row("first question once loaded (ms)", f"{took[0]:.1f}")
    table.add_row("questions after it, p50 (ms)", f"{statistics.median(took[1:]):.1f}")
    table.add_row("slowest of them (ms)", f"{max(took[1:]):.1f}")
    stage.console.print(table)


def _seconds_of(program: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - begun
