"""Isolation in the database: whatever SQL runs as the application's role, it meets one company, or an error."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from tests.providers.server import ProviderServer

from ateneo.db import documents, generations, keys, migrate, passages, statistics, synonyms
from ateneo.db import search as db_search
from ateneo.db.documents import NewDocument
from ateneo.db.identity import Identity
from ateneo.db.pool import APP_ROLE, Connection, Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, DatabaseError, NotUpgraded, RightsMissing
from ateneo.ingestion.service import IngestionService
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.search.service import VectorSearchService
from ateneo.types import Chunk

FUNCTIONS = Path(migrate.__file__).parent / "functions"
# SECURITY DEFINER for the application without asking whose it is, and why that gives nothing away
NO_TENANT_NEEDED = {
    "tenant": "is the check itself",
    "authenticate": "takes a secret of 256 bits",
    "active_generation": "which model is in use",
    "begin_generation": "does nothing where there is a generation with vectors",
    "model_is_open": "one bit, whether there is a vector",
    "column_dims": "one number, how long vectors are; asked of a database without a generation",
    "any_embedding": "one bit, asked of a database without a generation",
    "queue_figures": "counts of all companies together, without a name",
    "next_arrival": "a number, the same row of numbers for all",
}


@pytest.fixture
async def guarded(database: Database, database_url: str) -> AsyncIterator[Database]:
    """What the API has: every connection is the application's role. Two companies, with a document each."""
    await put(database, "acme", "manual.md", "El trabajo en día feriado se paga doble.")
    await put(database, "otra", "manual.md", "La fórmula secreta del tinte índigo lleva añil.")
    await synonyms.add(database, "otra", ["tinte", "color"])
    await keys.create(database, "otra")
    await generations.create(database, "probe", "m", 3)
    async with await Database.open(database_url, size=2, guarded=True) as db:
        assert db.guarded
        yield db


async def put(db: Database, empresa_id: str, source: str, *texts: str) -> str:
    new = NewDocument("t", source, "text/markdown", source.encode(), 1, identity=Identity(name=source))
    pieces = [Chunk(number, text, 5) for number, text in enumerate(texts)]
    return (await documents.save(db, empresa_id, new, pieces, None, None)).document_id


async def tables(connection: Connection) -> list[str]:
    """Every table of the database that tells companies apart."""
    return [row["name"] for row in await connection.fetch("SELECT name FROM ateneo.tenant_tables()")]


async def test_every_table_with_a_company_has_its_policy(guarded: Database, database: Database) -> None:
    async with database.acquire() as connection:
        bare = await connection.fetch(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'empresa_id' AND NOT a.attisdropped"
            " WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('ateneo', 'public') AND NOT (c.relrowsecurity AND EXISTS"
            " (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive"
            "  AND p.polroles = ARRAY['ateneo_app'::regrole::oid]"
            "  AND pg_get_expr(p.polqual, p.polrelid) LIKE '%tenant()%'"
            "  AND pg_get_expr(p.polwithcheck, p.polrelid) LIKE '%writing_tenant()%'))"
        )
        assert not bare
        assert {
            "public.knowledge_chunks",
            "ateneo.document",
            "ateneo.vec_g1",
            "ateneo.vec_g1_p7",
            "ateneo.audit",
        } <= set(await tables(connection))


