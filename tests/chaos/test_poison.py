"""A text that crashes the worker's process (out of memory, a fault in a library): found out and parked, while its
neighbours are embedded."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
from tests.chaos.test_chaos import drained
from tests.providers.server import ProviderServer

from ateneo.db import dead_letters, generations
from ateneo.db.pool import Database
from ateneo.embedding.queue import MOST_DEATHS
from ateneo.factories.embedders import OPENAI_MODEL

SOUND, BATCH, CONCURRENCY = 300, 100, 4
DIED = 137
# The worker's own code; only the provider's client gives up the ghost, where a native library would.
POISON = """
import os
from ateneo.providers.openai import OpenAIEmbedder
embed = OpenAIEmbedder.embed
async def kills(self, texts, kind):
    if any({what!r} in text for text in texts):
        os._exit(137)
    return await embed(self, texts, kind)
OpenAIEmbedder.embed = kills
from ateneo.cli.main import main
main()
"""


def _start(url: str, server: ProviderServer, what: str) -> "subprocess.Popen[bytes]":
    """A worker, as systemd would start it again and again."""
    environment = {**os.environ, "DATABASE_URL": url, "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url}
    environment |= {"ATENEO_EMBEDDING_DIMENSIONS": "8", "ATENEO_LEASE_S": "0.6"}
    return subprocess.Popen([sys.executable, "-c", POISON.format(what=what), "worker", "--batch-size", str(BATCH)],
                            env=environment, stdout=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.long
async def test_a_text_that_kills_is_parked_and_its_neighbours_are_embedded(
    database: Database, database_url: str
) -> None:
    poison_texts = [(f"poison{n}", "acme", "Un texto que MATA al proceso") for n in range(3)]
    sound = [(f"c{n:03}", "acme" if n % 3 else "globex", f"Pasaje sano número {n}") for n in range(SOUND)]
    await generations.create(database, "openai", OPENAI_MODEL, 8)
    async with database.acquire() as connection:
        insert = "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)"
        await connection.executemany(insert, sound + poison_texts)
    with ProviderServer(dims=8) as server:
        deaths = 0
        worker = _start(database_url, server, "MATA")
        done = asyncio.create_task(drained(database_url))
        while not done.done():
            await asyncio.wait([done], timeout=0.1)
            if worker.poll() == DIED:
                deaths += 1
                worker = _start(database_url, server, "MATA")
        await done
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=30) == 0
        again = sum(count - 1 for text, count in Counter(server.answered).items() if text != "prueba")
    assert deaths == MOST_DEATHS
    dead = await dead_letters.listing(database, None, "dead", 10)
    assert sorted(letter.chunk_id for letter in dead) == [one for one, *_ in poison_texts]
    assert all(f"{MOST_DEATHS} procesos murieron" in (letter.error or "") for letter in dead)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1") == SOUND
        assert await connection.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == len(poison_texts)
    assert again <= CONCURRENCY * BATCH, "paid twice: the batches in hand at the first death"
