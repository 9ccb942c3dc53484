"""The command line as a person meets it: exit codes, and what commands say; the README's way as real processes."""

import json
from pathlib import Path

import asyncpg
import pytest
from tests.cli.run import ateneo, ateneo_process
from tests.providers import anthropic_server

MANUAL = "# Manual\n\n## Licencias\n\nPor mudanza se otorgan dos días corridos de licencia, con aviso previo.\n"


def test_from_nothing_to_an_answer(bare_url: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "manual.md").write_text(MANUAL, encoding="utf-8")
    (tmp_path / "sub" / "manual.md").write_text(
        "# Otro\n\nEl depósito cierra a las seis de la tarde.", encoding="utf-8"
    )
    plan = ateneo("db", "upgrade", "--plan", url=bare_url)
    assert "esquema ateneo" in plan.stdout
    assert max(map(len, plan.stdout.splitlines())) <= 80
    plan = ateneo("db", "upgrade", "--plan", "--sql", url=bare_url)
    assert plan.returncode == 0
    assert "CREATE EXTENSION" in plan.stdout
    assert "@vector@" not in plan.stdout
    assert ateneo_process("db", "upgrade", url=bare_url).returncode == 0
    again = ateneo("db", "upgrade", url=bare_url)
    assert "ya estaba al día" in again.stdout
    load = ateneo_process("ingest", "--empresa-id", "acme", str(tmp_path), url=bare_url)
    assert load.returncode == 0, load.stderr
    assert "2 nuevos" in load.stdout
    assert "2 sin cambios" in ateneo("ingest", "-e", "acme", str(tmp_path), url=bare_url).stdout
    found = ateneo_process("search", "-e", "acme", "mudanza", "--json", url=bare_url)
    assert json.loads(found.stdout)["hits"][0]["source"] == "manual.md"
    shown = ateneo("search", "-e", "acme", "mudanza", url=bare_url)
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "significado" in shown.stdout
    answer = ateneo_process("ask", "-e", "acme", "¿cuántos días de licencia dan por mudanza?", url=bare_url)
    assert "dos días corridos" in answer.stdout
    assert "extractiva" in answer.stdout
    doctor = ateneo_process("doctor", url=bare_url)
    assert doctor.returncode == 0, doctor.stdout
    assert "pgvector" in doctor.stdout


def test_no_database() -> None:
    for command in (["doctor"], ["db", "upgrade"], ["search", "-e", "x", "hola"], ["ingest", "-e", "x", "."]):
        run = ateneo(*command, url=None)
        assert run.returncode != 0
        assert "DATABASE_URL no está configurada" in run.stdout + run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://u:secreta@h/d", "no es una dirección de PostgreSQL"),
        ("postgresql://u:secreta@127.0.0.1:1/d", "No hay conexión"),
        ("postgresql://u:secreta@h:notaport/d", "DATABASE_URL"),
        ("cualquier cosa", "DATABASE_URL"),
    ],
)
def test_a_wrong_url(url: str, word: str) -> None:
    run = ateneo("db", "upgrade", url=url)
    assert run.returncode != 0
    assert word in run.stderr
    assert "secreta" not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_a_database_that_is_not_upgraded(bare_url: str) -> None:
    run = ateneo("search", "-e", "x", "hola", url=bare_url)
    assert run.returncode != 0
    assert "ateneo db upgrade" in run.stderr
    assert ateneo("doctor", url=bare_url).returncode == 1


@pytest.mark.parametrize("command", ["search", "ask"])
def test_an_unknown_company(database_url: str, command: str) -> None:
    run = ateneo(command, "-e", "nadie", "hola", url=database_url)
    assert run.returncode == 2
    assert "«nadie»" in run.stderr


def test_bad_files_are_reported_and_the_good_ones_loaded(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "bueno.md").write_text(MANUAL, encoding="utf-8")
    (tmp_path / "vacio.txt").write_bytes(b"")
    (tmp_path / "roto.pdf").write_bytes(b"%PDF-1.7 no es un pdf")
    run = ateneo("ingest", "-e", "acme", str(tmp_path), url=database_url)
    assert run.returncode == 3
    assert "1 nuevo," in run.stdout
    assert "vacio.txt" in run.stderr
    assert "roto.pdf" in run.stderr
    assert ateneo("ingest", "-e", "acme", str(tmp_path / "nada"), url=database_url).returncode == 2


