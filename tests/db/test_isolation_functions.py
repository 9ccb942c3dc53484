"""Functions that act with the owner's rights: who may execute which, read from the catalog, and what they do with odd
arguments."""

import itertools
import re
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.db.test_isolation_database import put

from ateneo.db import migrate, tenant_secret
from ateneo.db.pool import Database

CANARY = "topaziocanario2846"
ROLES = ("ateneo_app", "ateneo_worker")
APPLICATION = {
    "active_generation", "any_embedding", "authenticate", "begin_generation", "column_dims", "keep_stats",
    "known_vectors", "model_is_open", "next_arrival", "own_add_job", "own_agent", "own_agent_delete",
    "own_agent_save", "own_agents", "own_answer_claim", "own_answer_keep", "own_answer_release", "own_audit",
    "own_audit_append", "own_begin_original", "own_cancel_job", "own_charge", "own_chunks_delete",
    "own_content_exists", "own_conversation", "own_conversation_begin", "own_conversation_delete",
    "own_conversations", "own_conversations_purge", "own_document", "own_document_chunks",
    "own_document_chunks_write", "own_document_delete", "own_document_find", "own_document_id", "own_document_keep",
    "own_document_texts", "own_document_write", "own_documents", "own_end_job", "own_folder_documents", "own_job",
    "own_jobs", "own_open_job", "own_open_jobs", "own_original", "own_over_budget", "own_part", "own_passages",
    "own_passages_around", "own_put_parts", "own_queries_keep", "own_questions", "own_rated_turns",
    "own_release_job", "own_renew_job", "own_retry_job", "own_same_documents", "own_settle_original", "own_sources",
    "own_summary_keep", "own_synonyms", "own_synonyms_add", "own_synonyms_remove", "own_take_job",
    "own_texts_write", "own_turn_add", "own_turn_rate", "own_turns", "own_turns_outside", "queue_figures", "search",
    "store_own_embeddings", "tenant", "writing_tenant",
}  # fmt: skip
APPLICATION |= {
    "own_add_job", "own_begin_original", "own_cancel_job", "own_end_job", "own_job", "own_jobs", "own_open_job",
    "own_open_jobs", "own_original", "own_part", "own_put_parts", "own_release_job", "own_renew_job",
    "own_retry_job", "own_settle_original", "own_take_job",
}  # fmt: skip
OWNERS_ALONE = {
    "activate_generation", "drop_generation", "erase_tables", "mark_column", "protect_tables", "retire_generation",
}  # fmt: skip
EXECUTABLE = """SELECT p.oid, p.proname AS name, p.prorettype = 'trigger'::regtype AS is_trigger,
    has_function_privilege($1, p.oid, 'EXECUTE') AS open
  FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef"""


@pytest.fixture
async def companies(database: Database, database_url: str) -> AsyncIterator[Database]:
    """Two companies, a source that follows a table of the product's, and a stranger's login."""
    await put(database, "acme", "manual.md", "El telar se limpia con alcohol.")
    await put(database, "otra", "manual.md", f"La fórmula {CANARY} lleva añil.")
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.create_generation('probe', 'm', 3)")
        await connection.execute(
            "CREATE TABLE article (id int PRIMARY KEY, company text, body text);"
            "INSERT INTO ateneo.source (name, relation, follow, mapping) VALUES ('kb', 'public.article', 'triggers',"
            """ '{"key": ["id"], "tenant": "company", "text": ["body"]}');"""
            "SELECT ateneo.make_source(source_id), ateneo.follow_source(source_id) FROM ateneo.source"
        )
        await connection.execute("CREATE ROLE forastero LOGIN; GRANT USAGE ON SCHEMA ateneo TO forastero")
    yield database
    async with database.acquire() as connection:
        await connection.execute("DROP OWNED BY forastero; DROP ROLE forastero")