async def test_a_table_made_later_is_protected_by_the_next_upgrade(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("CREATE TABLE ateneo.novelty (empresa_id text NOT NULL, secret text)")
        await connection.execute("INSERT INTO ateneo.novelty VALUES ('acme', 'a'), ('otra', 'b')")
    await migrate.upgrade(database)
    async with database.acquire() as connection:
        await connection.execute("GRANT SELECT ON ateneo.novelty TO ateneo_app")
    async with database.tenant("acme") as connection:  # the second guard, where somebody grants what nobody should
        assert await connection.fetchval("SELECT string_agg(secret, '') FROM ateneo.novelty") == "a"
    await migrate.upgrade(database)
    with pytest.raises(RightsMissing, match="permission denied for table novelty"):
        async with database.tenant("acme") as connection:
            await connection.fetch("SELECT * FROM ateneo.novelty")


async def test_no_tenant_is_an_error_and_never_all(guarded: Database, database: Database) -> None:
    async with database.acquire() as connection:
        names = await tables(connection)
    assert len(names) > 20
    for name in names:
        for statement in (f"SELECT * FROM {name}", f"DELETE FROM {name}", f"SELECT count(*) FROM {name}"):
            with pytest.raises(RightsMissing):
                async with guarded.acquire() as connection:
                    await connection.fetch(statement)
    with pytest.raises(RightsMissing, match="no tenant set"):
        async with guarded.acquire() as connection:
            await connection.fetch("SELECT * FROM ateneo.search('feriado')")


@pytest.mark.parametrize("tenant", ["acme", "otra", None])
async def test_no_table_with_a_company_is_the_applications(
    guarded: Database, database: Database, tenant: str | None
) -> None:
    """Refused before a row, a policy or the planner's choice could matter: EXPLAIN, too."""
    async with database.acquire() as connection:
        names = await tables(connection)
        counts = [await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names]
    refused = set()
    for name in names:
        for statement in (
            f"SELECT * FROM {name}", f"SELECT FROM {name}", f"EXPLAIN (ANALYZE) SELECT empresa_id FROM {name}",
            f"DELETE FROM {name}", f"UPDATE {name} SET empresa_id = empresa_id", f"TRUNCATE {name}",
            f"INSERT INTO {name} (empresa_id) VALUES ('acme')", f"COPY {name} TO STDOUT",
        ):  # fmt: skip
            with pytest.raises(RightsMissing, match="permission denied for table") as error:
                async with guarded.tenant(tenant) if tenant else guarded.acquire() as connection:
                    await connection.execute(statement)
            refused.add(error.type)
    assert len(refused) == 1
    async with database.acquire() as connection:
        assert counts == [await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names]


async def test_the_application_has_nothing_of_the_index(guarded: Database, database: Database) -> None:
    hidden = [
        "chunk_lex",
        "term_stats",
        "tenant_stats",
        "vocabulary",
        "vocabulary_key",
        "vec_g1",
        "vec_g1_p0",
        "api_key",
    ]
    for name in [*hidden, "own_index", "recall_measured", "tenant_secret", "rebuild"]:
        with pytest.raises(RightsMissing):
            async with guarded.tenant("acme") as connection:
                await connection.fetch(f"SELECT * FROM ateneo.{name}")


@pytest.mark.direct
async def test_the_tenant_ends_with_its_transaction(guarded: Database) -> None:
    for _ in range(3):
        async with guarded.tenant("acme") as connection:
            assert await connection.fetchval("SELECT ateneo.tenant()") == "acme"
        with pytest.raises(RightsMissing, match="no tenant"):
            async with guarded.acquire() as connection:
                await connection.fetchval("SELECT ateneo.tenant()")
    with pytest.raises(DatabaseError):
        async with guarded.tenant("acme") as connection:
            await connection.execute("SELECT 1/0")
    async with guarded.acquire() as connection:
        assert not connection.is_in_transaction()
        assert not await connection.fetchval("SELECT current_setting('ateneo.empresa_id', true)")


async def test_an_unguarded_pool_is_the_application_inside_tenant_alone(database: Database) -> None:
    async with database.tenant("acme") as connection:
        assert await connection.fetchval("SELECT current_user") == APP_ROLE
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT current_user = session_user")


@pytest.mark.parametrize("empresa", ["", " ", "a\x00b", "\ud800"])
async def test_no_company_has_such_a_name(database: Database, empresa: str) -> None:
    with pytest.raises(BadArgument):
        async with database.tenant(empresa):
            pass


@pytest.mark.parametrize("empresa", ["o'hara", "'; DROP SCHEMA ateneo CASCADE; --", "ñandú {tenant} %s", "\\", "$$"])
async def test_any_other_name_is_only_a_name(database: Database, empresa: str) -> None:
    async with database.tenant(empresa) as connection:
        assert await connection.fetchval("SELECT ateneo.tenant()") == empresa


@pytest.mark.direct
async def test_round_trips(guarded: Database, database_url: str) -> None:
    """What a session keeps is given back with COMMIT; what only reads takes its company along. The rest of a line's
    statements is the pool's own."""
    document_id = await put(guarded, "acme", "otro.md", "El portón.")
    query = db_search.Query("acme", "feriado")
    calls: dict[Callable[[Database], Awaitable[object]], list[str]] = {
        lambda db: db_search.search(db, query, schema="public"): ["SELECT", "RESET"],
        lambda db: documents.get(db, "acme", document_id): ["SELECT", "RESET"],
        lambda db: documents.list_documents(db, "acme"): ["SELECT", "RESET"],
        lambda db: passages.by_ids(db, "acme", [document_id]): ["SELECT", "RESET"],
        lambda db: synonyms.listed(db, "acme"): ["BEGIN", "SELECT", "COMMIT"],
        lambda db: synonyms.add(db, "acme", ["a", "b"]): ["BEGIN", "SELECT", "COMMIT"],
    }
    for call, expected in calls.items():
        assert await sent(database_url, call) == expected


async def sent(url: str, call: Callable[[Database], Awaitable[object]], secret: str | None = None) -> list[str]:
    """What goes to the server for one call: the first word of each message, RESET for the pool's own."""
    messages: list[str] = []
    async with await Database.open(url, size=1, guarded=True, tenant_secret=secret) as db:
        await call(db)  # asyncpg asks for the types of an answer once
        async with db.acquire() as connection:
            connection.add_query_logger(lambda record: messages.append(record.query))
        await asyncio.sleep(0)  # the logger is told in the loop's next round
        messages.clear()
        await call(db)
        await asyncio.sleep(0)
    return [
        "RESET" if one.startswith("SELECT pg_advisory_unlock_all") else one.split()[0].strip(";") for one in messages
    ]


async def test_definers_pin_their_path_and_the_application_meets_few(database: Database) -> None:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT p.proname AS name, p.prosrc AS body, p.proconfig AS settings,"
            " has_function_privilege('ateneo_app', p.oid, 'EXECUTE') AS open,"
            " has_function_privilege('public', p.oid, 'EXECUTE') AS public,"
            " pg_get_userbyid(p.proowner) AS owner"
            " FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef"
        )
    assert len(rows) > 20
    for row in rows:
        assert "search_path=pg_catalog, pg_temp" in (row["settings"] or []), row["name"]
        assert not row["public"], row["name"]
        assert row["owner"] != APP_ROLE
    opened = {row["name"] for row in rows if row["open"]}
    assert opened >= NO_TENANT_NEEDED.keys() | {"writing_tenant", "search", "keep_stats", "store_own_embeddings"}
    for row in rows:
        if row["open"] and row["name"] not in NO_TENANT_NEEDED:
            assert re.search(r"ateneo\.(writing_)?tenant\((p_empresa)?\)", row["body"]), row["name"]


