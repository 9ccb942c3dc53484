"""A server that is `ateneo_app` alone and a worker that is `ateneo_worker` alone: everything works with these rights,
and nothing else does."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from tests.api.server import serving, settings
from tests.cli.run import ateneo
from tests.providers.server import Fault, ProviderServer

from ateneo.db import audit, keys, tenant_secret
from ateneo.db.audit import AuditEntry
from ateneo.db.pool import Connection, Database
from ateneo.errors import NotTheOwner

CANARY = {"acme": "zafirocanario7391", "otra": "topaziocanario2846"}


@dataclass(frozen=True)
class Logins:
    """Addresses of one database: the owner's, the API's and the worker's."""

    owner: str
    api: str
    worker: str


@pytest.fixture
async def logins(database: Database, database_url: str) -> AsyncIterator[Logins]:
    async with database.acquire() as connection:
        await connection.execute(
            "CREATE ROLE api_minima LOGIN NOINHERIT; GRANT ateneo_app TO api_minima;"
            "CREATE ROLE worker_minimo LOGIN; GRANT ateneo_worker TO worker_minimo"
        )
    named = {name: database_url.replace("postgres:@", f"{name}:@") for name in ("api_minima", "worker_minimo")}
    yield Logins(database_url, named["api_minima"], named["worker_minimo"])
    async with database.acquire() as connection:
        await connection.execute("DROP OWNED BY api_minima, worker_minimo; DROP ROLE api_minima, worker_minimo")


async def insert(db: Database, company: str, number: int) -> None:
    """A chunk that another program writes: it waits for the worker."""
    async with db.acquire() as connection:
        await connection.execute(
            "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, $2, $3)",
            f"{company}-{number}",
            company,
            f"La caldera {number} de {CANARY[company]} se purga los lunes.",
        )


@pytest.mark.parametrize("signature", [None, "d" * 64], ids=["bare", "signed"])
async def test_everything_works_with_the_least_rights(
    logins: Logins, database: Database, signature: str | None
) -> None:
    made = {company: (await keys.create(database, company, scopes=keys.SCOPES)).secret for company in CANARY}
    await tenant_secret.store_secret(database, signature)
    await asyncio.to_thread(_day, logins, made, {"ATENEO_TENANT_SECRET": signature} if signature else {})


def _day(logins: Logins, secrets: dict[str, str], signed: dict[str, str]) -> None:
    with (
        serving(settings(logins.api, **signed)) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secrets['acme']}"}, timeout=60) as acme,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secrets['otra']}"}, timeout=60) as otra,
    ):
        assert acme.get("/ready").status_code == 200
        text = "# Manual\n\nEl telar índigo se limpia con alcohol.\n"
        for client in (acme, otra):
            stored = client.post("/documents", files={"file": ("manual.md", text.encode())})
            assert stored.status_code == 201, stored.text
        asyncio.run(_insert_as(logins.owner))
        done = ateneo("worker", "--once", url=logins.worker)
        assert done.returncode == 0, done.stderr
        assert "4 chunks" in done.stdout and not done.stderr, done.stdout + done.stderr
        for client, other in ((acme, "otra"), (otra, "acme")):
            hits = client.get("/search/semantic", params={"q": "purgar la caldera", "mode": "dense", "k": 50}).json()[
                "hits"
            ]
            assert len(hits) == 3 and CANARY[other] not in str(hits)
        answer = acme.post("/agents/ventas/chat", json={"message": "¿Con qué se limpia el telar?"}).json()
        assert answer["citations"] and answer["conversation_id"]
        assert acme.put("/agents/ventas", json={"name": "Ana"}).status_code == 200
        assert (
            acme.delete(f"/documents/{acme.get('/documents').json()['documents'][0]['document_id']}").status_code == 204
        )
        assert len(otra.get("/documents").json()["documents"]) == 1
        assert acme.get("/metrics").status_code == 200
        assert {one["action"] for one in acme.get("/audit").json()["entries"]} >= {"upload_document", "delete_document"}
    gone = ateneo("empresas", "delete", "acme", "--yes", url=logins.owner)
    assert gone.returncode == 0, gone.stderr


async def _insert_as(url: str) -> None:
    async with await Database.open(url, size=1) as db:
        for company in CANARY:
            for number in range(2):
                await insert(db, company, number)