async def test_only_entry_points_are_executable(companies: Database) -> None:
    async with companies.acquire() as connection:
        rows = {who: await connection.fetch(EXECUTABLE, who) for who in (*ROLES, "public", "forastero")}
    names = {row["name"] for row in rows["public"]}
    assert {row["name"] for row in rows["public"] if row["is_trigger"]} == {
        "sync_row", "sync_truncate", "forget_stale_row", "charge_who_is_there", "source_1_changed",
        "document_left_original", "job_left_original",
    }  # fmt: skip
    opened = {who: {row["name"] for row in found if row["open"]} for who, found in rows.items()}
    assert opened["public"] == opened["forastero"] == set()
    assert opened["ateneo_app"] == APPLICATION
    triggers = {row["name"] for row in rows["public"] if row["is_trigger"]}
    assert opened["ateneo_worker"] == names - OWNERS_ALONE - triggers


@pytest.mark.parametrize("role", [*ROLES, "forastero"])
async def test_no_trigger_of_ones_own_runs_them(companies: Database, role: str) -> None:
    """PostgreSQL asks for EXECUTE when a trigger is made, and never again."""
    async with companies.acquire() as connection:
        triggers = [row["name"] for row in await connection.fetch(EXECUTABLE, "public") if row["is_trigger"]]
        await connection.execute(f"SET ROLE {role}; CREATE TEMP TABLE bait (id text, empresa_id text, contenido text)")
        for name, level in itertools.product(triggers, ("ROW", "STATEMENT")):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for function"):
                await connection.execute(
                    f"CREATE TRIGGER t AFTER INSERT ON bait FOR EACH {level} EXECUTE FUNCTION ateneo.{name}()"
                )
        await connection.execute("DROP TABLE bait; RESET ROLE")


async def test_the_chunks_tables_owner_goes_on_making_partitions(bare_url: str) -> None:
    """Another role than Ateneo's, and the row triggers of a partition are its own to make."""
    owner = f"dueno_{uuid.uuid4().hex[:8]}"
    async with await Database.open(bare_url) as db:
        async with db.acquire() as connection:
            await connection.execute(
                f"CREATE EXTENSION vector; CREATE ROLE {owner}; GRANT CREATE ON SCHEMA public TO {owner};"
                "CREATE TABLE public.knowledge_chunks (id text, document_id text, empresa_id text NOT NULL,"
                " chunk_index int, contenido text, tokens_count int, embedding vector, PRIMARY KEY (empresa_id, id))"
                f" PARTITION BY LIST (empresa_id); ALTER TABLE public.knowledge_chunks OWNER TO {owner}"
            )
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute(
                f"SET ROLE {owner};"
                "CREATE TABLE public.chunks_acme PARTITION OF public.knowledge_chunks FOR VALUES IN ('acme');"
                "INSERT INTO public.knowledge_chunks (id, empresa_id, contenido) VALUES ('a', 'acme', 'La caldera.');"
                "RESET ROLE"
            )
            assert await connection.fetchval("SELECT count(*) FROM ateneo.chunk_lex") == 1
            await connection.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}")
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute(f"DROP ROLE {owner}")


# --- odd arguments ------------------------------------------------------------------------------------------------

DOCUMENT = """jsonb_build_object('document_id', '{theirs}', 'empresa_id', 'otra', 'title', 't', 'source', 's',
  'mime', 'm', 'content_hash', '\\x00', 'bytes', 1, 'file_metadata', '{{}}'::jsonb, 'arrival', 9223372036854775807)"""
