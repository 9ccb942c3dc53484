"""Every way that a company has into Ateneo, as one table of steps: the API's routes and the command line's commands.

The lists are derived from the applications themselves: what is in neither table has no case, and fails the build.
"""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from tests.api.test_access import _app
from typer.testing import CliRunner

from ateneo.cli.commands import build
from ateneo.db import audit, empresas, keys, query_log, synonyms
from ateneo.db.audit import StoredEntry
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery
from ateneo.errors import UnknownEmpresa

COMPANIES = ("acme", "otra", "tercera")
CANARY = {"acme": "zafirocanario7391", "otra": "topaziocanario2846", "tercera": "granatecanario5120"}
DOCUMENT, FILE, AGENT = "manual", "manual.md", "ventas"
"""What the three share: ids and names are each company's own business."""
SHARED = "El trabajo en día feriado se paga con un recargo del cien por ciento."


@dataclass(frozen=True)
class Ids:
    """What a step is aimed at: the ids that some company's things have."""

    company: str
    chunk: str
    conversation: str
    job: str


EVIL = "\x1b]0;tomada\x07\x9b31m\u202eoser\u2066\u200f\u061c"
"""What would rename the terminal of whoever reads it, colour what follows, and turn its order."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
Route = Callable[[str, Ids], dict[str, Any]]
"""(the canary of who asks, ids) -> what httpx takes beyond the method and the path."""
Command = Callable[["World", str, Ids], list[str]]


def _text(canary: str) -> bytes:
    return f"# Manual\n\n{SHARED}\n\n## Precio\n\nEl precio reservado {canary} es de florines.\n".encode()


ROUTES: dict[str, Route | None] = {
    "GET /search/semantic": lambda own, ids: {"params": {"q": "precio reservado en florines", "k": 50}},
    "POST /search/semantic": lambda own, ids: {
        "json": {"query": "precio reservado", "filter": {"document_id": DOCUMENT}, "neighbours": 3, "explain": True}
    },
    "GET /documents": lambda own, ids: {},
    "POST /documents": lambda own, ids: {
        "files": {"file": (FILE, _text(own))},
        "data": {"document_id": DOCUMENT, "title": f"Manual {EVIL}{own}", "metadata": json.dumps({"area": own})},
    },
    "PUT /documents/{document_id}": lambda own, ids: {
        "files": {"file": (FILE, _text(own) + b"Otra versi\xc3\xb3n.\n")},
        "data": {"title": f"Manual {EVIL}{own}", "metadata": json.dumps({"area": own})},
    },
    "GET /documents/{document_id}": lambda own, ids: {},
    "POST /documents/locate": lambda own, ids: {"files": {"file": (FILE, _text(own))}, "data": {"quote": SHARED}},
    "DELETE /documents/{document_id}": lambda own, ids: {},
    "GET /documents/{document_id}/original": lambda own, ids: {},
    "GET /jobs": lambda own, ids: {"params": {"after": ids.job}},
    "GET /jobs/{job_id}": lambda own, ids: {},
    "GET /jobs/{job_id}/events": lambda own, ids: {},
    "POST /jobs/{job_id}/cancel": lambda own, ids: {},
    "POST /jobs/{job_id}/retry": lambda own, ids: {},
    "POST /agents/{agent_id}/chat": lambda own, ids: {
        "json": {
            "message": f"¿Cuál es el precio {EVIL} reservado?",
            "conversation_id": ids.conversation,
            "stream": True,
        }
    },
    "GET /v1/models": lambda own, ids: {},
    "POST /v1/chat/completions": lambda own, ids: {
        "json": {
            "model": AGENT,
            "messages": [{"role": "user", "content": f"¿Cuál es el precio {EVIL} reservado?"}],
            "stream": True,
        }
    },
    "POST /retrieval": lambda own, ids: {
        "json": {"knowledge_id": ids.company, "query": "precio reservado", "retrieval_setting": {"top_k": 50}}
    },
    "GET /agents": lambda own, ids: {},
    "PUT /agents/{agent_id}": lambda own, ids: {"json": {"name": f"{EVIL}{own}", "instructions": f"Sos {own}."}},
    "DELETE /agents/{agent_id}": lambda own, ids: {},
    "GET /conversations": lambda own, ids: {"params": {"after": ids.conversation}},
    "GET /conversations/{conversation_id}": lambda own, ids: {},
    "DELETE /conversations/{conversation_id}": lambda own, ids: {},
    "PUT /conversations/{conversation_id}/feedback": lambda own, ids: {
        "json": {"position": 0, "rating": -1, "comment": f"Faltó {EVIL}{own}"}
    },
    "GET /gaps": lambda own, ids: {},
    "GET /sources": lambda own, ids: {},
    "GET /audit": lambda own, ids: {},
    "GET /health": None,
    "GET /ready": None,
    "GET /metrics": None,
}
"""None: open to everybody, of no company. tests/api/test_canary.py reads what it says."""

COMMANDS: dict[str, Command | str] = {
    "ingest": lambda world, who, ids: ["ingest", str(world.folder(who)), "-e", who],
    "documents list": lambda world, who, ids: ["documents", "list", "-e", who],
    "documents show": lambda world, who, ids: ["documents", "show", DOCUMENT, "-e", who],
    "documents delete": lambda world, who, ids: ["documents", "delete", DOCUMENT, "-e", who, "--yes"],
    "jobs list": lambda world, who, ids: ["jobs", "list", "-e", who],
    "jobs show": lambda world, who, ids: ["jobs", "show", ids.job, "-e", who],
    "jobs retry": lambda world, who, ids: ["jobs", "retry", "--all", "-e", who],
    "jobs cancel": lambda world, who, ids: ["jobs", "cancel", "--all", "-e", who],
    "backfill": lambda world, who, ids: ["backfill", "--empresa-id", who, "--yes"],
    "search": lambda world, who, ids: ["search", "precio reservado en florines", "-e", who, "-k", "50"],
    "ask": lambda world, who, ids: ["ask", "¿Cuál es el precio reservado?", "-e", who, "--keep", "--agent", AGENT],
    "audit": lambda world, who, ids: ["audit", "-e", who, "--json"],
    "queue list": lambda world, who, ids: ["queue", "list", "-e", who, "--state", "all", "--json"],
    "queue show": lambda world, who, ids: ["queue", "show", ids.chunk, "-e", who],
    "queue retry": lambda world, who, ids: ["queue", "retry", ids.chunk, "-e", who],
    "queue drop": lambda world, who, ids: ["queue", "drop", ids.chunk, "-e", who],
    "budget set": lambda world, who, ids: ["budget", "set", "-e", who, "--tokens", "900000"],
    "budget show": lambda world, who, ids: ["budget", "show", "-e", who],
    "agents list": lambda world, who, ids: ["agents", "list", "-e", who],
    "agents show": lambda world, who, ids: ["agents", "show", AGENT, "-e", who],
    "agents set": lambda world, who, ids: ["agents", "set", AGENT, "-e", who, "--name", CANARY[who]],
    "agents delete": lambda world, who, ids: ["agents", "delete", AGENT, "-e", who],
    "conversations list": lambda world, who, ids: ["conversations", "list", "-e", who],
    "conversations show": lambda world, who, ids: ["conversations", "show", ids.conversation, "-e", who],
    "conversations rate": lambda world, who, ids: [
        "conversations",
        "rate",
        ids.conversation,
        "0",
        "-e",
        who,
        "--good",
        "--comment",
        CANARY[who],
    ],
    "conversations delete": lambda world, who, ids: ["conversations", "delete", ids.conversation, "-e", who],
    "conversations purge": lambda world, who, ids: ["conversations", "purge", "-e", who, "--older-than-days", "1"],
    "conversations export": lambda world, who, ids: ["conversations", "export", str(world.export(who)), "-e", who],
    "gaps": lambda world, who, ids: ["gaps", "-e", who],
    "embeddings compare": lambda world, who, ids: ["embeddings", "compare", "--empresa-id", who],
    "index rebuild": lambda world, who, ids: ["index", "rebuild", "--empresa-id", who],
    "synonyms add": lambda world, who, ids: ["synonyms", "add", "tarifa", CANARY[who], "-e", who],
    "synonyms import": lambda world, who, ids: ["synonyms", "import", str(world.groups(who)), "-e", who],
    "synonyms regional": lambda world, who, ids: ["synonyms", "regional", "AR", "-e", who],
    "synonyms list": lambda world, who, ids: ["synonyms", "list", "-e", who],
    "synonyms remove": lambda world, who, ids: ["synonyms", "remove", "precio", "-e", who],
    "keys create": lambda world, who, ids: ["keys", "create", "-e", who],
    "keys list": lambda world, who, ids: ["keys", "list", "-e", who],
    "keys rotate": lambda world, who, ids: ["keys", "rotate", world.spare_key(who)],
    "keys revoke": lambda world, who, ids: ["keys", "revoke", world.spare_key(who)],
    "empresas delete": lambda world, who, ids: ["empresas", "delete", who, "--yes"],
    "worker": "works for all companies: tests/db/test_isolation_least_rights.py",
    "serve": "runs until it is stopped: the routes are its cases",
    "mcp": "runs until it is stopped: tests/mcp/test_isolation_mcp.py",
    "status": "the operator's: figures of all companies, no text",
    "doctor": "the operator's: the installation, no text",
    "db upgrade": "the operator's: makes tables",
    "db check": "the operator's: the schema, no text",
    "db uninstall": "the operator's: takes everything out",
    "sources add": "the operator's: a table of all companies (tests/sources)",
    "sources check": "the operator's: counts of rows, no text",
    "sources embed": "the operator's: a source of all companies",
    "sources list": "the operator's: sources, no text",
    "sources remove": "the operator's: a source of all companies",
    "sources show": "the operator's: a source, no text",
    "sources sync": "the operator's: counts of rows, no text",
    "db forget-embeddings": "the operator's: all companies' vectors",
    "db sign-tenants": "the operator's: a secret of the whole database",
    "eval answers": "reads a folder, and runs on a database of its own",
    "eval gate": "reads a folder, and runs on a database of its own",
    "eval retrieval": "reads a folder, and runs on a database of its own",
    "embeddings switch": "the operator's: the model of all companies",
    "embeddings status": "the operator's: figures of generations, no text",
    "embeddings rollback": "the operator's: the model of all companies",
    "embeddings prune": "the operator's: the model of all companies",
    "index status": "the operator's: figures of all companies, no text",
    "index tune": "the operator's: upkeep for all companies",
    "models list": "files of this machine",
    "models describe": "files of this machine",
    "models verify": "files of this machine",
    "models add": "files of this machine",
    "empresas list": "the operator's: names and counts, no text",
}
"""A string: whose the command is, where it is no company's."""
NOT_AUDITED = {
    "audit": "the audit log would grow by being read",
    "backfill": "makes vectors of what is there; no text goes out",
    "index rebuild": "makes the index of what is there; no text goes out",
    "embeddings compare": "only with two models, for what it shows: tests/cli/test_embeddings.py",
    "budget show": "figures alone",
    "empresas delete": "its line is left in the place of the audit log: test_isolation_erasure.py",
}
"""A company's commands that leave no line in its audit log, and why."""
FIGURES = [name for name, case in COMMANDS.items() if isinstance(case, str) and "no text" in case]
"""The operator's commands that tell of all companies: no word of any may be in what they say."""