async def test_definers_touch_no_temporary_table_that_a_caller_may_have_made(guarded: Database) -> None:
    """A table of the caller's in the place of one of ours would run the caller's triggers with the owner's rights."""
    async with guarded.acquire() as connection:
        await connection.execute(
            "CREATE TEMP TABLE ateneo_counted (word text, df int);"
            "CREATE FUNCTION pg_temp.grab() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;"
            "CREATE TRIGGER grab BEFORE INSERT ON ateneo_counted EXECUTE FUNCTION pg_temp.grab()"
        )
        await connection.execute(
            "BEGIN; SELECT set_config('ateneo.empresa_id', 'acme', true); SELECT ateneo.keep_stats(); COMMIT"
        )
    body = "\n".join(path.read_text() for path in sorted(FUNCTIONS.glob("*.sql")))
    assert not re.search(r"CREATE TEMP\w* TABLE IF NOT EXISTS", body)


async def test_search_refuses_another_company_by_argument(guarded: Database) -> None:
    with pytest.raises(RightsMissing, match="another tenant"):
        async with guarded.tenant("acme") as connection:
            await connection.fetch("SELECT * FROM ateneo.search('índigo', empresa => 'otra')")


async def test_no_company_can_time_what_another_has_asked(database: Database) -> None:
    """A question that was asked before needs no provider, for who asked it."""
    with ProviderServer() as server:
        embedder = OpenAIEmbedder(api_key="k", model="text-embedding-3-small", base_url=server.url, dimensions=8)
        async with EmbeddingService(embedder) as service:
            for company in ("acme", "otra"):
                text = f"Los sueldos de {company} se pagan los viernes.".encode()
                await IngestionService(database, service).process_document(text, company, name="a.md")
            search, before = VectorSearchService(database, service), server.calls
            for company in ("acme", "otra", "acme", "otra"):
                assert (await search.search(company, "¿cuánto gana Pérez?")).hits
            assert server.calls == before + 2