ODD = {
    "text": ["NULL", "'{theirs}'", "''", "'otra'", "'{theirs_chunk}'", "repeat('x', 100000)", "E'\\n%s $1 \\' --'"],
    "text[]": ["NULL", "ARRAY['{theirs}', '{theirs_chunk}', NULL]", "'{{}}'", "array_fill('x'::text, ARRAY[20000])",
               "ARRAY[['a', 'b'], ['c', NULL]]"],
    "bytea": ["NULL", "''", "sha256('x')", "{theirs_hash}"],
    "bytea[]": ["NULL", "'{{}}'", "ARRAY[NULL, {theirs_hash}]::bytea[]", "array_fill('x'::bytea, ARRAY[20000])"],
    "integer": ["NULL", "0", "-2147483648", "2147483647"],
    "smallint": ["NULL", "1::int2", "(-32768)::int2", "32767::int2"],
    "bigint": ["NULL", "-9223372036854775808", "9223372036854775807"],
    "integer[]": ["NULL", "'{{}}'", "ARRAY[NULL, 2147483647]", "array_fill(1, ARRAY[20000])"],
    "double precision": ["NULL", "'NaN'", "'-Infinity'", "1e308"],
    "boolean": ["NULL", "true", "false"],
    "jsonb": ["NULL", DOCUMENT, "'{{}}'", "'[]'", "'null'", "'{{\"empresa_id\": \"otra\"}}'",
              "'{{\"a\": {{\"b\": 1}}}}'"],
    "jsonb[]": ["NULL", "ARRAY['[]', NULL, 'null']::jsonb[]", "array_fill('{{}}'::jsonb, ARRAY[20000])"],
    "vector": ["NULL", "'[1,0,0]'", "'[0]'", "'[0,0,0]'"],
    "vector[]": ["NULL", "'{{}}'", "ARRAY['[1,0,0]', NULL]::vector[]", "array_fill('[1,0,0]'::vector, ARRAY[20000])"],
    "timestamp with time zone": ["NULL", "'-infinity'", "'infinity'", "'epoch'"],
    "interval": ["NULL", "'-1000 years'", "'0'"],
    "uuid": ["NULL", "'00000000-0000-0000-0000-000000000000'"],
}  # fmt: skip
ARGUMENTS = """SELECT p.oid, p.proname AS name, coalesce(p.proargnames[1] = 'p_empresa', false) AS names_company,
    ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(t, place)
      ORDER BY place) AS types
  FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef
    AND has_function_privilege('ateneo_app', p.oid, 'EXECUTE') ORDER BY 2, 1"""


def calls(function: asyncpg.Record, company: str, known: dict[str, str]) -> list[str]:
    """Each argument takes each odd value: the others are NULL, or of another company. The company is one's own."""
    kinds = [kind.removeprefix("public.") for kind in function["types"]]
    values = [[f"({one.format(**known)})::{kind}" for one in ODD[kind]] for kind in kinds]
    first = [f"'{company}'"] if function["names_company"] else []
    made = []
    for others in (0, 1):
        for place, odd in enumerate(values or [["-"]]):
            for value in odd:
                given = [value if n == place else mine[others] for n, mine in enumerate(values)]
                given[: len(first)] = given[: len(first)] if place == 0 else first
                made.append(f"SELECT * FROM ateneo.{function['name']}({', '.join(given)})")
    return list(dict.fromkeys(made))


@pytest.mark.parametrize("setting", ["", "acme", "signed"])
async def test_odd_arguments_give_nobody_anothers_and_no_internal_error(
    companies: Database, database_url: str, setting: str
) -> None:
    if setting == "signed":
        await tenant_secret.store_secret(companies, "a" * 64)
        setting = "otra"
    async with companies.acquire() as owner:
        functions = await owner.fetch(ARGUMENTS)
        known = await owner.fetchrow(
            "SELECT document_id AS theirs, k.id AS theirs_chunk, quote_literal(sha256(contenido::bytea)) || '::bytea'"
            " AS theirs_hash FROM public.knowledge_chunks k WHERE empresa_id = 'otra'"
        )
        assert known
    attacker = await asyncpg.connect(database_url)
    try:
        await attacker.execute("SET ROLE ateneo_app; SET statement_timeout = '20s'")
        tried = 0
        for function in functions:
            for statement in calls(function, setting, dict(known)):
                transaction = attacker.transaction()
                await transaction.start()
                try:
                    await attacker.execute("SELECT set_config('ateneo.empresa_id', $1, true)", setting)
                    said = str(await attacker.fetch(statement))
                except asyncpg.PostgresError as error:
                    assert error.sqlstate != "XX000" and not error.sqlstate.startswith("57"), f"{statement}: {error!r}"
                    said = re.sub(r"'[^']*'", "", str(error))
                finally:
                    await transaction.rollback()
                assert CANARY not in said, statement
                tried += 1
        assert tried > 100
    finally:
        await attacker.close()
    async with companies.acquire() as owner:
        assert await owner.fetchval("SELECT count(*) FROM ateneo.chunk_lex WHERE empresa_id = 'otra'") == 1
        assert await owner.fetchval("SELECT contenido FROM public.knowledge_chunks WHERE empresa_id = 'otra'") == (
            f"La fórmula {CANARY} lleva añil."
        )