WORKER_MUST_NOT = [
    "SELECT * FROM ateneo.audit",
    "INSERT INTO ateneo.audit (empresa_id, actor, action, status) VALUES ('acme', 'x', 'x', 200)",
    "SELECT * FROM ateneo.api_key",
    "SELECT * FROM ateneo.tenant_secret",
    "SELECT * FROM ateneo.erased",
    "DELETE FROM ateneo.applied",
    "CREATE TABLE ateneo.mia (a int)",
    "DROP TABLE ateneo.chunk_lex",
    "CREATE INDEX ON ateneo.chunk_lex (chunk_id)",
    "ALTER TABLE ateneo.audit DISABLE TRIGGER ALL",
    "ALTER TABLE public.knowledge_chunks DISABLE ROW LEVEL SECURITY",
    "TRUNCATE ateneo.chunk_lex",
    "SET ROLE ateneo_app",
    "SET ROLE postgres",
    "SELECT ateneo.erase_tables('acme')",
    "SELECT ateneo.protect_tables()",
    "SELECT ateneo.activate_generation(1::smallint)",
    "SELECT ateneo.retire_generation(1::smallint)",
    "SELECT ateneo.drop_generation(1::smallint)",
    "SELECT ateneo.mark_column(NULL)",
    "CREATE OR REPLACE FUNCTION ateneo.tenant() RETURNS text LANGUAGE sql AS 'SELECT ''otra'''",
]
APP_MUST_NOT = [
    "SELECT * FROM ateneo.vec_g1",
    "SELECT * FROM ateneo.chunk_lex",
    "SELECT * FROM ateneo.api_key",
    "SELECT * FROM ateneo.tenant_secret",
    "SELECT * FROM ateneo.embedding_queue",
    "SELECT * FROM ateneo.worker",
    "DELETE FROM ateneo.audit",
    "UPDATE ateneo.generation SET state = 'retired'",
    "CREATE TABLE ateneo.mia (a int)",
    "TRUNCATE public.knowledge_chunks",
    "ALTER TABLE public.knowledge_chunks DISABLE ROW LEVEL SECURITY",
    "SET ROLE ateneo_worker",
    "SET ROLE postgres",
    "SELECT ateneo.erase_tables('acme')",
    "SELECT ateneo.protect()",
    "SELECT ateneo.claim(1::smallint, 'w', 1, interval '1 s')",
    "SELECT * FROM ateneo.stale_statistics()",
    "CREATE OR REPLACE FUNCTION ateneo.tenant() RETURNS text LANGUAGE sql AS 'SELECT ''otra'''",
]


async def may(connection: Connection, statement: str) -> bool:
    try:
        async with connection.transaction():
            await connection.execute("SELECT set_config('ateneo.empresa_id', 'acme', true)")
            await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedFunctionError):
        return False
    return True


async def test_and_nothing_else_does(logins: Logins, database: Database) -> None:
    await insert(database, "acme", 0)
    await audit.append(database, [AuditEntry("acme", "a", "b", 200)])
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.create_generation('probe', 'm', 3)")
    for url, first, statements in (
        (logins.worker, "SELECT 1", WORKER_MUST_NOT),
        (logins.api, "SET ROLE ateneo_app", APP_MUST_NOT),
        (logins.api, "SELECT 1", APP_MUST_NOT),
    ):
        connection = await asyncpg.connect(url)
        await connection.execute(first)
        allowed = [one for one in statements if await may(connection, one)]
        await connection.close()
        assert not allowed


@pytest.mark.parametrize("fault", [Fault.BAD_REQUEST, Fault.BUSY])
async def test_a_provider_that_repeats_what_it_was_sent(database: Database, database_url: str, fault: Fault) -> None:
    """The worker's log has no text; what is kept with a company's chunks has no other's."""
    for company in CANARY:
        await insert(database, company, 0)
    with ProviderServer() as server:
        server.quotes, server.otherwise = True, fault
        server.retry_headers = {"retry-after": "0"}
        environment = {
            "ATENEO_EMBEDDING_PROVIDER": "openai",
            "OPENAI_API_KEY": "sk-clavecanario5517",
            "OPENAI_BASE_URL": server.url,
            "ATENEO_EMBEDDING_RETRIES": "0",
            "ATENEO_EMBEDDING_DIMENSIONS": "8",
        }
        done = await asyncio.to_thread(ateneo, "worker", "--once", url=database_url, **environment)
        assert server.calls and any(len(one["input"]) > 1 for one in server.requests)
    written = done.stdout + done.stderr
    assert not [one for one in (*CANARY.values(), "clavecanario") if one in written], written
    for company, other in (("acme", "otra"), ("otra", "acme")):
        listed = await asyncio.to_thread(
            ateneo, "queue", "list", "-e", company, "--state", "all", "--json", url=database_url
        )
        letters = json.loads(listed.stdout)
        assert len(letters) == 1 and CANARY[other] not in str(letters), letters
    for command in (["status"], ["status", "--json"]):
        shown = await asyncio.to_thread(ateneo, *command, url=database_url, **environment)
        assert not [one for one in CANARY.values() if one in shown.stdout + shown.stderr], shown.stdout


async def test_what_is_the_owners_alone_says_so(logins: Logins) -> None:
    async with await Database.open(logins.api, size=1) as db:
        with pytest.raises(NotTheOwner) as refused:
            await keys.list_keys(db)
    assert "DATABASE_URL" in refused.value.remedy and "GRANT" not in refused.value.remedy