async def test_what_the_service_does_works_as_the_application(guarded: Database) -> None:
    document_id = await put(guarded, "acme", "nuevo.md", "La caldera se purga los lunes.", "Y se apaga los viernes.")
    found = await db_search.search(guarded, db_search.Query("acme", "caldera"), schema="public")
    assert found.hits[0].document_id == document_id
    around = await passages.around(guarded, "acme", [found.hits[0].chunk_id], neighbours=1, section=False)
    assert around[found.hits[0].chunk_id].after
    foreign = await passages.around(guarded, "otra", [found.hits[0].chunk_id], neighbours=1, section=True)
    assert foreign == {found.hits[0].chunk_id: passages.Around()}
    assert len(await documents.list_documents(guarded, "acme")) == 2
    await documents.delete(guarded, "acme", document_id)
    await statistics.keep(guarded, "acme")
    assert not (await db_search.search(guarded, db_search.Query("acme", "caldera"), schema="public")).hits


async def test_a_database_that_was_never_upgraded(bare_url: str) -> None:
    async with await Database.open(bare_url, guarded=True) as db:
        assert not db.guarded
        with pytest.raises(NotUpgraded):
            await documents.list_documents(db, "acme")


async def test_other_programs_go_on_as_they_were(database: Database, database_url: str) -> None:
    """A role of the user's with grants on the chunks table: all rows, its own index plans, no tenant anywhere."""
    async with database.acquire() as connection:
        await connection.execute(
            "DO $$ BEGIN CREATE ROLE legado LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            "GRANT SELECT, INSERT, UPDATE, DELETE ON public.knowledge_chunks TO legado;"
            "CREATE INDEX legado_fts ON public.knowledge_chunks USING gin (to_tsvector('spanish', contenido))"
        )
        try:
            await connection.execute(
                "SET ROLE legado; SET enable_seqscan = off; SET plan_cache_mode = force_custom_plan"
            )
            await connection.execute(
                "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido)"
                " VALUES ('a', 'acme', 'uno'), ('b', 'otra', 'dos')"
            )
            await connection.execute("UPDATE public.knowledge_chunks SET contenido = 'tres' WHERE id = 'a'")
            assert await connection.fetchval("SELECT count(*) FROM public.knowledge_chunks") == 2
            plan = "\n".join(
                row[0]
                for row in await connection.fetch(
                    "EXPLAIN SELECT id FROM public.knowledge_chunks"
                    " WHERE to_tsvector('spanish', contenido) @@ to_tsquery('spanish', 'dos')"
                )
            )
            assert "legado_fts" in plan
            await connection.execute("DELETE FROM public.knowledge_chunks")
        finally:
            await connection.execute("RESET ROLE; RESET enable_seqscan; RESET plan_cache_mode")
            await connection.execute("REVOKE ALL ON public.knowledge_chunks FROM legado")
        assert not await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex")


async def test_policies_of_the_users_own_stay_in_force(bare_url: str) -> None:
    async with await Database.open(bare_url) as db:
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute(
                "DROP POLICY ateneo_open ON public.knowledge_chunks;"
                "DROP POLICY ateneo_tenant ON public.knowledge_chunks;"
                "DO $$ BEGIN CREATE ROLE legado LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
                "CREATE POLICY suya ON public.knowledge_chunks TO legado USING (id = 'a');"
                "GRANT SELECT ON public.knowledge_chunks TO legado"
            )
            await migrate.upgrade(db)
            await connection.execute(
                "INSERT INTO public.knowledge_chunks (id, empresa_id) VALUES ('a', 'acme'), ('b', 'otra');"
                "SET ROLE legado"
            )
            assert await connection.fetchval("SELECT string_agg(id, '') FROM public.knowledge_chunks") == "a"
            await connection.execute("RESET ROLE; REVOKE ALL ON public.knowledge_chunks FROM legado")
            await connection.execute("GRANT SELECT ON public.knowledge_chunks TO ateneo_app")
        async with db.tenant("otra") as connection:
            assert await connection.fetchval("SELECT string_agg(id, '') FROM public.knowledge_chunks") == "b"


