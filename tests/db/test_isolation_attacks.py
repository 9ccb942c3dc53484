"""What somebody tries who can send SQL of their own as the application's role: nothing of another company comes back.

What they can still learn is in docs/security/guards.md.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.db.test_isolation_database import put

from ateneo.db import documents, tenant_secret
from ateneo.db import search as db_search
from ateneo.db.documents import NewDocument
from ateneo.db.pool import Connection, Database
from ateneo.errors import AteneoError, RightsMissing
from ateneo.types import Chunk

CANARY = "topaziocanario2846"
SECRET = "c" * 64
LOGIN = "api_atacada"


@pytest.fixture
async def login(database: Database, database_url: str) -> AsyncIterator[str]:
    """The address of a login that is the application and nothing else; two companies have a document each."""
    await put(database, "acme", "manual.md", "El telar se limpia con alcohol.")
    await put(database, "otra", "manual.md", f"La fórmula {CANARY} lleva añil.")
    async with database.acquire() as connection:
        await connection.execute(f"CREATE ROLE {LOGIN} LOGIN NOINHERIT; GRANT ateneo_app TO {LOGIN}")
        await connection.execute("ANALYZE")
    yield database_url.replace("postgres:@", f"{LOGIN}:@")
    async with database.acquire() as connection:
        await connection.execute(f"DROP OWNED BY {LOGIN}; DROP ROLE {LOGIN}")


@asynccontextmanager
async def attacker(url: str, company: str = "acme") -> AsyncIterator[Connection]:
    """Raw SQL in a transaction of a company."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET ROLE ateneo_app")
        async with connection.transaction():
            await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", company)
            yield connection
    finally:
        await connection.close()


async def everything(connection: Connection, statement: str) -> str:
    """All that a statement says: rows, notices, or its error with every field."""
    notices: list[str] = []
    connection.add_log_listener(lambda _, notice: notices.append(str(vars(notice))))
    try:
        async with connection.transaction():
            rows = await connection.fetch(statement)
        said = str([dict(row) for row in rows])
    except asyncpg.PostgresError as error:
        said = str(vars(error))
    await asyncio.sleep(0)
    return said + "".join(notices)


