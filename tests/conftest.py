"""A real PostgreSQL + pgvector for the tests: one embedded server a run, one clone of an upgraded database a test."""

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import tests.examples  # noqa: F401 - hypothesis' profiles
from tests.pgbouncer import transaction_pooler

from ateneo.db import embedded, migrate
from ateneo.db.pool import Database
from ateneo.providers.local import bundled_model_dir
from ateneo.providers.model_folder import Manifest, Model

VOLATILE = ("fsync = off", "full_page_writes = off", "max_wal_size = '128MB'")
"""Settings of a server whose data dies with the run, and whose write-ahead log may lie in memory."""
OLDER_SERVER = os.environ.get("ATENEO_TEST_OLDER_SERVER", "")
"""A Python that has an older PostgreSQL and pgvector (tests/db/old_server.py); empty for the embedded one."""
POOLED = bool(os.environ.get("ATENEO_TEST_POOLED", ""))
"""Whether every test's database is reached through a PgBouncer that shares its sessions."""
KEYS = ("VOYAGE_API_KEY", "COHERE_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY")
_numbers = itertools.count()

# A run in the background of a script ignores Ctrl-C, one under nohup SIGHUP; the commands that it starts would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Whoever ends the run politely (`timeout`, a CI) leaves no server behind: fixtures are torn down as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if POOLED and item.get_closest_marker("direct"):
            item.add_marker(pytest.mark.skip(reason="looks at sessions, which the pooler shares"))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's keys, database or .env."""
    for name in list(os.environ):
        if name.startswith(("ATENEO_", "OPENAI_", "ANTHROPIC_", "HF_")) or name == "DATABASE_URL" or name in KEYS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("ATENEO_SECRETS_FILE", str(tmp_path / "no.env"))


@pytest.fixture(scope="session", autouse=True)
def _one_bundled_model() -> Iterator[None]:
    """Whatever opens the bundled model shares one that is loaded: each costs 110 MB and 0.6 s of CPU."""
    bundled = bundled_model_dir()

    @cache
    def load_bundled() -> Model:
        return Model(bundled, Manifest.read(bundled), 1)

    def load_once(folder: Path, manifest: Manifest, threads: int) -> Model:
        return load_bundled() if folder == bundled else Model(folder, manifest, threads)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ateneo.providers.local.Model", load_once)
        yield


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """The embedded server's maintenance database. Durability is off: the data dies with the run."""
    with (
        tempfile.TemporaryDirectory(prefix="ateneo-pg-", dir=_in_memory(), ignore_cleanup_errors=True) as folder,
        _older(f"{folder}/data") if OLDER_SERVER else _embedded(f"embedded:{folder}/data") as url,
    ):
        asyncio.run(_execute(url, *(f"ALTER SYSTEM SET {one}" for one in VOLATILE), "SELECT pg_reload_conf()"))
        yield url


@contextmanager
def _embedded(address: str) -> Iterator[str]:
    yield embedded.start(address)
    embedded.stop(address)


@contextmanager
def _older(folder: str) -> Iterator[str]:
    command = [OLDER_SERVER, str(Path(__file__).parent / "db" / "old_server.py"), folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout and server.stdin
        yield server.stdout.readline().strip()
        server.stdin.close()


@pytest.fixture(scope="session")
def template(server_url: str) -> str:
    """The name of an upgraded database without rows, to clone."""
    name = "ateneo_template"

    async def build() -> None:
        await _execute(server_url, f"CREATE DATABASE {name}")
        async with await Database.open(_named(server_url, name), size=1) as db:
            await migrate.upgrade(db)

    asyncio.run(build())
    return name


@pytest.fixture(scope="session")
def reached_at(server_url: str) -> Iterator[str]:
    """The server's address for the tests: its own, or that of a pooler before it."""
    if not POOLED:
        yield server_url
        return
    with (
        tempfile.TemporaryDirectory(prefix="ateneo-pooler-") as folder,
        transaction_pooler(server_url, Path(folder), sessions=20) as url,
    ):
        yield url


@pytest.fixture
async def database_url(server_url: str, template: str, reached_at: str) -> AsyncIterator[str]:
    """A database of the test's own, upgraded and empty."""
    async for url in _database(server_url, f"TEMPLATE {template} STRATEGY FILE_COPY"):
        yield _named(reached_at, urlsplit(url).path.removeprefix("/"))


@pytest.fixture
async def bare_url(server_url: str) -> AsyncIterator[str]:
    """A database of the test's own with nothing in it, not even the extension."""
    async for url in _database(server_url, ""):
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url, size=4) as db:
        yield db


def _in_memory() -> str | None:
    """A folder in memory with room for the servers of four processes, if there is one: a clone there takes a tenth of
    the time that it takes on a disk."""
    shared = Path("/dev/shm")
    there = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 3 * 2**30
    return str(shared) if there else None


async def _database(server_url: str, how: str) -> AsyncIterator[str]:
    name = f"t{os.getpid()}_{next(_numbers)}"
    await _execute(server_url, f"CREATE DATABASE {name} {how}")
    yield _named(server_url, name)
    await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _named(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
