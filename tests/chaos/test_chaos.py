"""Everything fails at once: workers are killed, the database crashes, the provider answers at random, rows change. In
the end every chunk has the vector of its own text, or a dead letter that says why, and what was paid twice is bounded.

Seeded: which faults, edits and kills there are is always the same; how they fall together is the machine's.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import numpy as np
import pytest
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.db import embedded, migrate
from ateneo.db.pool import Database

SEED = 5
DIMS = 8
COMPANIES = ("acme", "globex", "umbrella")
BATCH, CONCURRENCY, WORKERS = 10, 2, 2
FAULTS = [Fault.BUSY, Fault.SERVER_ERROR, Fault.RESET, Fault.TRUNCATED, Fault.TOO_FEW, Fault.WRONG_DIMS, Fault.NAN,
          Fault.GARBAGE, Fault.HANG]  # fmt: skip
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


@dataclass(frozen=True)
class Storm:
    """How much happens; the database crashes once, before the last but one kill or the only one."""

    rows: int
    seconds: float
    kills: int

    @property
    def crash_at(self) -> int:
        return max(0, self.kills - 2)


@pytest.fixture
def crashing_url() -> Iterator[str]:
    """A server of its own: this one crashes."""
    with tempfile.TemporaryDirectory(prefix="ateneo-chaos-", ignore_cleanup_errors=True) as folder:
        yield embedded.start(f"embedded:{folder}/data")
        embedded.stop(f"embedded:{folder}/data")


class Workers:
    """Real processes: `ateneo worker`."""

    def __init__(self, url: str, server: ProviderServer, logs: Path) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": url,
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": server.url,
            "ATENEO_EMBEDDING_DIMENSIONS": str(DIMS),
            "ATENEO_EMBEDDING_TIMEOUT_S": "0.5",
            "ATENEO_EMBEDDING_RETRIES": "1",
            "ATENEO_LEASE_S": "5",
        }
        self._logs = logs
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._started = 0

    def start(self) -> None:
        code = "from ateneo.cli.main import main; main()"
        size = ["--batch-size", str(BATCH), "--concurrency", str(CONCURRENCY)]
        self._started += 1
        path = self._logs / f"worker-{self._started}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, "worker", *size], env=self._environment, stdout=log, stderr=log
            )
        self._running.append((process, path))

    def kill_one(self, chance: random.Random) -> None:
        victim, _ = self._running.pop(chance.randrange(len(self._running)))
        victim.kill()
        victim.wait()
        self.start()

    def end(self) -> list[int]:
        until = time.monotonic() + 60
        for one, log in self._running:
            # one that has just been started still imports, and has no handler yet
            while "en marcha" not in log.read_text("utf-8") and time.monotonic() < until:
                time.sleep(0.05)
            one.send_signal(signal.SIGTERM)
        return [one.wait(timeout=30) for one, _ in self._running]

    def said(self) -> str:
        return "".join(path.read_text("utf-8") for path in sorted(self._logs.glob("worker-*.log")))


async def write(url: str, chance: random.Random, until: float) -> None:
    """What other programs do meanwhile: insert, edit, delete, and write a vector now and then."""
    number = 0
    connection = None
    while time.monotonic() < until:
        try:
            connection = connection or await asyncpg.connect(url)
            number += 1
            what, empresa = chance.random(), chance.choice(COMPANIES)
            insert = "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)"
            touch = "UPDATE knowledge_chunks SET chunk_index = 1 WHERE empresa_id = $1"
            some = "(SELECT id FROM knowledge_chunks WHERE empresa_id = $1 ORDER BY md5(id || $2) LIMIT 1)"
            text = f"Pasaje {number} de {empresa}{' VENENO' if what < 0.03 else ''}, escrito sobre la marcha"
            if what < 0.5:
                await connection.execute(insert, empresa, text)
            elif what < 0.8:
                await connection.execute(f"UPDATE knowledge_chunks SET contenido = $2 WHERE id = {some}", empresa, text)
            elif what < 0.95:
                await connection.execute(f"DELETE FROM knowledge_chunks WHERE id = {some}", empresa, str(number))
            else:
                async with connection.transaction():
                    await connection.execute(touch, empresa)
                    await asyncio.sleep(0.2)
        except LOST:
            connection = None
        await asyncio.sleep(0.01)
    if connection is not None:
        await connection.close()


async def crash(url: str) -> None:
    """A backend dies by SIGKILL: PostgreSQL ends all of them and recovers from its log."""
    with suppress(*LOST):
        connection = await asyncpg.connect(url)
        os.kill(await connection.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
        await connection.execute("SELECT 1")
    while True:
        with suppress(*LOST):
            await (await asyncpg.connect(url)).close()
            return
        await asyncio.sleep(0.1)


async def begun(url: str) -> None:
    """Until a worker has made the generation: on a machine that is busy its start takes longer than everything else."""
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(90):
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.generation)"):
            await asyncio.sleep(0.1)
    await connection.close()


async def drained(url: str) -> None:
    """Until nothing waits any more; rows that back off are told to hurry."""
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(90):
        while await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.embedding_queue WHERE state = 'pending')"):
            await connection.execute("UPDATE ateneo.embedding_queue SET next_try_at = now() WHERE next_try_at > now()")
            await asyncio.sleep(0.5)
    await connection.close()


@pytest.mark.parametrize(
    "storm",
    [
        pytest.param(Storm(rows=120, seconds=2, kills=1), id="short"),
        pytest.param(Storm(rows=400, seconds=9, kills=3), id="long", marks=pytest.mark.long),
    ],
)
async def test_chaos(crashing_url: str, tmp_path: Path, storm: Storm) -> None:
    chance = random.Random(SEED)
    async with await Database.open(crashing_url, size=1) as db:
        await migrate.upgrade(db)
    connection = await asyncpg.connect(crashing_url)
    await connection.executemany(
        "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ($1, $2)",
        [
            (chance.choice(COMPANIES), f"Pasaje inicial {n}{' VENENO' if n % 97 == 5 else ''}")
            for n in range(storm.rows)
        ],
    )
    await connection.close()
    with ProviderServer(dims=DIMS) as server:
        server.poison = "VENENO"
        server.retry_headers = {"Retry-After": "0.1"}
        server.script(*(chance.choice(FAULTS) if chance.random() < 0.3 else Fault.OK for _ in range(storm.rows)))
        workers = Workers(crashing_url, server, tmp_path)
        for _ in range(WORKERS):
            workers.start()
        await begun(crashing_url)
        writer = asyncio.create_task(write(crashing_url, random.Random(SEED + 1), time.monotonic() + storm.seconds))
        for kill in range(storm.kills):
            await asyncio.sleep(chance.uniform(0.2, 0.3) * storm.seconds)
            if kill == storm.crash_at:
                await crash(crashing_url)
            workers.kill_one(chance)
        await writer
        server.forget_script()
        await drained(crashing_url)
        assert workers.end() == [0, 0], workers.said()
        await _every_row_is_right(crashing_url, server, storm)
        _nothing_was_paid_without_bound(server, storm)


async def _every_row_is_right(url: str, server: ProviderServer, storm: Storm) -> None:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT k.contenido, k.embedding::real[] AS kept, v.embedding::vector::real[] AS found, q.state, q.error,"
        " c.content_hash = sha256(convert_to(k.contenido, 'UTF8')) AS words FROM knowledge_chunks k"
        " LEFT JOIN ateneo.vec_g1 v ON v.empresa_id = k.empresa_id AND v.chunk_id = k.id"
        " LEFT JOIN ateneo.chunk_lex c ON c.empresa_id = k.empresa_id AND c.chunk_id = k.id"
        " LEFT JOIN ateneo.embedding_queue q ON q.empresa_id = k.empresa_id AND q.chunk_id = k.id"
    )
    assert len(rows) > storm.rows * 3 / 4
    for row in rows:
        assert row["words"], row
        if "VENENO" in row["contenido"]:
            assert (row["state"], row["kept"], row["found"]) == ("dead", None, None), row
            assert "cannot be embedded" in row["error"], row
        else:
            assert row["state"] is None, row
            right = vector_for(row["contenido"], DIMS)
            np.testing.assert_allclose(row["kept"], right, atol=1e-6)
            np.testing.assert_allclose(row["found"], right, atol=2e-3)
    orphans = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM ateneo.vec_g1 x WHERE NOT EXISTS (SELECT FROM knowledge_chunks k WHERE k.id ="
        " x.chunk_id AND k.empresa_id = x.empresa_id)) AS vectors, (SELECT count(*) FROM ateneo.embedding_queue x WHERE"
        " NOT EXISTS (SELECT FROM knowledge_chunks k WHERE k.id = x.chunk_id AND k.empresa_id = x.empresa_id)) AS rows,"
        " (SELECT count(*) FROM ateneo.worker) AS workers, (SELECT sum(tokens) FROM ateneo.embedding_usage) AS tokens"
    )
    assert orphans is not None
    await connection.close()
    assert orphans["vectors"] == orphans["rows"] == 0
    assert orphans["workers"] <= storm.kills  # the killed ones left their rows
    assert 0 < orphans["tokens"] <= server.tokens


def _nothing_was_paid_without_bound(server: ProviderServer, storm: Storm) -> None:
    """A text is answered rightly once, and again only where the answer was in the hands of who died, was edited away
    and back, or met the crash."""
    times = Counter(text for text in server.answered if text != "prueba")
    again = sum(count - 1 for count in times.values())
    assert again <= (storm.kills + WORKERS) * CONCURRENCY * BATCH, again
    assert server.calls < 2000