# Parted by ";;": the last is the one whose words are read.
LEAK = "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS"
ATTEMPTS = [
    # functions that talk, and that the planner would run first
    f"{LEAK} $$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$;;"
    " SELECT id FROM public.knowledge_chunks WHERE pg_temp.leak(contenido)",
    f"{LEAK} $$ BEGIN RAISE EXCEPTION '%', $1; END $$;; SELECT id FROM ateneo.document WHERE pg_temp.leak(title)",
    "CREATE FUNCTION pg_temp.eq(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS"
    " $$ BEGIN RAISE NOTICE '% %', $1, $2; RETURN true; END $$;;"
    " CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.eq);;"
    " SET LOCAL search_path = pg_temp, pg_catalog, public;; SELECT * FROM ateneo.search('fórmula', k => 50)",
    # errors that quote a value
    "SELECT contenido::int FROM public.knowledge_chunks",
    "SELECT 1 / (strpos(contenido, 'añil') - strpos(contenido, 'añil')) FROM public.knowledge_chunks",
    "SELECT (contenido || ']')::jsonb FROM public.knowledge_chunks",
    # row-level security switched off, or gone around
    "SET LOCAL row_security = off;; SELECT * FROM public.knowledge_chunks",
    "COPY public.knowledge_chunks TO STDOUT",
    "SELECT * FROM public.knowledge_chunks TABLESAMPLE SYSTEM (100)",
    "SELECT * FROM public.knowledge_chunks FOR UPDATE",
    "TABLE public.knowledge_chunks",
    "WITH gone AS (DELETE FROM public.knowledge_chunks RETURNING *) SELECT * FROM gone",
    "UPDATE public.knowledge_chunks SET contenido = contenido WHERE true RETURNING *",
    "MERGE INTO public.knowledge_chunks k USING (SELECT 'otra' AS e) s ON k.empresa_id = s.e"
    " WHEN MATCHED THEN UPDATE SET contenido = 'x'",
    "INSERT INTO ateneo.document SELECT * FROM ateneo.document ON CONFLICT (empresa_id, document_id)"
    " DO UPDATE SET title = 'x' RETURNING *",
    # what a table of one's own in the place of ours brings
    "CREATE TEMP TABLE knowledge_chunks (id text, empresa_id text, contenido text);;"
    " CREATE TEMP TABLE chunk_lex (LIKE knowledge_chunks);; SET LOCAL search_path = pg_temp, ateneo, public;;"
    " SELECT * FROM ateneo.search('fórmula', k => 50)",
    # another company by argument
    "SELECT * FROM ateneo.search('fórmula', empresa => 'otra')",
    "SELECT * FROM ateneo.own_document_texts('otra')",
    "SELECT * FROM ateneo.own_documents('otra', NULL, NULL, 100)",
    "SELECT * FROM ateneo.own_passages('acme', ARRAY(SELECT id FROM public.knowledge_chunks))",
    "SET LOCAL ateneo.empresa_id = 'otra';; SELECT * FROM ateneo.own_document_texts('acme')",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM ateneo.own_document_texts('acme')",
    "SELECT * FROM ateneo.search('fórmula', filter => '{\"empresa_id\": \"otra\"}')",
    "SELECT * FROM ateneo.search('fórmula', filter => '{\"$\": {\"or\": true}}')",
    "SELECT * FROM ateneo.search('fórmula', fusion => ''') UNION SELECT * FROM ateneo.chunk_lex --')",
    "SELECT * FROM ateneo.known_vectors(1::smallint, ARRAY(SELECT sha256(convert_to(contenido, 'UTF8'))"
    " FROM public.knowledge_chunks))",
    # statistics, functions, catalogs
    "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats",
    "SELECT stavalues1::text, stavalues2::text FROM pg_statistic",
    "SELECT most_common_vals::text FROM pg_stats_ext",
    "SELECT ateneo.refresh_stats('otra')",
    "SELECT * FROM ateneo.weigh_query('otra', 'fórmula')",
    "SELECT * FROM ateneo.reconcile_page(NULL, 100)",
    "SELECT * FROM ateneo.own_indexes(1::smallint)",
    "SELECT query FROM pg_stat_activity",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT * FROM pg_largeobject",
    "CREATE EXTENSION dblink",
]


@pytest.mark.parametrize("statement", ATTEMPTS, ids=lambda one: one[:60])
async def test_nothing_of_another_company_comes_back(login: str, database: Database, statement: str) -> None:
    async with attacker(login) as connection:
        *before, last = statement.split(";; ")
        async with connection.transaction():
            for one in before:
                await connection.execute(one)
            said = await everything(connection, last)
    assert CANARY not in said, said
    assert len(await documents.list_documents(database, "otra")) == 1
    hits = (await db_search.search(database, db_search.Query("otra", "fórmula"), schema="public")).hits
    assert [hit.contenido for hit in hits] == [f"La fórmula {CANARY} lleva añil."]


async def test_the_attempts_would_say_it_of_ones_own(login: str) -> None:
    """What is looked for above is what the same functions say to otra."""
    async with attacker(login, "otra") as connection:
        for statement in ("SELECT * FROM ateneo.search('fórmula')", "SELECT * FROM ateneo.own_document_texts('otra')"):
            assert CANARY in await everything(connection, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE ateneo_worker",
        f"ALTER ROLE {LOGIN} SET ateneo.empresa_id = 'otra'",
        f"ALTER ROLE {LOGIN} SUPERUSER",
        "ALTER ROLE ateneo_app BYPASSRLS",
        "SET session_replication_role = replica",
        "SET log_statement = 'all'",
        "ALTER TABLE public.knowledge_chunks DISABLE ROW LEVEL SECURITY",
        "DROP POLICY ateneo_tenant ON public.knowledge_chunks",
        "CREATE POLICY mia ON public.knowledge_chunks USING (true)",
        "CREATE TRIGGER mio BEFORE INSERT ON public.knowledge_chunks FOR EACH ROW EXECUTE FUNCTION ateneo.keep_trail()",
        "CREATE VIEW ateneo.todo AS SELECT * FROM public.knowledge_chunks",
        "CREATE TABLE public.mia (a int)",
        "INSERT INTO ateneo.turn (empresa_id, conversation_id, position) VALUES ('otra', 'x', 0)",
        "SELECT lo_import('/etc/passwd')",
    ],
)
@pytest.mark.parametrize("role", ["ateneo_app", "none"])
async def test_nobody_becomes_more(login: str, statement: str, role: str) -> None:
    async with attacker(login) as connection:
        await connection.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)):
            async with connection.transaction():
                await connection.execute(statement)


