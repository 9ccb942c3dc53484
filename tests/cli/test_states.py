"""Every command where something is missing: the database, its tables, or the company."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
from tests.cli.run import ateneo
from tests.cli.test_usage import ENGLISH

EVERY_COMMAND = """
import contextlib, io, json, signal, sys
import typer
from ateneo.cli import runtime
runtime.prepare()
from ateneo.cli import commands, usage
app = commands.build()
values, more, left_out, as_json = json.loads(sys.argv[1])

def leaves(command, path):
    inner = getattr(command, "commands", {})
    return [leaf for name, one in inner.items() for leaf in leaves(one, [*path, name])] if inner else [(path, command)]

def call_of(path, command):
    name, options = " ".join(path), {option for one in command.params for option in one.opts}
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    given = [values[one.name] for one in arguments if one.required] + more.get(name, [])
    company = ["--empresa-id", "nadie"] if "--empresa-id" in options else []
    return [*path, *given, *company, *(["--yes"] if "--yes" in options else []),
            *(["--json"] if as_json and "--json" in options else [])]

def run(call):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        signal.alarm(60)  # one that goes on serving ends the process
        try:
            usage.run(app, call)
            code = 0
        except SystemExit as end:
            code = end.code
        signal.alarm(0)
    return [call, code, out.getvalue(), err.getvalue()]

found = [(" ".join(path), call_of(path, command)) for path, command in leaves(typer.main.get_command(app), [])]
print(json.dumps([run(call) for name, call in found if name not in left_out]))
"""
_ID = "12345678-1234-5678-1234-567812345678"
_VALUES = {"query": "hola", "question": "hola", "document_id": "d", "document_ids": "d", "chunk_id": "c",
           "country": "ar", "words": "auto", "word": "auto", "position": "1", "key_id": "ab12", "empresa_id": "nadie",
           "agent_id": "a", "conversation_id": _ID, "kind": "table", "table": "pg_catalog.pg_class",
           "name": "t", "model": "o/n", "job_id": "j"}  # fmt: skip
_MORE = {"budget set": ["--tokens", "5"], "queue retry": ["c"], "queue drop": ["c"],
         "jobs retry": ["c"], "jobs cancel": ["c"], "sources add": ["pg_catalog.pg_class"],
         "conversations rate": ["--good"], "conversations purge": ["--older-than-days", "3"],
         "synonyms add": ["coche"], "worker": ["--once"]}  # fmt: skip
WITHOUT_DATABASE = {"models list", "models describe", "models verify", "models add", "mcp"}
"""The last one asks for its key first."""
CREATE = {"ingest", "budget set", "agents set", "synonyms add", "synonyms import", "synonyms regional", "keys create"}
"""What a company's first data may come by."""
OF_NO_COMPANY = {"worker", "status", "serve", "doctor", "db upgrade", "db check", "db uninstall",
                 "db forget-embeddings", "db sign-tenants",
                 "eval answers", "eval retrieval", "embeddings switch", "embeddings status", "embeddings rollback",
                 "embeddings prune", "index status", "index tune", "keys rotate", "keys revoke",
                 "empresas list", "sources add", "sources list", "sources show", "sources check", "sources sync",
                 "sources remove"}  # fmt: skip


class Run(NamedTuple):
    call: list[str]
    code: int
    out: str
    err: str

    @property
    def name(self) -> str:
        return "ateneo " + " ".join(self.call)

    @property
    def error(self) -> str:
        """What it said of what is missing, as people or as programs read it."""
        if ("--json" in self.call and self.code == 1) or (self.code == 2 and self.out.startswith("{")):
            problem = json.loads(self.out)["error"]
            assert self.err.strip() == "" and problem["code"], self
            return f"{problem['message']} {problem['remedy']}"
        return self.err or self.out


def every(tmp_path: Path, url: str | None, left_out: set[str], *, as_json: bool) -> list[Run]:
    """Each command with what it needs, in one process and in an empty folder, which stays so."""
    given = tmp_path / "given"
    (given / "eval").mkdir(parents=True)
    (given / "manual.md").write_text("# Manual\n\nPor mudanza se otorgan dos días.\n", encoding="utf-8")
    (given / "words.csv").write_text("auto,coche\n", encoding="utf-8")
    (given / "eval" / "corpus.jsonl").write_text('{"_id": "1", "text": "hola"}\n', encoding="utf-8")
    files = {
        "paths": given / "manual.md",
        "file": given / "words.csv",
        "folder": tmp_path / "new",
        "folders": given / "eval",
    }
    values = _VALUES | {name: str(path) for name, path in files.items()}
    more = _MORE | {"eval retrieval": [str(given / "eval")]}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATENEO_", "OPENAI_", "ANTHROPIC_", "DATABASE_"))}
    database = {"DATABASE_URL": url} if url else {}
    empty = tmp_path / "empty"
    empty.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", EVERY_COMMAND, json.dumps([values, more, sorted(left_out), as_json])],
        capture_output=True,
        text=True,
        cwd=empty,
        check=False,
        env=clean | {"COLUMNS": "80", "ATENEO_SECRETS_FILE": "/nonexistent"} | database,
    )
    assert run.returncode == 0, run.stderr
    assert not list(empty.iterdir())
    return [Run(*one) for one in json.loads(run.stdout)]


