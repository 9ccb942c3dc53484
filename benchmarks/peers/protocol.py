"""The peer's end of the pipe: a JSON document a line in, one out. Runs in the peer's own virtual environment, so it
knows nothing of Ateneo. The clock runs here, around the peer's own call, so that the pipe costs nobody anything."""

import asyncio
import json
import sys
import time
from typing import Any, Protocol


class Store(Protocol):
    async def fill(self) -> None:
        """Makes its table as it would, fills it from knowledge_chunks, and gives it its indexes."""
        ...

    async def open(self) -> None: ...

    async def search(self, way: str, kind: str, empresa: str, text: str, vector: list[float], k: int) -> list[str]:
        """Ids of the k best. `way`: hnsw or exact; `kind`: hybrid or dense."""
        ...


def serve(store: object) -> None:
    asyncio.run(_serve(store))


async def _serve(store: object) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        do = getattr(store, asked.pop("do"))
        begun = time.perf_counter()
        found = await do(**asked)
        answer = {"ids": found, "ms": (time.perf_counter() - begun) * 1000}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