async def test_a_signed_tenant_is_not_read_from_another_session(login: str, database: Database) -> None:
    """Sessions of one login see each other's statements: the token must not be in one."""
    await tenant_secret.store_secret(database, SECRET)
    async with await Database.open(login, size=1, guarded=True, tenant_secret=SECRET) as served:
        spy = await asyncpg.connect(login)
        for writes in (False, True):
            async with served.tenant("otra", writes=writes) as connection:
                pid = connection.get_server_pid()
                for role in ("none", "ateneo_app"):
                    await spy.execute(f"SET ROLE {role}")
                    seen = await spy.fetch("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
                    assert seen and "v1." not in str(seen) and b"v1.".hex() not in str(seen), seen
                assert len(await connection.fetch("SELECT FROM ateneo.own_document_texts('otra')")) == 1
        await spy.close()


async def test_a_session_keeps_nothing_for_the_next_company(login: str) -> None:
    async with await Database.open(login, size=1, guarded=True) as served:
        async with served.tenant("otra") as connection:
            pid = connection.get_server_pid()
            await connection.execute(
                "DECLARE hoard CURSOR WITH HOLD FOR SELECT * FROM ateneo.own_document_texts('otra');"
                "PREPARE theft AS SELECT contenido FROM ateneo.own_document_texts(ateneo.tenant());"
                "SET ateneo.empresa_id = 'otra'; SET plan_cache_mode = force_generic_plan; LISTEN ateneo_queue;"
                "SELECT pg_advisory_lock(7)"
            )
            assert len(await connection.fetch("EXECUTE theft")) == 1
        async with served.acquire() as connection:
            assert connection.get_server_pid() == pid
            assert not await connection.fetchval("SELECT current_setting('ateneo.empresa_id', true)")
            assert not await connection.fetchval("SELECT count(*) FROM pg_cursors WHERE name = 'hoard'")
            assert not await connection.fetchval("SELECT count(*) FROM pg_listening_channels()")
            assert not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no tenant"):
                await connection.fetch("SELECT * FROM ateneo.own_document_texts('otra')")
        async with served.tenant("acme") as connection:
            assert [row["contenido"] for row in await connection.fetch("EXECUTE theft")] == [
                "El telar se limpia con alcohol."
            ]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("public.knowledge_chunks", "contenido"),
        ("ateneo.document", "title"),
        ("ateneo.synonym", "word"),
        ("ateneo.turn", "question"),
    ],
)
async def test_estimates_spell_nothing(login: str, database: Database, table: str, column: str) -> None:
    """EXPLAIN's rows are made of all companies' values, prefix by prefix: it is refused like the statement itself."""
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO public.knowledge_chunks (empresa_id, contenido) SELECT 'otra', 'topacio ' || n"
            " FROM generate_series(1, 300) n; ANALYZE"
        )
    async with attacker(login) as connection:
        for how in ("EXPLAIN", "EXPLAIN (ANALYZE, BUFFERS)", "EXPLAIN (GENERIC_PLAN)"):
            for test in ("LIKE 'topacio%'", ">= 'topacio'", "= 'topacio 7'", "IN ('topacio 1', 'topacio 2')"):
                said = await everything(connection, f"{how} SELECT * FROM {table} WHERE {column} {test}")
                assert "InsufficientPrivilege" in said or "42501" in said or "unrecognized EXPLAIN option" in said, said
                assert "rows" not in said