async def test_a_managed_server_without_createrole(server_url: str, bare_url: str) -> None:
    """The upgrade's role may create nothing outside its database: all works, and the DBA's SQL turns isolation on."""
    name = bare_url.split("/")[3].partition("?")[0]
    admin = await asyncpg.connect(bare_url)
    try:
        await admin.execute(f"CREATE ROLE gestionado LOGIN; ALTER DATABASE {name} OWNER TO gestionado")
        await admin.execute("CREATE EXTENSION vector; GRANT CREATE ON SCHEMA public TO gestionado")
        managed = bare_url.replace("postgres:@", "gestionado:@")
        async with await Database.open(managed, size=2) as db:
            await migrate.upgrade(db)
            missing = await migrate.rights_missing(db)
            assert [statement.split()[0] for statement in missing] == ["GRANT", "GRANT"]  # the roles are the server's
            assert not db.isolated
            await put(db, "acme", "a.md", "La caldera se purga.")
            assert (await db_search.search(db, db_search.Query("acme", "caldera"), schema="public")).hits
        async with await Database.open(managed, guarded=True) as db:
            assert not db.guarded
            assert len(await documents.list_documents(db, "acme")) == 1
        for statement in missing:
            await admin.execute(statement)
        async with await Database.open(managed) as db:
            await migrate.upgrade(db)
            assert await migrate.rights_missing(db) == []
        async with await Database.open(managed, guarded=True) as db:
            assert db.guarded
            assert len(await documents.list_documents(db, "acme")) == 1
            assert (await db_search.search(db, db_search.Query("acme", "caldera"), schema="public")).hits
            with pytest.raises(RightsMissing):
                async with db.acquire() as connection:
                    await connection.fetch("SELECT * FROM public.knowledge_chunks")
    finally:
        await admin.execute(f"ALTER DATABASE {name} OWNER TO postgres; REASSIGN OWNED BY gestionado TO postgres")
        await admin.execute("DROP OWNED BY gestionado; DROP ROLE gestionado")
        await admin.close()


@pytest.mark.direct
async def test_a_login_that_can_be_nothing_else(database: Database, database_url: str) -> None:
    """What docs/security/operator.md tells to give the API: even with its role taken off it reaches nothing."""
    async with database.acquire() as connection:
        await connection.execute("CREATE ROLE mi_api LOGIN NOINHERIT; GRANT ateneo_app TO mi_api")
    try:
        await put(database, "acme", "a.md", "La caldera se purga.")
        async with await Database.open(database_url.replace("postgres:@", "mi_api:@"), guarded=True) as db:
            assert db.guarded
            assert len(await documents.list_documents(db, "acme")) == 1
            assert (await db_search.search(db, db_search.Query("acme", "caldera"), schema="public")).hits
            for statement in ("SELECT * FROM public.knowledge_chunks", "SELECT * FROM ateneo.chunk_lex"):
                with pytest.raises(RightsMissing, match="permission denied"):
                    async with db.acquire() as connection:
                        await connection.execute("RESET ROLE")
                        await connection.fetch(statement)
    finally:
        async with database.acquire() as connection:
            await connection.execute("DROP ROLE mi_api")


@pytest.mark.direct
async def test_the_application_begins_a_model_where_there_is_none_alone(guarded: Database, database: Database) -> None:
    begin = "SELECT ateneo.begin_generation($1, $2, $3)"
    async with guarded.acquire() as application, database.acquire() as owner:
        assert await application.fetchval(begin, "probe", "m", 3) == 1
        await owner.execute(
            "INSERT INTO ateneo.vec_g1 (empresa_id, chunk_id, embedding)"
            " SELECT empresa_id, id, '[1,0,0]' FROM knowledge_chunks"
        )
        assert await application.fetchval(begin, "probe", "m", 3) == 1
        for other in (("otro", "m", 3), ("probe", "otro", 3), ("probe", "m", 4)):
            assert await application.fetchval(begin, *other) is None
        assert await owner.fetch("SELECT generation FROM ateneo.generation WHERE active") == [(1,)]
        assert await owner.fetchval("SELECT count(*) FROM ateneo.generation") == 1
