"""Companies that end in every phase of `ateneo embeddings switch`, while a worker with the least rights is at work."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tests.cli.run import ATENEO, ateneo
from tests.providers.server import ProviderServer, words_vector

from ateneo.db import empresas
from ateneo.db.pool import Database
from ateneo.errors import NotUpgraded

VICTIMS = ("plan", "llenado", "final", "despues")
EACH = 60
LOGIN = "worker_del_cambio"


@contextmanager
def slow(server: ProviderServer) -> Iterator[None]:
    """A provider that lets a request through now and then."""
    ended = threading.Event()

    def let_through() -> None:
        while not ended.wait(0.1):
            server.gate.set()
            server.gate.clear()
        server.gate.set()

    server.gate.clear()
    thread = threading.Thread(target=let_through)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def test_none_of_them_comes_back(database: Database, database_url: str) -> None:
    async with database.acquire() as connection:
        await connection.executemany(
            "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)",
            [
                (f"{one}-{n}", one, f"Texto {n} sobre la caldera de {one}, pieza {n * 7}")
                for one in ("queda", *VICTIMS)
                for n in range(EACH)
            ],
        )
        await connection.execute(f"CREATE ROLE {LOGIN} LOGIN; GRANT ateneo_worker TO {LOGIN}")
    try:
        with ProviderServer(dims=16, vector_of=words_vector) as server:
            settings = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url, "ATENEO_EMBEDDING_MODEL": "viejo"}
            filled = await asyncio.to_thread(ateneo, "backfill", "--yes", url=database_url, **settings)
            assert filled.returncode == 0, filled.stderr
            await _race(database, database_url, server, settings)
        await _checked(database)
    finally:
        async with database.acquire() as connection:
            await connection.execute(f"DROP OWNED BY {LOGIN}; DROP ROLE {LOGIN}")


async def _race(database: Database, url: str, server: ProviderServer, settings: dict[str, str]) -> None:
    async def count(statement: str) -> int:
        try:
            async with database.acquire() as connection:
                return int(await connection.fetchval(statement))
        except NotUpgraded:  # there is no such table yet
            return 0

    async def planned() -> bool:
        return bool(server.requests[-1]["model"] == "nuevo")

    async def filling() -> bool:
        return await count("SELECT count(*) FROM ateneo.vec_g2") > 0

    async def active() -> bool:
        return await count("SELECT count(*) FROM ateneo.generation WHERE active AND generation = 2") > 0

    async def ended() -> bool:
        return switch.poll() is not None

    async def drained() -> bool:
        return await count("SELECT count(*) FROM ateneo.embedding_queue WHERE state = 'pending'") == 0

    worker_url = url.replace("postgres:@", f"{LOGIN}:@")
    switching = ["embeddings", "switch", "--model", "nuevo", "--yes", "--sample", "20", "--force"]
    with (
        slow(server),
        _running(["worker"], worker_url, settings) as worker,
        _running(switching, url, settings) as switch,
    ):
        for victim, begun in zip(VICTIMS, (planned, filling, active, ended), strict=True):
            await _until(begun)
            erased = await asyncio.to_thread(ateneo, "empresas", "delete", victim, "--yes", url=url)
            assert erased.returncode == 0, erased.stdout + erased.stderr
        _, said = switch.communicate(timeout=60)
        if switch.returncode == 3:  # rows that an erasure held: it says so, and goes on when it is run again
            again = await asyncio.to_thread(ateneo, "embeddings", "switch", "--yes", url=url, **settings)
            assert again.returncode == 0, again.stderr
        else:
            assert switch.returncode == 0, said
        for number in range(3):
            await _write(database, f"nuevo-{number}")
        await _until(drained)
        assert worker.poll() is None


async def _write(database: Database, chunk_id: str) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'queda', $2)",
            chunk_id,
            f"Un texto de después del cambio: {chunk_id}",
        )


async def _checked(database: Database) -> None:
    for victim in VICTIMS:
        assert (await empresas.remaining(database, victim)).keys() <= {"ateneo.audit"}, victim
    async with database.acquire() as connection:
        for generation in (1, 2):
            kept = await connection.fetch(f"SELECT DISTINCT empresa_id FROM ateneo.vec_g{generation}")
            assert [row["empresa_id"] for row in kept] == ["queda"]
            count = await connection.fetchval(f"SELECT count(*) FROM ateneo.vec_g{generation}")
            assert count == EACH + 3


@contextmanager
def _running(arguments: list[str], url: str, settings: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATENEO_", "OPENAI_", "DATABASE_"))}
    own = {"DATABASE_URL": url, "ATENEO_SECRETS_FILE": "/nonexistent", "ATENEO_EMBEDDING_CONCURRENCY": "1"}
    process = subprocess.Popen(
        [ATENEO, *arguments],
        env=clean | own | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)
