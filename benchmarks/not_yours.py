"""Can it be timed whether an id is another company's or nobody's, and what is wrong with a key? The two requests of
each pair take turns, in random order, against `ateneo serve`; AUC is the chance that one of the first kind took longer
than one of the second (Mann and Whitney 1947): 0.5 tells nothing. `python -m benchmarks not_yours`.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
from rich.table import Table

from ateneo.db import keys
from ateneo.db.pool import Database
from benchmarks import stage

PAIRS, WARM = 1000, 50
FILES = 20


@dataclass(frozen=True)
class Request:
    """What httpx takes; `key` in the place of acme's own."""

    method: str
    path: str
    key: str | None = None
    json: dict[str, Any] | None = None
    id: str = ""


@dataclass(frozen=True)
class Timed:
    """Seconds that each request took, and whether status, headers and body were the same, but for the id in them."""

    first: list[float]
    second: list[float]
    same: bool

    @property
    def auc(self) -> float:
        ranks = np.argsort(np.argsort(np.array(self.first + self.second))) + 1
        count = len(self.first)
        return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * len(self.second)))


def main() -> None:
    with stage.server() as url:
        database = asyncio.run(stage.new_database(url, "not_yours"))
        made = asyncio.run(_keys(database))
        with (
            stage.serving(database, ATENEO_THREADS="1") as address,
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            theirs = _fill(client, made)
            table = Table("asked", "p50 ms", "p50 ms", "AUC", "same answer", title=f"{2 * PAIRS:,} requests a line")
            for name, (first, second) in _pairs(made, theirs).items():
                timed = _timed(client, made["acme"], first, second)
                shown = (f"{statistics.median(one) * 1000:.2f}" for one in (timed.first, timed.second))
                table.add_row(name, *shown, f"{timed.auc:.3f}", "yes" if timed.same else "NO")
    stage.console.print(table)


async def _keys(url: str) -> dict[str, str]:
    async with await Database.open(url, size=1) as db:
        made = {name: (await keys.create(db, name, scopes=keys.SCOPES)).secret for name in ("acme", "otra")}
        gone = await keys.create(db, "otra")
        await keys.revoke(db, gone.stored.key_id)
        return made | {"revoked": gone.secret}


def _fill(client: httpx.Client, made: dict[str, str]) -> dict[str, str]:
    """Documents for both companies; ids of otra's."""
    for company in ("acme", "otra"):
        headers = {"Authorization": f"Bearer {made[company]}"}
        for number, text in enumerate(stage.passages(FILES)):
            file = {"file": (f"{number}.md", f"# {number}\n\n{text}".encode())}
            document = client.post("/documents", headers=headers, files=file).json()["document_id"]
        chat = client.post("/agents/a/chat", headers=headers, json={"message": "camide rotu"}).json()
    return {"document": document, "conversation": chat["conversation_id"]}


def _pairs(made: dict[str, str], theirs: dict[str, str]) -> dict[str, tuple[Request, Request]]:
    nobody = {name: _other(one) for name, one in theirs.items()}
    unknown = made["otra"][:4] + "0" * 12 + made["otra"][16:]
    documents = "/documents"

    def asked(kind: str, make: Callable[[str], Request]) -> tuple[Request, Request]:
        return tuple(replace(make(ids[kind]), id=ids[kind]) for ids in (theirs, nobody))  # type: ignore[return-value]

    return {
        "DELETE a document: otra's, nobody's": asked("document", lambda one: Request("DELETE", f"/documents/{one}")),
        "GET a conversation: otra's, nobody's": asked(
            "conversation", lambda one: Request("GET", f"/conversations/{one}")
        ),
        "chat in a conversation: otra's, nobody's": asked(
            "conversation",
            lambda one: Request("POST", "/agents/a/chat", json={"message": "camide", "conversation_id": one}),
        ),
        "search in a document: otra's, nobody's": asked(
            "document",
            lambda one: Request("POST", "/search/semantic", json={"query": "camide", "filter": {"document_id": one}}),
        ),
        "nobody's document: as acme, as otra": (
            Request("DELETE", f"/documents/{nobody['document']}"),
            Request("DELETE", f"/documents/{nobody['document']}", key=made["otra"]),
        ),
        "key: revoked, unknown": (
            Request("GET", documents, key=made["revoked"]),
            Request("GET", documents, key=unknown),
        ),
        "key: a known prefix, unknown": (
            Request("GET", documents, key=made["otra"][:17] + "0" * 64),
            Request("GET", documents, key=unknown),
        ),
        "key: malformed, unknown": (
            Request("GET", documents, key=unknown[:-1]),
            Request("GET", documents, key=unknown),
        ),
    }


def _other(identifier: str) -> str:
    """An id of the same shape that nobody has."""
    return "".join("0123456789abcdef"[(int(one, 16) + 1) % 16] if one != "-" else one for one in identifier)


def _timed(client: httpx.Client, own: str, first: Request, second: Request) -> Timed:
    taken: tuple[list[float], list[float]] = ([], [])
    answers: list[tuple[Any, ...]] = []
    for number in range(PAIRS + WARM):
        for which in random.sample((0, 1), 2):
            asked = (first, second)[which]
            request = _built(client, asked, own)
            start = time.perf_counter()
            client.send(request)
            if number >= WARM:
                taken[which].append(time.perf_counter() - start)
        if number == WARM:
            answers = [_shape(client.send(_built(client, one, own)), one) for one in (first, second)]
    return Timed(*taken, same=answers[0] == answers[1])


def _built(client: httpx.Client, asked: Request, own: str) -> httpx.Request:
    headers = {"Authorization": f"Bearer {asked.key or own}"}
    return client.build_request(asked.method, asked.path, json=asked.json, headers=headers)


def _shape(answer: httpx.Response, asked: Request) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, headers, answer.text.replace(asked.id, "ID") if asked.id else answer.text