_DIGEST = (
    "SELECT '{0}' AS name, empresa_id, md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) AS digest"
    " FROM {0} t GROUP BY empresa_id"
)


def routes() -> set[str]:
    """Every operation of the API."""
    return {f"{method.upper()} {path}" for path, item in _app().openapi()["paths"].items() for method in item}


def commands() -> set[str]:
    """Every command of the command line, by its whole name."""

    def leaves(command: Any, name: tuple[str, ...]) -> Iterator[str]:
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        for part, one in inner.items():
            yield from leaves(one, (*name, part))
        if not inner:
            yield " ".join(name)

    return set(leaves(typer.main.get_command(build()), ()))


STEPS = sorted([name for name, case in ROUTES.items() if case] + [n for n, case in COMMANDS.items() if callable(case)])


@dataclass
class World:
    """Three companies, a running API (`url`), and the command line in this process, on one database."""

    database_url: str
    url: str
    scratch: Path
    secrets: dict[str, str] = field(default_factory=dict)
    spare: dict[str, str] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    owner: Database = field(init=False)

    def __enter__(self) -> "World":
        self.owner = self.run(Database.open(self.database_url, size=2))
        self.cli = CliRunner()
        self.app = build()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.owner.close())
        self.loop.close()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def begin(self) -> None:
        """All three anew, with a document, an agent, a conversation, words, a key and a dead letter each."""
        for who in COMPANIES:
            with suppress(UnknownEmpresa):
                self.run(empresas.erase(self.owner, who))
            self.let_in(who)
            for step in ("PUT /agents/{agent_id}", "POST /documents", "POST /agents/{agent_id}/chat"):
                nobody = Ids(who, "", "", "")
                request = ROUTES[step](CANARY[who], nobody)  # type: ignore[misc]
                request.get("json", {}).pop("conversation_id", None)
                answer = self.ask(step, who, nobody, request)
                assert answer.status_code < 300, answer.text
            self.run(synonyms.add(self.owner, who, ["precio", CANARY[who]]))
            self.run(query_log.keep(self.owner, who, [KeptQuery(f"¿{EVIL}{CANARY[who]}?", found=0)], 7))
            self.fill_queue(who)

    def let_in(self, who: str) -> None:
        self.secrets[who] = self.run(keys.create(self.owner, who, CANARY[who], scopes=keys.SCOPES)).secret

    def spare_key(self, who: str) -> str:
        return str(self.run(keys.create(self.owner, who)).stored.key_id)

    def folder(self, who: str) -> Path:
        path = self.scratch / f"{who}-files"
        path.mkdir(exist_ok=True)
        (path / FILE).write_bytes(_text(CANARY[who]) + b"\nDesde la terminal.\n")
        return path

    def groups(self, who: str) -> Path:
        path = self.scratch / f"{who}.csv"
        path.write_text(f"florines,{CANARY[who]}\n")
        return path

    def export(self, who: str) -> Path:
        return self.scratch / f"{who}-export"

    def fill_queue(self, who: str) -> None:
        """A dead letter, a job that waits and one that failed, and a conversation that nobody has used for long."""
        self.run(self._fill_queue(who))

    async def _fill_queue(self, who: str) -> None:
        async with self.owner.transaction() as connection:
            await connection.execute(
                "INSERT INTO ateneo.embedding_queue (empresa_id, chunk_id, generation, content_hash, state, error)"
                " SELECT empresa_id, id, 1, sha256('x'), 'dead', $2 FROM public.knowledge_chunks WHERE empresa_id = $1"
                " ON CONFLICT (empresa_id, chunk_id, generation) DO UPDATE SET state = 'dead'",
                who,
                CANARY[who],
            )
            await connection.execute(
                "INSERT INTO ateneo.original (empresa_id, sha256, bytes) VALUES ($1, sha256('x'), 0)"
                " ON CONFLICT DO NOTHING",
                who,
            )
            await connection.execute(
                "INSERT INTO ateneo.job (empresa_id, sha256, bytes, source, asked, arrival, most_attempts, state,"
                " ended_at, error_code, error_message, error_remedy) SELECT $1, sha256('x'), 0, $2, '{}',"
                " ateneo.next_arrival(), 1, s, CASE WHEN s = 'failed' THEN now() END, 'document', $2, ''"
                " FROM unnest('{queued,failed}'::text[]) s",
                who,
                f"{EVIL}{CANARY[who]}",
            )
            await connection.execute(
                "UPDATE ateneo.conversation SET updated_at = now() - interval '9 days' WHERE empresa_id = $1", who
            )

    def ids(self, company: str) -> Ids:
        return Ids(company, *self.run(self._latest(company)))

    async def _latest(self, company: str) -> tuple[str, str, str]:
        async with self.owner.acquire() as connection:
            row = await connection.fetchrow(
                "SELECT (SELECT k.id FROM public.knowledge_chunks k WHERE k.empresa_id = $1 ORDER BY k.chunk_index DESC"
                " LIMIT 1), (SELECT c.conversation_id FROM ateneo.conversation c WHERE c.empresa_id = $1"
                " ORDER BY c.updated_at DESC, c.conversation_id LIMIT 1),"
                " (SELECT j.job_id FROM ateneo.job j WHERE j.empresa_id = $1 AND j.ended_at IS NOT NULL"
                " ORDER BY j.arrival DESC LIMIT 1)",
                company,
            )
        assert row is not None
        return row[0] or "nada", row[1] or "nada", row[2] or "nada"

    def step(self, name: str, who: str, ids: Ids) -> str:
        """Does one step as a company; returns all that it was told: answer and headers, or both outputs and files."""
        if name in ROUTES:
            answer = self.ask(name, who, ids, ROUTES[name](CANARY[who], ids))  # type: ignore[misc]
            assert answer.status_code < 500, (name, answer.text)
            return f"{answer.text} {answer.headers}"
        case = COMMANDS[name]
        assert callable(case)
        said = self.command(case(self, who, ids))
        if name == "empresas delete":
            self.let_in(who)
        if name == "conversations export":
            said += "".join(path.read_text() for path in self.export(who).glob("**/*") if path.is_file())
        return said

    def ask(self, name: str, who: str, ids: Ids, request: dict[str, Any]) -> httpx.Response:
        method, path = name.split()
        path = path.format(document_id=DOCUMENT, agent_id=AGENT, conversation_id=ids.conversation, job_id=ids.job)
        headers = {"Authorization": f"Bearer {self.secrets[who]}"}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=60, **request)

    def command(self, arguments: Sequence[str]) -> str:
        """A command in this process. Returns stdout and stderr; none may end with a traceback."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"DATABASE_URL": self.database_url, "ATENEO_THREADS": "1", "COLUMNS": "200"}.items():
                patch.setenv(name, value)
            done = self.cli.invoke(self.app, list(arguments))
        assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exception)
        assert not CONTROLS.search(done.output), (arguments, done.output)
        return done.output

    def audit_log(self, who: str) -> list[StoredEntry]:
        """What commands left of the company's last hundred lines, newest first. The API's come when they come."""
        return [one for one in self.run(audit.page(self.owner, who)) if one.actor.startswith("cli:")]

    def rows(self) -> dict[str, dict[str, str]]:
        """Company -> table -> the digest of all its rows. The audit of reads arrives late, and is left out."""
        return self.run(self._rows())  # type: ignore[no-any-return]

    async def _rows(self) -> dict[str, dict[str, str]]:
        async with self.owner.acquire() as connection:
            names = await connection.fetch(
                "SELECT t.name FROM ateneo.tenant_tables() t JOIN pg_class c ON c.oid = t.id"
                " WHERE NOT c.relispartition AND t.name <> 'ateneo.audit'"
            )
            every = [_DIGEST.format(row["name"]) for row in names]
            found = await connection.fetch(" UNION ALL ".join(every))
        digests: dict[str, dict[str, str]] = {}
        for row in found:
            digests.setdefault(row["empresa_id"], {})[row["name"]] = row["digest"]
        return digests
