"""`ateneo doctor` on settings that do not do what they say: it is not green."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.cli.run import ateneo

from ateneo.cli.doctor import examine
from ateneo.cli.finding import Finding
from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.settings import unknown_variables


def findings(monkeypatch: pytest.MonkeyPatch, url: str, **environment: str) -> list[Finding]:
    for name, value in {"DATABASE_URL": url, "ATENEO_THREADS": "1", **environment}.items():
        monkeypatch.setenv(name, value)

    async def found() -> list[Finding]:
        return [one async for one in examine()]

    return asyncio.run(found())


CHATS: list[tuple[dict[str, str], bool | None, str]] = [
    ({}, None, "extractivas"),
    ({"ATENEO_CHAT_PROVIDER": "extractive", "ANTHROPIC_API_KEY": "k"}, None, "extractivas"),
    ({"ANTHROPIC_API_KEY": "k"}, True, "anthropic/"),
    ({"ATENEO_CHAT_PROVIDER": "anthropic"}, False, "ANTHROPIC_API_KEY"),
    ({"ATENEO_CHAT_PROVIDER": "openai"}, False, "ATENEO_CHAT_MODEL"),
    ({"ATENEO_CHAT_PROVIDER": "openai", "ATENEO_CHAT_MODEL": "m"}, False, "ATENEO_CHAT_API_KEY"),
    ({"ATENEO_CHAT_PROVIDER": "openai", "ATENEO_CHAT_MODEL": "m", "ATENEO_CHAT_API_KEY": "k"}, True, "openai/m"),
    (
        {"ATENEO_CHAT_PROVIDER": "openai", "ATENEO_CHAT_MODEL": "m", "ATENEO_CHAT_BASE_URL": "http://127.0.0.1:1/v1"},
        True,
        "openai/m",
    ),
]


@pytest.mark.parametrize(("environment", "ok", "words"), CHATS)
def test_who_answers(
    monkeypatch: pytest.MonkeyPatch, database_url: str, environment: dict[str, str], ok: Any, words: str
) -> None:
    [found] = [one for one in findings(monkeypatch, database_url, **environment) if one.what.startswith("Respuestas: ")]
    assert found.ok is ok
    assert words in found.what
    assert found.remedy or ok


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"ATENEO_RERANKER": "cohere"}, "ATENEO_RERANKER_API_KEY"),
        ({"ATENEO_RERANKER": "onnx"}, "ATENEO_RERANKER_DIR"),
        ({"ATENEO_JWT_JWKS": "https://login.example/jwks"}, "ATENEO_JWT_"),
    ],
)
def test_half_a_setting(
    monkeypatch: pytest.MonkeyPatch, database_url: str, environment: dict[str, str], name: str
) -> None:
    broken = [one for one in findings(monkeypatch, database_url, **environment) if one.ok is False]
    assert [name in one.what for one in broken] == [True]


def test_a_provider_without_its_key_fails_the_command(database_url: str) -> None:
    run = ateneo("doctor", url=database_url, ATENEO_CHAT_PROVIDER="anthropic")
    assert run.returncode == 1
    assert "ANTHROPIC_API_KEY" in run.stdout
    run = ateneo("doctor", url=database_url, ATENEO_CHAT_PROVDER="anthropic")
    assert run.returncode == 0
    assert "ATENEO_CHAT_PROVDER" in run.stdout
    assert "ATENEO_CHAT_PROVIDER" in run.stdout
    assert "Todo en orden" not in run.stdout


def test_a_name_that_nobody_reads_is_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "my.env"
    file.write_text("ATENEO_LANGUAGE=en\nATENEO_POOL_SIZE=3\nOTHER=1\nexport ATENEO_XYZZY_PLUGH='a b'\n")
    monkeypatch.setenv("ATENEO_EMBEDING_MODEL", "m")
    monkeypatch.setenv("ATENEO_SECRETS_FILE", str(file))
    assert unknown_variables() == {
        "ATENEO_EMBEDING_MODEL": "ATENEO_EMBEDDING_MODEL",
        "ATENEO_LANGUAGE": "ATENEO_LANG",
        "ATENEO_XYZZY_PLUGH": None,
    }
    monkeypatch.delenv("ATENEO_EMBEDING_MODEL")
    monkeypatch.setenv("ATENEO_SECRETS_FILE", os.devnull)
    assert unknown_variables() == {}


def test_a_switch_half_done(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """As it stands where the process that did it is gone."""

    async def begin() -> int:
        async with await Database.open(database_url, size=2) as db:
            await generations.create(db, "local", "ateneo-minilm-es-v2", 384)
            return (await generations.create(db, "openai", "otro-modelo", 8)).number

    number = asyncio.run(begin())
    [found] = [one for one in findings(monkeypatch, database_url) if "sin terminar" in one.what]
    assert "otro-modelo" in found.what
    assert found.ok is None
    assert f"ateneo embeddings prune --generation {number}" in found.remedy
    pruned = ateneo("embeddings", "prune", "--generation", str(number), "--yes", url=database_url)
    assert pruned.returncode == 0, pruned.stderr
    assert not [one for one in findings(monkeypatch, database_url) if "sin terminar" in one.what]


async def test_the_company_whose_words_the_index_lacks_is_named(database: Database, database_url: str) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) SELECT e || n, e, 'La caldera ' || n"
            " FROM unnest('{acme,otra}'::text[]) e, generate_series(1, 3) n;"
            "DELETE FROM ateneo.chunk_lex WHERE empresa_id = 'otra'"
        )
    told = await asyncio.to_thread(ateneo, "doctor", url=database_url)
    assert (told.returncode, "otra 0/3." in " ".join(told.stdout.split())) == (1, True), told.stdout
    assert "acme" not in told.stdout
