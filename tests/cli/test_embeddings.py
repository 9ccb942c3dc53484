"""`ateneo embeddings`, as a process: the plan, a switch that is killed and goes on, the way back, the end."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ATENEO, ateneo
from tests.embedding.test_switch import text_of
from tests.providers.server import Fault, ProviderServer, vector_for, words_vector

COUNT = 70


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(dims=16, vector_of=words_vector) as one:
        yield one


@pytest.fixture
async def stocked(database_url: str, server: ProviderServer) -> dict[str, str]:
    """A database with an old model's vectors, and the settings that it was made with."""
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)",
        [(f"c{n:03}", text_of(n)) for n in range(COUNT)],
    )
    await connection.close()
    old = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url, "ATENEO_EMBEDDING_MODEL": "viejo"}
    run = ateneo("backfill", "--yes", url=database_url, **old)
    assert run.returncode == 0, run.stderr
    return old


def _status(url: str, settings: dict[str, str]) -> list[tuple[int, str, int]]:
    run = ateneo("embeddings", "status", "--json", url=url, **settings)
    assert run.returncode == 0, run.stderr
    return [(one["number"], one["state"], one["missing"]) for one in json.loads(run.stdout)]


def test_there_and_back(database_url: str, stocked: dict[str, str], server: ProviderServer, tmp_path: Path) -> None:
    plan = ateneo("embeddings", "switch", "--model", "nuevo", "--dry-run", url=database_url, **stocked)
    assert plan.returncode == 0, plan.stderr
    assert f"{COUNT} por embeber, de {COUNT}" in plan.stdout
    assert _status(database_url, stocked) == [(1, "active", 0)], "a plan changes nothing"

    questions = tmp_path / "preguntas.jsonl"
    rows = [{"question": text_of(n)[3:40], "empresa_id": "acme", "passage": text_of(n)} for n in range(8)]
    rows.append({"question": "¿y esto quién lo sabe?", "empresa_id": "acme"})
    questions.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    done = ateneo(
        "embeddings", "switch", "--model", "nuevo", "--yes", "--questions", str(questions), url=database_url, **stocked
    )
    assert done.returncode == 0, done.stderr
    assert "9 preguntas" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert _status(database_url, stocked) == [(1, "previous", 0), (2, "active", 0)]
    assert server.requests[-1]["model"] == "nuevo"

    compared = ateneo("embeddings", "compare", "--sample", "5", "--json", url=database_url, **stocked)
    assert [(one["mode"], one["questions"], one["judged"]) for one in json.loads(compared.stdout)] == [
        ("hybrid", 5, 5),
        ("dense", 5, 5),
    ]
    back = ateneo("embeddings", "rollback", "--yes", url=database_url, **stocked)
    assert back.returncode == 0, back.stderr
    pruned = ateneo("embeddings", "prune", "--yes", url=database_url, **stocked)
    assert pruned.returncode == 0, pruned.stderr
    assert _status(database_url, stocked) == [(1, "active", 0)]
    nothing = ateneo("embeddings", "switch", url=database_url, **stocked)
    assert nothing.returncode == 1
    assert "--provider openai --model" in nothing.stderr


def test_a_switch_that_is_stopped_goes_on(database_url: str, stocked: dict[str, str], server: ProviderServer) -> None:
    """Ctrl-C while a request hangs, after the two of the plan's trial and one of the first batch."""
    server.script(Fault.OK, Fault.OK, Fault.OK, Fault.HANG)
    calls = server.calls
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATENEO_", "OPENAI_", "DATABASE_"))}
    own = {"DATABASE_URL": database_url, "ATENEO_SECRETS_FILE": "/nonexistent", "ATENEO_EMBEDDING_CONCURRENCY": "1"}
    command = [ATENEO, "embeddings", "switch", "--model", "nuevo", "--yes"]
    with subprocess.Popen(command, env=clean | own | stocked, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while server.calls < calls + 4 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ateneo embeddings switch" in said
    assert _status(database_url, stocked) == [(1, "active", 0), (2, "filling", COUNT)]
    done = ateneo("embeddings", "switch", "--yes", url=database_url, **stocked)
    assert done.returncode == 0, done.stderr
    assert _status(database_url, stocked) == [(1, "previous", 0), (2, "active", 0)]
    batches = [body["input"] for body in server.requests if body["model"] == "nuevo" and len(body["input"]) > 5]
    # beside the passages: a trial of 32 in each of two plans, and the batch that was in hand
    assert COUNT <= sum(map(len, batches)) <= COUNT + 2 * 32 + 2 * 32


def test_a_worse_model_is_refused_unless_it_is_forced(
    database_url: str, stocked: dict[str, str], server: ProviderServer
) -> None:
    # the new one by chance: no text is like another
    server.vector_of = lambda text, dims: words_vector(text, dims) if dims == 16 else vector_for(text, dims)
    switch = ("embeddings", "switch", "--model", "azar", "--dimensions", "32", "--yes", "--sample", "40")
    refused = ateneo(*switch, url=database_url, **stocked)
    assert refused.returncode == 1
    assert "95\N{NO-BREAK SPACE}%" in refused.stderr
    assert "--force" in refused.stderr
    assert "«" in refused.stdout, "the worst cases side by side"
    [line] = json.loads(ateneo("audit", "-e", "acme", "--json", url=database_url).stdout)
    assert (line["action"], line["results"] > 0) == ("embeddings_compare", True), "what was shown is in the audit log"
    assert [state for _, state, _ in _status(database_url, stocked)] == ["active", "filling"]
    assert ateneo(*switch, "--force", url=database_url, **stocked).returncode == 0
    assert [state for _, state, _ in _status(database_url, stocked)] == ["previous", "active"]


def test_settings_that_cannot_reach_the_new_model_are_told_so(database_url: str, stocked: dict[str, str]) -> None:
    run = ateneo("embeddings", "switch", "--provider", "openai", "--model", "x", url=database_url)
    assert run.returncode == 2
    assert "OPENAI_API_KEY" in run.stderr
    local = ateneo("embeddings", "switch", "--provider", "local", "--model", "no-hay", url=database_url, **stocked)
    assert local.returncode == 2
    assert "minilm" in local.stderr