def check(run: Run) -> None:
    """It failed, by a documented code, and what it says is Spanish and no framework's."""
    said = run.out + run.err
    assert "Traceback" not in said and "secreta" not in said, run
    assert run.code in {1, 2}, run
    bare = re.sub(r"'[^']*'|`[^`]*`|«[^»]*»|--?[\w-]+|\[[^\]]*\]|\S+/\S+", "", run.error)
    assert not ENGLISH.search(bare) and "Errno" not in said and "Connect call" not in said, run


async def rows(url: str) -> dict[str, int]:
    """How many rows each table has, with the schemas, extensions and roles that there are."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text"
            " NOT IN ('pg_catalog', 'information_schema') AND relpersistence = 'p'"
        )
        found = {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for (name,) in names}
        for kind in ("pg_extension", "pg_roles", "pg_proc"):
            found[kind] = await connection.fetchval(f"SELECT count(*) FROM {kind}")
        return found
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "as_json", "told"),
    [
        (None, False, "DATABASE_URL no está configurada"),
        ("postgresql://u:secreta@127.0.0.1:1/d", True, "Nadie atiende ahí"),
        ("postgresql://u:secreta@no-existe.invalid/d", False, "Ese nombre de servidor no existe"),
    ],
    ids=["none", "closed", "unknown"],
)
def test_without_a_database(tmp_path: Path, url: str | None, as_json: bool, told: str) -> None:
    runs = every(tmp_path, url, WITHOUT_DATABASE, as_json=as_json)
    assert len(runs) > 50
    for run in runs:
        check(run)
        if run.call[0] != "eval":  # before it opens a database it reads its files
            assert told in " ".join((run.error + run.out).split()), run


@pytest.mark.parametrize("as_json", [False, True], ids=["screen", "json"])
async def test_without_its_tables(bare_url: str, tmp_path: Path, as_json: bool) -> None:
    before = await rows(bare_url)
    for run in every(tmp_path, bare_url, WITHOUT_DATABASE | {"db upgrade", "db uninstall"}, as_json=as_json):
        check(run)
        if run.call[0] != "eval":
            assert "`ateneo db upgrade`" in run.error, run
    assert await rows(bare_url) == before


@pytest.mark.parametrize("as_json", [False, True], ids=["screen", "json"])
async def test_without_the_company(database_url: str, tmp_path: Path, as_json: bool) -> None:
    before = await rows(database_url)
    runs = every(tmp_path, database_url, WITHOUT_DATABASE | CREATE | OF_NO_COMPANY, as_json=as_json)
    assert {" ".join(run.call[:2]) for run in runs if run.code == 0} <= {
        *(
            "documents list",
            "jobs list",
            "queue list",
            "agents list",
            "conversations list",
            "keys list",
            "synonyms list",
        ),
        *("audit --empresa-id", "gaps --empresa-id", "budget show", "conversations purge", "synonyms remove"),
    }, "whoever is named and is not there is said not to be, but in a list"
    for run in runs:
        if run.code:
            check(run)
        else:
            assert re.search(r"\b(No hay|Nada|0)\b", run.out + run.err) or not any(_lists(run.out)), run
    assert await rows(database_url) == before


def _lists(out: str) -> list[object]:
    found = json.loads(out)
    return [found[name] for name in found if name != "warnings"] if isinstance(found, dict) else list(found)


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_without_the_file(database_url: str, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "f"
    told = {"missing": "no existe", "folder": "es una carpeta", "binary": "no es texto UTF-8"}[kind]
    if kind == "folder":
        file.mkdir()
    elif kind == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    for call in (["synonyms", "import", "-e", "acme", str(file)],
                 ["agents", "set", "-e", "acme", "a", "--instructions-file", str(file)]):  # fmt: skip
        run = ateneo(*call, url=database_url)
        assert run.returncode == 2 and f"{file} no vale: {told}" in run.stderr.replace("=", " "), run