def test_a_rejected_key_is_told_by_doctor(database_url: str) -> None:
    from tests.providers.server import Fault, ProviderServer

    with ProviderServer() as server:
        server.otherwise = Fault.UNAUTHORIZED
        run = ateneo("doctor", url=database_url, OPENAI_API_KEY="sk-secreta", OPENAI_BASE_URL=server.url)
    assert run.returncode == 1
    assert "rechazó" in run.stdout
    assert "sk-secreta" not in run.stdout + run.stderr


def test_english_by_setting() -> None:
    assert "DATABASE_URL is not set" in ateneo("db", "upgrade", url=None, ATENEO_LANG="en").stderr
    assert "Searches the documents" in ateneo("--help", url=None, ATENEO_LANG="en").stdout


async def test_an_old_pgvector_and_none(bare_url: str) -> None:
    connection = await asyncpg.connect(bare_url)
    await connection.execute(
        "CREATE EXTENSION vector; UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"
    )
    old = ateneo("db", "upgrade", url=bare_url)
    assert old.returncode != 0
    assert "0.7.4" in old.stderr
    assert "ALTER EXTENSION vector UPDATE" in old.stderr
    await connection.execute("DROP EXTENSION vector")
    name = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"ALTER DATABASE {name} SET extension_control_path = '/nonexistent'")
    await connection.close()
    none = ateneo("db", "upgrade", url=bare_url)
    assert none.returncode != 0
    assert "ninguna" in none.stderr


def test_forget_embeddings(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "manual.md").write_text(MANUAL, encoding="utf-8")
    ateneo("ingest", "-e", "acme", str(tmp_path), url=database_url)
    assert ateneo("db", "forget-embeddings", url=database_url).returncode != 0
    assert "1 chunk espera" in ateneo("db", "forget-embeddings", "--yes", url=database_url).stdout
    assert ateneo("backfill", "--yes", url=database_url).returncode == 0


def test_an_answer_of_claude_is_shown_with_its_sources(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "manual.md").write_text(MANUAL, encoding="utf-8")
    assert ateneo("ingest", "-e", "acme", str(tmp_path), url=database_url).returncode == 0
    said = "Por mudanza son dos días corridos [1], y te dan un auto [7]."
    with anthropic_server.serving(lambda n: anthropic_server.message(said, model="claude-sonnet-5-5")) as server:
        claude = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}
        shown = ateneo("ask", "-e", "acme", "¿días por mudanza?", url=database_url, **claude)
        whole = ateneo("ask", "-e", "acme", "¿días por mudanza?", "--json", url=database_url, **claude)
    with anthropic_server.serving(lambda n: anthropic_server.Reply(stream=anthropic_server.texts("Por mud"))) as server:
        claude = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url}
        cut = ateneo("ask", "-e", "acme", "¿días por mudanza?", url=database_url, **claude)
    verdicts = [said, '{"1": "no"}']
    with anthropic_server.serving(lambda n: anthropic_server.message(verdicts[n])) as server:
        claude = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": server.url, "ATENEO_VERIFY_CLAIMS": "chat"}
        doubted = ateneo("ask", "-e", "acme", "¿días por mudanza?", url=database_url, **claude)
    assert "Por mudanza son dos días corridos [1], y te dan un auto." in shown.stdout
    assert "Fuentes\n  [1] " in shown.stdout
    assert "«Por mudanza se otorgan dos días corridos" in shown.stdout
    # 11 tokens at 2 dollars a million and 7 at 10
    assert "claude-sonnet-5-5 · 11 + 7 tokens · US$ 0,0001" in shown.stdout
    assert "Quité 1 " in shown.stderr
    assert json.loads(whole.stdout)["citations"][0]["number"] == 1
    assert "! [1] no dice: «Por mudanza son dos días corridos" in doubted.stderr
    assert (cut.returncode, cut.stdout) == (1, "Por mud\n")
    assert "se cortó" in cut.stderr
