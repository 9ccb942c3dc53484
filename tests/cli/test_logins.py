"""Every command as the login that docs/how-to/tenants.md tells for it: it works, and a lesser one is told which."""

import asyncio
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from tests.api.endpoint_matrix import commands
from tests.cli.run import ATENEO, Ended, ateneo, environment
from tests.db.test_isolation_least_rights import Logins, logins
from tests.providers.server import ProviderServer

from ateneo.cli.logins import LOGINS, login_of

__all__ = ["logins"]
PAGES = [Path("docs/how-to/tenants.md"), Path("docs/es/how-to/tenants.md")]
NO_RIGHT = "no tiene permiso"
RUNS_ON = {"serve", "mcp"}


def test_the_table_has_every_command_once() -> None:
    """Derived from the Typer application: a new command without a login fails here."""
    assert {name: login_of(name) for name in commands() if login_of(name) is None} == {}
    for listed in (one for names in LOGINS.values() for one in names.split(", ")):
        group = listed.removesuffix("*")
        assert any(name == listed or (group != listed and name.startswith(group)) for name in commands()), listed


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_page_has_the_table(page: Path) -> None:
    rows = re.findall(r"^\| (?:`(\w+)`|—)[^|]*\| (.+?) \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    roles = {"mi_api": "api", "mi_worker": "worker", "": "none"}
    found = {roles.get(role, "owner"): names.replace("`", "") for role, names in rows}
    assert found == dict(LOGINS)


def _calls(folder: Path, ids: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A use of each command, in an order in which each finds what it needs; `ids` is filled on the way."""
    acme = ["-e", "acme"]
    yield "db upgrade", []
    yield "db check", []
    yield "keys create", acme
    yield "ingest", [str(folder / "manual.md"), *acme]
    yield "worker", ["--once"]
    yield "backfill", [*acme, "--yes"]
    yield "search", ["telar", *acme]
    yield "ask", ["¿con qué se limpia el telar?", *acme, "--keep"]
    yield "documents list", acme
    yield "documents show", [ids["document"], *acme]
    yield "jobs list", acme
    yield "jobs show", [ids["job"], *acme]
    yield "jobs retry", ["--all", *acme]
    yield "jobs cancel", ["--all", *acme]
    yield "agents set", ["ventas", *acme, "--name", "Ana"]
    yield "agents list", acme
    yield "agents show", ["ventas", *acme]
    yield "agents delete", ["ventas", *acme]
    yield "conversations list", acme
    yield "conversations show", [ids["conversation"], *acme]
    yield "conversations rate", [ids["conversation"], "0", *acme, "--good"]
    yield "conversations export", [str(folder / "export"), *acme]
    yield "gaps", acme
    yield "synonyms add", ["telar", "bastidor", *acme]
    yield "synonyms import", [str(folder / "words.csv"), *acme]
    yield "synonyms regional", ["AR", *acme]
    yield "synonyms list", acme
    yield "synonyms remove", ["telar", *acme]
    yield "audit", acme
    yield "status", []
    yield "doctor", []
    yield "queue list", acme
    yield "queue show", [ids["letter"], *acme]
    yield "queue retry", [ids["letter"], *acme]
    yield "queue drop", [ids["other letter"], *acme]
    yield "budget set", [*acme, "--tokens", "900000"]
    yield "budget show", acme
    yield "index status", []
    yield "index tune", []
    yield "index rebuild", acme
    yield "embeddings status", []
    yield "embeddings switch", ["--provider", "openai", "--model", "nuevo", "--dimensions", "16", "--yes", "--force"]
    yield "embeddings compare", acme
    yield "embeddings rollback", ["--yes"]
    yield "embeddings prune", ["--yes"]
    yield "sources add", ["table", "aviso", "--name", "kb", "--yes"]
    yield "sources list", []
    yield "sources show", ["kb"]
    yield "sources check", ["kb"]
    yield "sources sync", ["kb"]
    yield "sources embed", ["kb"]
    yield "sources remove", ["kb", "--yes"]
    yield "keys list", []
    yield "keys rotate", [ids["key"]]
    yield "keys revoke", [ids["key"]]
    yield "empresas list", []
    yield "eval retrieval", [str(folder / "eval")]
    yield "eval answers", [str(folder / "eval")]
    yield "eval gate", [str(folder / "eval")]
    yield "models list", []
    yield "models describe", []
    yield "models verify", []
    yield "models add", [str(folder / "nothing")]
    yield "conversations delete", [ids["conversation"], *acme]
    yield "conversations purge", [*acme, "--older-than-days", "1"]
    yield "documents delete", [ids["document"], *acme, "--yes"]
    yield "db sign-tenants", ["--off"]
    yield "empresas delete", ["acme", "--yes"]
    yield "db forget-embeddings", ["--yes"]
    yield "db uninstall", ["--yes"]


NOT_DONE = {"sources embed", "eval retrieval", "eval answers", "eval gate", "models add"}
"""Whose files are none here: what they say is another thing than a right."""


def _prepared(folder: Path) -> None:
    (folder / "eval").mkdir()
    (folder / "manual.md").write_text("# Manual\n\nEl telar índigo se limpia con alcohol.\n", encoding="utf-8")
    (folder / "words.csv").write_text("paño,trapo\n", encoding="utf-8")


async def _look(url: str, ids: dict[str, str]) -> None:
    """The ids that the calls name, as they come to be."""
    connection = await asyncpg.connect(url)
    if not await connection.fetchval("SELECT to_regclass('ateneo.document')"):
        await connection.close()
        return
    asked = {
        "document": "SELECT document_id FROM ateneo.document",
        "conversation": "SELECT conversation_id FROM ateneo.conversation",
        "job": "SELECT job_id FROM ateneo.job",
        "key": "SELECT key_id FROM ateneo.api_key ORDER BY created_at DESC",
    }
    for name, sql in asked.items():
        ids[name] = await connection.fetchval(f"{sql} LIMIT 1") or "-"
    await connection.close()


async def _dead_rows(url: str, ids: dict[str, str]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS aviso (id int PRIMARY KEY, empresa_id text NOT NULL, texto text NOT NULL);"
        "INSERT INTO aviso VALUES (1, 'acme', 'El portón abre a las siete de la mañana.') ON CONFLICT DO NOTHING"
    )
    for name in ("letter", "other letter"):
        ids[name] = name.replace(" ", "-")
        await connection.execute(
            "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', 'Un texto.')"
            " ON CONFLICT DO NOTHING",
            ids[name],
        )
        await connection.execute(
            "INSERT INTO ateneo.embedding_queue (empresa_id, chunk_id, generation, content_hash, state, error)"
            " SELECT 'acme', $1, generation, sha256('x'), 'dead', 'x' FROM ateneo.generation WHERE state <> 'retired'"
            " ON CONFLICT (empresa_id, chunk_id, generation) DO UPDATE SET state = 'dead'",
            ids[name],
        )
    await connection.close()


async def test_each_command_works_as_its_login(logins: Logins, tmp_path: Path) -> None:
    """And each login above is told, as a lesser one, which one it takes."""
    _prepared(tmp_path)
    with ProviderServer(dims=16) as server:
        more = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url, "ATENEO_EMBEDDING_PROVIDER": "local"}
        done = await asyncio.to_thread(_run_all, logins, tmp_path, more)
    assert done == commands() - RUNS_ON


def _run_all(logins: Logins, folder: Path, more: dict[str, str]) -> set[str]:
    urls = {"api": logins.api, "worker": logins.worker, "owner": logins.owner, "none": logins.api}
    lesser = {"api": [], "none": [], "worker": ["api"], "owner": ["worker"]}
    ids = dict.fromkeys(("document", "job", "conversation", "key", "letter", "other letter"), "-")
    done: set[str] = set()
    for name, arguments in _calls(folder, ids):
        login = login_of(name)
        assert login is not None
        call = [*name.split(), *arguments]
        for other in lesser[login] if name not in NOT_DONE and name != "eval gate" else []:
            _check_told(ateneo(*call, url=urls[other], **more), login, f"{name} as {other}")
        run = ateneo(*call, url=urls[login], **more)
        assert NO_RIGHT not in run.stdout + run.stderr, (name, run)
        assert run.returncode == 0 or name in NOT_DONE, (name, run)
        done.add(name)
        asyncio.run(_look(logins.owner, ids))
        if name == "doctor":
            asyncio.run(_dead_rows(logins.owner, ids))
    return done


def _check_told(run: Ended, login: str, which: str) -> None:
    """It may have worked, where there was nothing to do; else it names the login that does, and no other."""
    said = " ".join((run.stdout + run.stderr).split())
    if NO_RIGHT in said:
        named = {"ateneo_app" in said, "ateneo_worker" in said, "lo hace el dueño" in said}
        assert named == {True, False}, (which, said)
        assert ("lo hace el dueño" in said) == (login == "owner"), (which, said)
        assert ("GRANT ateneo_worker" in said) == (login == "worker"), (which, said)


@contextmanager
def _serving(url: str, *arguments: str, **more: str) -> Iterator[tuple[int, subprocess.Popen[str], list[str]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [ATENEO, *arguments, "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(url, **more)
    )
    said: list[str] = []
    try:
        yield port, process, said
    finally:
        process.terminate()
        said += process.communicate(timeout=30)[0].split()


def _answer(port: int, path: str, process: subprocess.Popen[str]) -> httpx.Response:
    while process.poll() is None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}")
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(process.communicate()[0])


async def test_what_runs_until_it_is_stopped(logins: Logins) -> None:
    await asyncio.to_thread(_run_servers, logins)


def _run_servers(logins: Logins) -> None:
    made = ateneo("keys", "create", "-e", "acme", "--json", url=logins.owner)
    key = json.loads(made.stdout)["key"]
    with _serving(logins.api, "serve") as (port, process, said):
        assert _answer(port, "/ready", process).status_code == 200
    assert "mi_api;" not in said
    with _serving(logins.api, "mcp", "--http") as (port, process, _):
        assert _answer(port, "/mcp", process).status_code == 401
    with _serving(logins.owner, "serve") as (port, process, said):
        assert _answer(port, "/ready", process).status_code == 200
    told = " ".join(said)
    assert "GRANT ateneo_app TO mi_api" in told and "the owner's login serves companies" in told
    done = subprocess.run(
        [ATENEO, "mcp"], input="", capture_output=True, text=True, timeout=60, check=False,
        env=environment(logins.api, ATENEO_API_KEY=key),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
