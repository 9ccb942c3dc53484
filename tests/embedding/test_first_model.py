"""The model of a database without vectors is the settings', whenever they came; vectors that other programs left are
lost to no model."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.cli.run import ateneo
from tests.providers.server import ProviderServer, vector_for

from ateneo.container import Container
from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill
from ateneo.embedding.generation import own_generation
from ateneo.embedding.worker import Worker
from ateneo.errors import ForeignVectors
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_embedding_service, make_models
from ateneo.operations.upgrade import upgrade_database
from ateneo.providers.local import bundled_model_dirs
from ateneo.settings import Settings, load

DOCUMENT = "# Reclamos\n\nEl reclamo de la zona norte se atiende en dos días hábiles.\n".encode()
TEXTS = [f"Pasaje número {n} escrito por el programa de antes" for n in range(6)]


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(dims=12) as one:
        yield one


@pytest.fixture
def local(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ATENEO_THREADS", "1")
    return load()


@pytest.fixture
def openai(local: Settings, server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in reach(server).items():
        monkeypatch.setenv(name, value)
    return load()


def reach(server: ProviderServer) -> dict[str, str]:
    return {"OPENAI_API_KEY": "sk-abcdefgh", "OPENAI_BASE_URL": server.url, "ATENEO_EMBEDDING_MODEL": "mi-modelo"}


async def upgrade(settings: Settings) -> None:
    async with await open_database(settings) as db, make_embedding_service(settings) as embedding:
        await upgrade_database(db, embedding, lambda *_: None)


async def active(db: Database) -> str | None:
    found = await generations.active(db)
    return found.label if found else None


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Container]:
    async with await Container.open(settings) as container:
        yield container


async def insert(db: Database, vectors: int, dims: int = 12) -> None:
    async with db.acquire() as connection:
        for n, text in enumerate(TEXTS):
            vector = str(vector_for(text, dims).tolist()) if n < vectors else None
            await connection.execute(
                "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding) VALUES ($1, 'acme', $2,"
                " $3::text::vector)",
                f"c{n}",
                text,
                vector,
            )


async def column(db: Database) -> dict[str, Any]:
    async with db.acquire() as connection:
        rows = await connection.fetch("SELECT id, embedding::text AS v FROM knowledge_chunks ORDER BY id")
    return {row["id"]: row["v"] for row in rows}


async def test_a_key_that_comes_after_the_upgrade_is_used_by_whoever_writes(
    local: Settings, openai: Settings, database: Database, server: ProviderServer
) -> None:
    await upgrade(local)
    assert await active(database) == "local/ateneo-e5-es-v3 (384)"
    async with opened(openai) as container:
        assert (await container.search.search("acme", "reclamo")).hits == ()
        stored = await container.ingestion.process_document(DOCUMENT, "acme", name="r.md")
        assert stored.chunks == 1 and server.answered
        assert await active(database) == "openai/mi-modelo (12)"
        [hit] = (await container.search.search("acme", "reclamo", mode="dense")).hits
        assert hit.dense_score is not None
    async with opened(local) as container:  # it is not open any more: whoever has other settings follows
        with pytest.raises(Exception, match="mi-modelo"):
            await container.ingestion.process_document(b"# Otro\n\nUn texto mas.", "acme", name="o.md")
    assert await active(database) == "openai/mi-modelo (12)"


@pytest.mark.parametrize("by", ["worker", "backfill"])
async def test_the_worker_and_the_backfill_take_it_too(
    local: Settings, openai: Settings, database: Database, server: ProviderServer, by: str
) -> None:
    await upgrade(local)
    await insert(database, 0)
    async with make_models(openai) as models:
        if by == "worker":
            await Worker(database, models, concurrency=1).run(once=True)
        else:
            work = Backfill(database, await models.present(database), concurrency=1)
            assert (await work.plan()).chunks == len(TEXTS)
            await work.run()
    assert await active(database) == "openai/mi-modelo (12)"
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ateneo.embedding_queue") == 0
    assert sorted(set(server.answered) - {"dimensiones"}) == TEXTS


async def test_without_the_key_it_was_upgraded_with_an_empty_database_serves(
    local: Settings, openai: Settings, database: Database
) -> None:
    async with make_embedding_service(openai) as embedding:
        await own_generation(database, embedding)
    async with opened(local) as container:
        assert (await container.search.search("acme", "reclamo")).hits == ()
        await container.ingestion.process_document(DOCUMENT, "acme", name="r.md")
        assert (await container.search.search("acme", "reclamo")).hits
    assert await active(database) == "local/ateneo-e5-es-v3 (384)"


@pytest.mark.parametrize("upgraded_before", [False, True])
async def test_vectors_of_another_length_are_kept_until_their_model_comes(
    local: Settings, openai: Settings, database: Database, server: ProviderServer, upgraded_before: bool
) -> None:
    if upgraded_before:
        await upgrade(local)
    await insert(database, 4)
    before = await column(database)
    await upgrade(local)
    async with opened(local) as container:
        found = await container.search.search("acme", "pasaje número 2")
        assert found.hits and found.mode == "lexical"
        assert any("12 dimensiones" in warning and "OPENAI_API_KEY" in warning for warning in found.warnings)
        with pytest.raises(ForeignVectors):
            await container.ingestion.process_document(DOCUMENT, "acme", name="r.md")
    async with make_models(local) as models:
        with pytest.raises(ForeignVectors):
            await Worker(database, models).run(once=True)
        with pytest.raises(ForeignVectors):
            await Backfill(database, models.main).run()
        with pytest.raises(ForeignVectors):
            await Backfill(database, models.main).plan()
    assert await column(database) == before
    assert await active(database) is None

    async with opened(openai) as container:
        [hit, *_] = (await container.search.search("acme", TEXTS[2], mode="dense")).hits
        assert hit.contenido == TEXTS[2]
        assert hit.dense_score == pytest.approx(1, abs=1e-3)
        await Backfill(database, container.embedding).run()
    after = await column(database)
    assert {key: after[key] for key in list(after)[:4]} == {key: before[key] for key in list(before)[:4]}
    asked = [TEXTS[2], *TEXTS[4:]]  # the question, and what had no vector: the others were paid already
    assert sorted(set(server.answered) - {"dimensiones"}) == asked and server.answered.count(TEXTS[2]) == 1
    assert all(after.values())


async def test_the_commands_say_where_settings_and_database_differ(
    local: Settings, openai: Settings, database: Database, database_url: str, server: ProviderServer
) -> None:
    await upgrade(local)
    async with opened(local) as container:
        await container.ingestion.process_document(DOCUMENT, "acme", name="r.md")
    remedy = "ateneo embeddings switch --provider openai --model mi-modelo"
    for command in (["doctor"], ["status"], ["db", "upgrade"]):
        run = ateneo(*command, url=database_url, **reach(server))
        shown = " ".join((run.stdout + run.stderr).split())
        assert run.returncode == 0 and remedy in shown and "e5-es-v3" in shown, shown
    told = json.loads(ateneo("status", "--json", url=database_url, **reach(server)).stdout)
    assert remedy in told["model_difference"]["remedy"]
    assert json.loads(ateneo("status", "--json", url=database_url).stdout)["model_difference"] is None
    assert "switch" not in ateneo("doctor", url=database_url).stdout


async def test_doctor_and_search_tell_of_vectors_without_their_model(
    local: Settings, database: Database, database_url: str
) -> None:
    await insert(database, 4, dims=1536)
    for command in (["db", "upgrade"], ["status"], ["doctor"], ["search", "-e", "acme", "pasaje"]):
        run = ateneo(*command, url=database_url)
        shown = " ".join((run.stdout + run.stderr).split())
        assert run.returncode == 0 and "1536 dimensiones" in shown and "OPENAI_API_KEY" in shown, shown


async def test_a_database_of_the_former_bundled_model_goes_on_and_changes_by_the_command_that_doctor_shows(
    local: Settings, database: Database, database_url: str
) -> None:
    former = local.model_copy(update={"model_dir": bundled_model_dirs()[1]})
    await upgrade(former)
    async with opened(former) as container:
        await container.ingestion.process_document(DOCUMENT, "acme", name="r.md")
    await upgrade(local)
    async with opened(local) as container:
        await container.ingestion.process_document("# Envíos\n\nSalen a diario.\n".encode(), "acme", name="e.md")
        found = await container.search.search("acme", "¿cada cuánto despachan?", mode="dense")
        assert len(found.hits) == 2 and found.warnings == ()
    assert await active(database) == "local/ateneo-minilm-es-v2 (384)"
    remedy = "ateneo embeddings switch --provider local --model ateneo-e5-es-v3"
    assert remedy in " ".join(ateneo("doctor", url=database_url).stdout.split())
    run = ateneo(*remedy.split()[1:], "--yes", url=database_url)
    assert run.returncode == 0, run.stderr
    assert await active(database) == "local/ateneo-e5-es-v3 (384)"
    async with opened(local) as container:
        assert (await container.search.search("acme", "¿cada cuánto despachan?")).hits[0].source == "e.md"
    assert "switch" not in ateneo("doctor", url=database_url).stdout
