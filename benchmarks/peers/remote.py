"""Our end of the pipe to a peer: starts its process, asks, and ends it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

MODULES = {
    "langchain-postgres": "benchmarks.peers.langchain_store",
    "llama-index-postgres": "benchmarks.peers.llamaindex_store",
}
TABLES = {"langchain-postgres": "langchain_chunks", "llama-index-postgres": "data_llamaindex_chunks"}
_ROOT = Path(__file__).parents[2]
_LONGEST_LINE = 16 * 1024**2


class PeerFailed(Exception):
    """A peer's process ended; its last words went to stderr."""


class Peer:
    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process

    async def fill(self) -> None:
        """Makes its table and its indexes."""
        await self._ask(do="fill")

    async def open(self) -> None:
        await self._ask(do="open")

    async def search(
        self, way: str, kind: str, empresa: str, text: str, vector: list[float], k: int
    ) -> tuple[list[str], float]:
        """Ids, best first, and the milliseconds inside the peer."""
        answer = await self._ask(do="search", way=way, kind=kind, empresa=empresa, text=text, vector=vector, k=k)
        return answer["ids"], float(answer["ms"])

    async def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise PeerFailed(self.name)
        answer: dict[str, Any] = json.loads(line)
        return answer


async def missing(python: str, name: str) -> str | None:
    """Why this peer cannot be asked; None where it can."""
    process = await asyncio.create_subprocess_exec(
        python, "-c", f"import {MODULES[name]}", cwd=_ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    return said.decode().strip().splitlines()[-1] if process.returncode else None


@asynccontextmanager
async def started(python: str, name: str, url: str) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        python, "-m", MODULES[name], url, cwd=_ROOT, limit=_LONGEST_LINE,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Peer(name, process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
