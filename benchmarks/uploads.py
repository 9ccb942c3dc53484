"""What does an upload cost those who search? 8 clients search one `ateneo serve` with the bundled model; a PDF of 46
pages is uploaded, and then none, in turn. `python -m benchmarks uploads`.
"""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
from rich.table import Table
from tests.files.make import pdf

from ateneo.db import keys
from ateneo.db.pool import Database
from benchmarks import stage

CLIENTS = 8
PAUSE_S = 0.1
"""Between an answer and the client's next question: about half of what two cores can answer."""

ROUNDS = 3
QUIET_S = 8.0
PAGES, LINES = 46, 44
DOCUMENTS = 2
"""Of as many pages, there before anything is measured."""

SOURCES = Path(__file__).parents[1] / "examples"


def main() -> None:
    with stage.server() as server:
        database = asyncio.run(stage.new_database(server, "uploads"))
        with stage.serving(database) as address:
            quiet, busy, uploads = asyncio.run(_measured(address, asyncio.run(_key(database))))
    table = Table(
        "", "searches", "p50 ms", "p95 ms", "max ms", title=f"{CLIENTS} clients, {PAGES} pages uploaded {ROUNDS} times"
    )
    for name, times in (("without an upload", quiet), ("during one", busy)):
        p50, p95, worst = np.percentile(times, [50, 95, 100]) * 1000
        table.add_row(name, f"{len(times):,}", f"{p50:.1f}", f"{p95:.1f}", f"{worst:.0f}")
    stage.console.print(table)
    ratio = np.percentile(busy, 95) / np.percentile(quiet, 95)
    stage.console.print(f"p95 {ratio:.2f}x (aim: 1.3x); an upload takes {np.median(uploads):.1f} s\n")


async def _key(database: str) -> str:
    async with await Database.open(database, size=1) as db:
        return (await keys.create(db, "acme", scopes=keys.SCOPES)).secret


async def _measured(address: str, key: str) -> tuple[list[float], list[float], list[float]]:
    """Seconds of searches without and during an upload, and of uploads."""
    found: dict[bool, list[float]] = {False: [], True: []}
    uploads = []
    uploading = asyncio.Event()
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=300) as client:
        for number in range(DOCUMENTS):
            await _upload(client, number)
        searching = [asyncio.create_task(_search(client, number, uploading, found)) for number in range(CLIENTS)]
        await asyncio.sleep(3)
        for times in found.values():
            times.clear()
        for number in range(ROUNDS):
            await asyncio.sleep(QUIET_S)
            uploading.set()
            begun = time.perf_counter()
            await _upload(client, DOCUMENTS + number)
            uploads.append(time.perf_counter() - begun)
            uploading.clear()
        for task in searching:
            task.cancel()
        await asyncio.gather(*searching, return_exceptions=True)
    return found[False], found[True], uploads


async def _search(
    client: httpx.AsyncClient, number: int, uploading: asyncio.Event, found: dict[bool, list[float]]
) -> None:
    chance = random.Random(number)
    words = [word for sentence in _sentences() for word in sentence.split() if len(word) > 4]
    while True:
        question = " ".join(chance.sample(words, 5))
        during, begun = uploading.is_set(), time.perf_counter()
        answer = await client.post("/search/semantic", json={"query": question})
        assert answer.status_code == 200, answer.text
        if during == uploading.is_set():
            found[during].append(time.perf_counter() - begun)
        await asyncio.sleep(PAUSE_S * chance.uniform(0.5, 1.5))


async def _upload(client: httpx.AsyncClient, number: int) -> None:
    made = await asyncio.to_thread(_pdf, number)
    answer = await client.post("/documents", files={"file": (f"{number}.pdf", made)})
    assert answer.status_code == 201, answer.text
    assert answer.json()["pages"] == PAGES


def _pdf(number: int) -> bytes:
    lines = _lines(random.Random(1000 + number))
    return pdf([[next(lines) for _ in range(LINES)] for _ in range(PAGES)])


def _lines(chance: random.Random) -> Iterator[str]:
    """Lines as long as a page is wide, of the examples' sentences in an order of this file's own."""
    sentences = _sentences()
    line = ""
    while True:
        for word in chance.choice(sentences).split():
            if len(line) + len(word) > 88:
                yield line
                line = ""
            line = f"{line} {word}".strip()


def _sentences() -> Sequence[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*/sources/*.md"))]
    lines = [line.strip() for text in texts for line in text.split("\n") if len(line) > 60 and "|" not in line]
    return [line.encode("cp1252", "ignore").decode("cp1252") for line in lines]
