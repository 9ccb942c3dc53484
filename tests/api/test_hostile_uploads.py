"""No upload stops the process: while files made to hurt are read, /health is answered at once."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.api.conftest import new_key
from tests.files.hostile import FILES

from ateneo.db import usage
from ateneo.db.pool import Database

ROOT = Path(__file__).parents[2]
MOST_DELAY_S = 0.2
ONE_A_READER = ("tabla-larga.md", "comillas.csv", "anidado.html", "risas.docx", "bomba.xlsx", "ciclo.pdf")
ALL = tuple(FILES)


class Watched:
    """The server's process and what it says of its event loop."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._line()

    def longest_delay(self, burn: bool = False) -> float:
        """Seconds, since the last call; `burn`: the loop is made to stand still before."""
        assert self._process.stdin is not None
        self._process.stdin.write("burn\n" if burn else "\n")
        self._process.stdin.flush()
        told = json.loads(self._line())
        assert told["ticks"] > 0
        return float(told["longest"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def watched(database_url: str) -> Iterator[Watched]:
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")},
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'backend'}",
        "DATABASE_URL": database_url,
        "ATENEO_SECRETS_FILE": os.devnull,
        "ATENEO_EXTRACT_TIMEOUT_S": "5",
    }
    command = [sys.executable, "-c", "from tests.api.watched import main; main()"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        yield Watched(process)
        assert process.stdin is not None
        process.stdin.close()


async def ask_health(client: httpx.AsyncClient, done: asyncio.Event) -> int:
    asked = 0
    while not done.is_set():
        answer = await client.get("/health")
        assert answer.status_code == 200
        asked += 1
        await asyncio.sleep(0.02)
    return asked


@pytest.mark.parametrize(
    "names",
    [pytest.param(ONE_A_READER, id="one a reader"), pytest.param(ALL, id="all", marks=pytest.mark.long)],
)
async def test_no_upload_holds_up_the_event_loop(database_url: str, names: Sequence[str]) -> None:
    headers = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    async with await Database.open(database_url, size=1) as db:
        await usage.set_budget(db, "acme", 0, None)  # chunks are stored without vectors: this is about reading
    delays: dict[str, float] = {}
    with watched(database_url) as server:
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as client:
            await client.post("/documents", files={"file": ("primero.md", b"Hola.")})
            assert server.longest_delay(burn=True) > MOST_DELAY_S
            done = asyncio.Event()
            health = asyncio.create_task(ask_health(client, done))
            for name in names:
                data = FILES[name]()
                data = data.encode() if isinstance(data, str) else data
                answer = await client.post("/documents", files={"file": (name, data)})
                assert answer.status_code < 500, (name, answer.text)
                assert answer.is_success or answer.json()["code"].startswith("document"), (name, answer.text)
                delays[name] = await asyncio.to_thread(server.longest_delay)
            done.set()
            assert await health > len(names)
    assert {name: delay for name, delay in delays.items() if delay > MOST_DELAY_S} == {}
