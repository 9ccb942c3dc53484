"""Processes that die between any two steps of a job: nothing is lost, nothing is stuck, nothing is stored twice."""

import asyncio
import contextlib
import random
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket

import pytest
from tests.cli.run import ATENEO, environment
from tests.ingestion.test_ingestion import RULES
from tests.ingestion.test_jobs import drained, made
from tests.providers.server import ProviderServer

from ateneo.db.connection import Connection
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService

# what must hold of every row once nothing is open
WRONG = """
SELECT 'open' AS wrong, job_id FROM ateneo.job WHERE ended_at IS NULL
UNION ALL SELECT 'lost', job_id FROM ateneo.job j WHERE state = 'ready' AND NOT EXISTS (
  SELECT FROM ateneo.document d WHERE d.empresa_id = j.empresa_id AND d.document_id = j.document_id
    AND d.content_hash = j.sha256 AND d.own_chunks = (SELECT count(*) FROM public.knowledge_chunks k
      WHERE k.empresa_id = d.empresa_id AND k.document_id = d.document_id AND k.embedding IS NOT NULL))
UNION ALL SELECT 'unsaid', job_id FROM ateneo.job WHERE state = 'failed' AND coalesce(error_code, '') = ''
UNION ALL SELECT 'no remedy', job_id FROM ateneo.job WHERE state = 'failed' AND coalesce(error_remedy, '') = ''
UNION ALL SELECT 'twice', min(document_id) FROM ateneo.document GROUP BY empresa_id, source HAVING count(*) > 1
UNION ALL SELECT 'of no job', d.document_id FROM ateneo.document d WHERE NOT EXISTS (
  SELECT FROM ateneo.job j WHERE j.empresa_id = d.empresa_id AND j.document_id = d.document_id AND j.state = 'ready')
UNION ALL SELECT 'no original', d.document_id FROM ateneo.document d WHERE NOT EXISTS (
  SELECT FROM ateneo.original o WHERE o.empresa_id = d.empresa_id AND o.sha256 = d.content_hash)
UNION ALL SELECT 'useless original', o.empresa_id FROM ateneo.original o WHERE NOT EXISTS (
  SELECT FROM ateneo.document d WHERE d.empresa_id = o.empresa_id AND d.content_hash = o.sha256) AND NOT EXISTS (
  SELECT FROM ateneo.job j WHERE j.empresa_id = o.empresa_id AND j.sha256 = o.sha256 AND j.state = 'failed')
"""


BUSY = """SELECT EXISTS (SELECT FROM ateneo.job WHERE lease_until > now() + interval '1.5 s')
  OR NOT EXISTS (SELECT FROM ateneo.job WHERE ended_at IS NULL)"""
"""Whether a process that lives has something in hand, or all is done."""


class Died(Exception):
    """The process is no more."""


class Mortal(Database):
    """Connections of a process that dies before its next transaction when `left` are done, and stays dead."""

    left = 1_000_000

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        self.left -= 1
        if self.left < 0:
            raise Died
        async with super()._connection() as connection:
            yield connection


@pytest.mark.long
@pytest.mark.parametrize("who", ["worker", "request"])
async def test_a_process_that_dies_at_any_step(
    database: Database, database_url: str, embedding: EmbeddingService, who: str
) -> None:
    healthy = made(database, embedding)
    steps, died = 0, True
    while died:
        died = await _die(database_url, embedding, who, steps, f"# Paso\n\nEl paso {steps}.".encode())
        async with database.acquire() as connection:
            await connection.execute("UPDATE ateneo.job SET lease_until = now() - interval '1 s' WHERE leased_by <> ''")
        await drained(healthy, database)
        async with database.acquire() as connection:
            assert [tuple(row) for row in await connection.fetch(WRONG)] == [], steps
        steps += 1
    assert steps > 8
    documents = await healthy._ingestion.list_documents("acme")
    assert f"{steps - 1}.md" in {one.source for one in documents}


async def _die(url: str, embedding: EmbeddingService, who: str, steps: int, data: bytes) -> bool:
    """A job of the file `steps`.md, done by a process that dies after so many transactions; whether it did."""
    async with await Mortal.open(url, size=4) as mortal:
        jobs = made(mortal, embedding)
        if who == "worker":
            await jobs.submit(data, "acme", name=f"{steps}.md")
        mortal.left = steps
        with contextlib.suppress(Died):
            if who == "worker":
                await jobs.engine.run_once(mortal)
            else:
                await jobs.ingest(data, "acme", name=f"{steps}.md")
        died = mortal.left < 0
        mortal.left = -1
        await jobs.engine.close()
    return died


@pytest.mark.long
async def test_a_storm_of_kill_9(
    database: Database, database_url: str, embedding: EmbeddingService, provider: ProviderServer
) -> None:
    """Real processes, a worker and a server in turn; some files fail whoever reads them."""
    key = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url, "ATENEO_EMBEDDING_MODEL": "modelo-x"}
    settings = environment(database_url, ATENEO_LEASE_S="2", **key)
    dice = random.Random(7)
    jobs = made(database, embedding)
    for number in range(36):
        data = b"  " if number % 6 == 5 else f"{RULES}\n\nEl archivo {number}.".encode()
        await jobs.submit(data, f"empresa{number % 3}", name=f"{number}.md")
    for turn in range(9):
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = ["worker"] if turn % 2 == 0 else ["serve", "--port", port]
        process = subprocess.Popen(
            [ATENEO, *command], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        await _until(database, "SELECT count(*) = 0 FROM ateneo.job WHERE ended_at IS NULL" if turn == 8 else BUSY)
        await asyncio.sleep(dice.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with database.acquire() as connection:
        assert [tuple(row) for row in await connection.fetch(WRONG)] == []
        codes = await connection.fetch("SELECT error_code, count(*) FROM ateneo.job WHERE state = 'failed' GROUP BY 1")
    found = dict(map(tuple, codes))
    assert found.pop("document-empty") + found.pop("job-killed", 0) >= 6 and not found


async def _until(database: Database, true: str) -> None:
    async with asyncio.timeout(60):
        while True:
            async with database.acquire() as connection:
                if await connection.fetchval(true):
                    return
            await asyncio.sleep(0.05)