FIND = """SELECT (d.document).empresa_id
  FROM ateneo.own_document_find($1, NULL, NULL, NULL, 'manual.md', true) d"""
LIST = "SELECT (d.document).empresa_id FROM ateneo.own_documents($1, NULL, NULL, 100) d"


async def test_requests_that_are_cut_off_at_any_moment(login: str) -> None:
    """Clients that leave: no connection keeps a transaction or a company for the next."""
    chance = random.Random(7)
    seen: list[tuple[str, set[str]]] = []

    async def ask(served: Database, company: str, writes: bool) -> None:
        if writes:
            async with served.tenant(company, writes=True) as connection:
                rows = await connection.fetch(FIND, company)
        else:
            rows = await served.read(company, LIST)
        seen.append((company, {row["empresa_id"] for row in rows}))

    async with await Database.open(login, size=2, guarded=True) as served:
        for number in range(150):
            asked = asyncio.create_task(ask(served, chance.choice(("acme", "otra")), number % 3 == 0))
            await asyncio.wait([asked], timeout=chance.random() * 0.006)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        for _ in range(4):
            async with served.acquire() as connection:
                assert not connection.is_in_transaction()
                assert not await connection.fetchval("SELECT current_setting('ateneo.empresa_id', true)")
        await ask(served, "acme", False)
    assert all(companies == {company} for company, companies in seen) and seen


async def test_a_role_taken_off_is_put_on_again(database: Database, database_url: str) -> None:
    """With the owner's login: whoever takes the role off a pooled connection leaves it on for the next company."""
    await put(database, "otra", "manual.md", f"La fórmula {CANARY} lleva añil.")
    async with await Database.open(database_url, size=1, guarded=True) as served:
        async with served.tenant("acme") as connection:
            await connection.execute("RESET ROLE")
        with pytest.raises(RightsMissing, match="permission denied"):
            async with served.tenant("acme") as connection:
                await connection.fetch("SELECT * FROM public.knowledge_chunks")


async def test_an_id_that_another_company_has_tells_nothing_more_than_that(login: str, database: Database) -> None:
    """An adopted chunks table whose key is the id alone."""
    async with database.acquire() as connection:
        await connection.execute(
            "ALTER TABLE public.knowledge_chunks DROP CONSTRAINT knowledge_chunks_pkey, ADD PRIMARY KEY (id)"
        )
        theirs = await connection.fetchval("SELECT id FROM public.knowledge_chunks WHERE empresa_id = 'otra'")
    async with await Database.open(login, size=1, guarded=True) as served:
        with pytest.raises(AteneoError) as refused:
            async with served.tenant("acme", writes=True) as connection:
                await connection.execute(
                    "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', 'x')", theirs
                )
        assert "otra" not in str(refused.value) and CANARY not in str(refused.value)
        with pytest.raises(RightsMissing):
            async with served.tenant("acme", writes=True) as connection:
                await connection.execute(
                    "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', 'x')"
                    " ON CONFLICT (id) DO UPDATE SET contenido = 'x'",
                    theirs,
                )


async def test_the_queues_hint_says_nothing(login: str, database: Database) -> None:
    heard: list[object] = []
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.create_generation('probe', 'm', 3)")
        await connection.execute(
            "INSERT INTO ateneo.worker (worker_id, host, pid, concurrency) VALUES ('w', 'h', 1, 1)"
        )
    spy = await asyncpg.connect(login)
    await spy.add_listener("ateneo_queue", lambda *_: heard.append(_[-1]))
    new = NewDocument("t", "nuevo.md", "text/markdown", b"n", 1)
    await documents.save(database, "otra", new, [Chunk(0, f"Otro texto con {CANARY}.", 5)], None, None)
    for _ in range(50):
        if heard:
            break
        await asyncio.sleep(0.05)
    await spy.close()
    assert heard and set(heard) == {""}
