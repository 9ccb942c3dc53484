"""`import ateneo`: the client with and without `await`, and what the package names."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

import ateneo
from ateneo import Ateneo, AteneoError, AteneoSync, SearchOptions, errors, events

QUESTION = "¿cuántos días dan por mudanza?"
TEXT = "# Licencias\n\nPor mudanza se otorgan dos días corridos de licencia, con aviso previo de una semana.\n".encode()


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Ateneo]:
    async with Ateneo.open(database_url=database_url, threads=1) as opened:
        yield opened


@pytest.fixture
def blocking(database_url: str) -> Iterator[AteneoSync]:
    with AteneoSync.open(database_url=database_url, threads=1) as opened:
        yield opened


# --- with await ---------------------------------------------------------------------------------------------------


async def test_a_document_is_read_found_quoted_and_deleted(client: Ateneo) -> None:
    stored = await client.ingest("acme", TEXT, name="licencias.md", external_id="licencias", metadata={"area": "rrhh"})
    assert (stored.external_id, stored.chunks) == ("licencias", 1)
    [hit] = (await client.search("acme", QUESTION, 3, filter={"area": "rrhh"})).hits
    assert hit.document_id == stored.document_id
    assert not (await client.search("acme", QUESTION, options=SearchOptions(filter={"area": "ventas"}))).hits
    answer = await client.ask("acme", QUESTION)
    assert "dos días corridos" in answer.text
    assert [citation.document_id for citation in answer.citations] == [stored.document_id]
    assert [one.document_id for one in await client.documents("acme")] == [stored.document_id]
    await client.delete_document("acme", stored.document_id)
    assert await client.documents("acme") == []


async def test_a_company_sees_nothing_of_another(client: Ateneo) -> None:
    await client.ingest("acme", TEXT, name="licencias.md")
    assert not (await client.search("otra", QUESTION)).hits
    assert (await client.ask("otra", QUESTION)).state == "unknown"
    assert await client.documents("otra") == []


async def test_pages_of_documents(client: Ateneo) -> None:
    for name in ("a.md", "b.md", "c.md"):
        await client.ingest("acme", TEXT, name=name)
    first = await client.documents("acme", limit=2)
    rest = await client.documents("acme", limit=2, after=first[-1])
    assert [one.source for one in (*first, *rest)] == ["a.md", "b.md", "c.md"]


async def test_an_answer_while_it_is_written(client: Ateneo) -> None:
    await client.ingest("acme", TEXT, name="licencias.md")
    seen = [event async for event in client.stream("acme", QUESTION)]
    assert isinstance(seen[0], events.Searching)
    assert isinstance(seen[-1], events.Done)
    text = "".join(event.text for event in seen if isinstance(event, events.TextDelta))
    assert text.strip() == seen[-1].answer.text


async def test_a_conversation_goes_on(client: Ateneo) -> None:
    await client.ingest("acme", TEXT, name="licencias.md")
    first = await client.ask("acme", QUESTION, store=True)
    second = await client.ask("acme", "¿y con qué aviso?", conversation_id=first.conversation_id)
    assert (first.position, second.position) == (0, 1)


async def test_many_tasks_share_one_client(client: Ateneo) -> None:
    await client.ingest("acme", TEXT, name="licencias.md")
    found = await asyncio.gather(*(client.search("acme", QUESTION) for _ in range(30)))
    assert all(one.hits for one in found)


async def test_it_gives_its_connections_back(database_url: str) -> None:
    async with Ateneo.open(database_url=database_url, pool_size=3) as client:
        await client.search("acme", QUESTION)
        assert await _connections(database_url) > 0
    assert await _connections(database_url) == 0


async def test_also_after_an_error_of_the_caller(database_url: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Ateneo.open(database_url=database_url) as client:
            await client.search("acme", QUESTION)
            raise ZeroDivisionError
    assert await _connections(database_url) == 0


async def _connections(url: str) -> int:
    """Other programs' in this database; a server takes a moment to see that a client has left."""
    connection = await asyncpg.connect(url)
    count = 0
    for _ in range(100):
        count = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        if not count:
            break
        await asyncio.sleep(0.05)
    await connection.close()
    return count


# --- without ------------------------------------------------------------------------------------------------------


def test_the_same_without_await(blocking: AteneoSync, tmp_path: Path) -> None:
    (tmp_path / "licencias.md").write_bytes(TEXT)
    stored = blocking.ingest("acme", tmp_path / "licencias.md")
    options = SearchOptions(1, "lexical", highlight=True)
    [hit] = blocking.search("acme", "mudanza", options=options).hits
    assert (hit.document_id, bool(hit.highlights)) == (stored.document_id, True)
    assert blocking.ask("acme", QUESTION, agent_id="rrhh").citations
    blocking.delete_document("acme", stored.document_id)
    assert blocking.documents("acme") == []


def test_a_stream_without_await(blocking: AteneoSync) -> None:
    blocking.ingest("acme", TEXT, name="licencias.md")
    parts = list(blocking.stream("acme", QUESTION))
    assert isinstance(parts[-1], events.Done)
    assert parts[-1].answer.text == blocking.ask("acme", QUESTION).text
    assert len(parts) > 1


def test_a_stream_that_is_left_ends(blocking: AteneoSync) -> None:
    blocking.ingest("acme", TEXT, name="licencias.md")
    for _ in range(20):  # more than the pool has connections
        next(iter(blocking.stream("acme", QUESTION)))
    assert blocking.search("acme", QUESTION).hits


def test_what_a_stream_raises_reaches_its_reader(blocking: AteneoSync) -> None:
    with pytest.raises(errors.EmptyQuery):
        next(iter(blocking.stream("acme", " ")))


def test_many_threads_share_one_client(blocking: AteneoSync) -> None:
    blocking.ingest("acme", TEXT, name="licencias.md")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: blocking.search("acme", QUESTION), range(30)))
    assert all(one.hits for one in found)


async def test_inside_a_running_loop(database_url: str) -> None:
    """As in a notebook: it works, on its own loop."""
    with AteneoSync.open(database_url=database_url, threads=1) as client:
        client.ingest("acme", TEXT, name="licencias.md")
        assert client.search("acme", QUESTION).hits
    assert asyncio.get_running_loop().is_running()


async def test_its_thread_and_connections_end_with_it(database_url: str) -> None:
    with AteneoSync.open(database_url=database_url) as client:
        client.search("acme", QUESTION)
        assert "ateneo" in [thread.name for thread in threading.enumerate()]
    assert "ateneo" not in [thread.name for thread in threading.enumerate()]
    assert await _connections(database_url) == 0
    with pytest.raises(RuntimeError, match="not running"):
        client.search("acme", QUESTION)


def test_the_twin_has_every_method_with_its_text() -> None:
    methods = {name for name in vars(Ateneo) if not name.startswith("_")}
    assert methods <= set(vars(AteneoSync))
    assert AteneoSync.search.__doc__ == Ateneo.search.__doc__


# --- errors and settings ------------------------------------------------------------------------------------------


async def test_errors_are_those_of_the_tree_in_the_settings_language(database_url: str) -> None:
    async with Ateneo.open(database_url=database_url, lang="en") as client:
        with pytest.raises(errors.EmptyQuery) as raised:
            await client.search("acme", " ")
        assert isinstance(raised.value, AteneoError)
        assert "question" in str(raised.value).lower()


@pytest.mark.parametrize(("lang", "words"), [("en", "it goes from"), ("es", "va de")])
def test_also_without_await(database_url: str, lang: str, words: str) -> None:
    with AteneoSync.open(database_url=database_url, lang=lang) as client:
        with pytest.raises(errors.BadArgument, match=words):
            client.search("acme", QUESTION, k=0)
        with pytest.raises(errors.UnknownDocument):
            client.delete_document("acme", "none")


def test_an_opening_that_fails_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.DatabaseUrlMissing), AteneoSync.open():
        pass
    with pytest.raises(errors.DatabaseUnavailable), AteneoSync.open(database_url="postgresql://127.0.0.1:1/nada"):
        pass
    assert "ateneo" not in [thread.name for thread in threading.enumerate()]


async def test_a_database_that_was_never_upgraded(bare_url: str) -> None:
    async with Ateneo.open(database_url=bare_url) as client:
        with pytest.raises(errors.NotUpgraded, match="ateneo db upgrade"):
            await client.search("acme", QUESTION, mode="lexical")
        with pytest.raises(errors.NotUpgraded):
            await client.documents("acme")


def test_the_environment_and_a_file_say_what_is_not_given(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nada")
    secrets = tmp_path / "my.env"
    secrets.write_text("ATENEO_MAX_QUERY_CHARS=5\nATENEO_THREADS=1\n")
    opening = AteneoSync.open(secrets_file=secrets, database_url=database_url)
    with opening as client, pytest.raises(errors.QueryTooLong):
        client.search("acme", QUESTION)


async def test_a_setting_that_does_not_exist_or_makes_no_sense() -> None:
    with pytest.raises(errors.SettingsError, match=r"databaseurl: .*database_url"):
        async with Ateneo.open(databaseurl="x"):
            pass
    with pytest.raises(errors.SettingsError, match="ATENEO_POOL_SIZE"):
        async with Ateneo.open(database_url="embedded", pool_size=0):
            pass


# --- the package --------------------------------------------------------------------------------------------------


def test_every_public_name_is_there() -> None:
    assert sorted(ateneo.__all__) == list(ateneo.__all__)
    for name in ateneo.__all__:
        assert getattr(ateneo, name) is not None
    assert set(dir(ateneo)) == set(ateneo.__all__)
    with pytest.raises(AttributeError, match="Atheneum"):
        _ = ateneo.Atheneum  # type: ignore[attr-defined]


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys, typing; before = set(sys.modules); import ateneo; loaded = set(sys.modules) - before;"
        " print(*loaded); ateneo.SearchOptions; print('numpy' in sys.modules, 'fastapi' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[0] == "ateneo"
    assert run.stdout.splitlines()[1].endswith("False")
