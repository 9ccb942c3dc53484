"""What PostgreSQL compares before a policy: leakproof operators on every column that the application may read.

A policy's condition comes after them, and EXPLAIN (ANALYZE, BUFFERS) shows how far a row got. So the application reads
no table of companies' rows, and its functions look by their own condition: the catalogs say which columns and operators
there are, and nothing that is said may differ between what another company has and what nobody has.
"""

import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from ateneo.db import tenant_secret
from ateneo.db.pool import Connection, Database

PERMITTED = """SELECT DISTINCT c.oid::regclass::text AS relation FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND has_column_privilege('ateneo_app', c.oid, a.attnum, $1)"""
COLUMNS = """SELECT c.oid::regclass::text AS relation, quote_ident(a.attname) AS name,
    a.atttypid::regtype::text AS kind,
    ARRAY(SELECT DISTINCT format('OPERATOR(pg_catalog.%s)', o.oprname) FROM pg_operator o JOIN pg_proc p
      ON p.oid = o.oprcode WHERE p.proleakproof AND o.oprleft = o.oprright AND o.oprresult = 'boolean'::regtype
      AND o.oprleft = CASE a.atttypid WHEN 'varchar'::regtype THEN 'text'::regtype ELSE a.atttypid END) AS operators
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND (c.relnamespace = 'ateneo'::regnamespace OR c.relname = 'knowledge_chunks')"""
OF_NO_COMPANY = {"ateneo.applied", "ateneo.function_file", "ateneo.generation", "ateneo.schema_version"}
PROBE = """CREATE FUNCTION pg_temp.probe(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; said text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) ' || statement LOOP
    EXIT WHEN line = 'Planning:';   -- what follows is of the catalogs' cache
    said := said || line || ' ';
  END LOOP;
  RAISE 'said' USING DETAIL = said;   -- and what it changed is taken back
EXCEPTION WHEN raise_exception THEN GET STACKED DIAGNOSTICS said = PG_EXCEPTION_DETAIL; RETURN said;
  WHEN OTHERS THEN RETURN SQLSTATE || SQLERRM;
END $$"""
SWITCHES = ("SELECT", *(f"SET enable_{one} = off" for one in ("seqscan", "indexscan", "bitmapscan", "indexonlyscan")))
"""Of the planner, one after the other: what is off stays off."""
VALUES = {
    "text": ("'otra'", "'nadadeeso'"),
    "integer": ("5", "987654321"),
    "bigint": ("5", "987654321"),
    "timestamp with time zone": ("'2026-11-27'", "'1901-01-01'"),
}
"""One that otra may have, where its column is empty, and one that nobody has."""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    """A database where three companies have a thousand chunks and a hundred documents each."""
    async with database.acquire() as connection:
        await connection.execute(
            "SET session_replication_role = replica;"
            "CREATE TEMP TABLE company AS SELECT unnest('{acme,otra,tercera}'::text[]) AS e;"
            "INSERT INTO public.knowledge_chunks (id, empresa_id, document_id, chunk_index, contenido)"
            " SELECT e || '-' || n, e, e || '-' || n / 10, n, 'Pieza ' || n || ' de ' || e"
            " FROM company, generate_series(1, 1000) n;"
            "INSERT INTO ateneo.document (empresa_id, document_id, title, source, mime, bytes, content_hash, origin,"
            " external_id) SELECT e, e || '-' || n, e, e || n, 'm', 1, sha256(e::bytea), '', e || n"
            " FROM company, generate_series(0, 100) n;"
            "INSERT INTO ateneo.chunk_meta (empresa_id, chunk_id) SELECT empresa_id, id FROM public.knowledge_chunks"
        )
        await connection.execute("RESET session_replication_role")
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(PROBE)
        yield connection


async def told(connection: Connection, tenant: str | None, statements: Sequence[str]) -> list[list[str]]:
    """What the application is told of each statement, by each of the planner's switches."""
    said = []
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE ateneo_app")
        await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", tenant or "")
        for switch in SWITCHES:
            await connection.execute(switch.replace("SET ", "SET LOCAL "))
            for _ in range(2):  # once more, when the pages have been read
                rows = await connection.fetch("SELECT pg_temp.probe(s) AS it FROM unnest($1::text[]) s", statements)
            said.append([row["it"] for row in rows])
    return said


async def differing(connection: Connection, tenant: str | None, pairs: Sequence[tuple[str, str, str]]) -> list[str]:
    """Of statements with a place for a value: those that say something else of the first value than of the second."""
    found = []
    first = await told(connection, tenant, [one.replace("{}", theirs) for one, theirs, _ in pairs])
    second = await told(connection, tenant, [one.replace("{}", nobodys) for one, _, nobodys in pairs])
    for switched, others in zip(first, second, strict=True):
        for (statement, theirs, nobodys), a, b in zip(pairs, switched, others, strict=True):
            if a != b and a.replace(theirs.strip("'"), "?") != b.replace(nobodys.strip("'"), "?"):
                found.append(f"{statement}: {a} | {b}")
    return found


async def comparisons(connection: Connection, only: str = "") -> list[tuple[str, str, str]]:
    """Each leakproof operator on each column of each table, with a value that otra has and one that nobody has."""
    found = []
    for column in await connection.fetch(COLUMNS):
        table, name = column["relation"], column["name"]
        if column["kind"] not in VALUES or only not in table:
            continue
        usual, nobodys = VALUES[column["kind"]]
        theirs = await connection.fetchval(f"SELECT quote_literal(max({name})) FROM {table}") or usual
        found += [(f"SELECT FROM {table} WHERE {name} {one} {{}}", theirs, nobodys) for one in column["operators"]]
    return found


async def test_the_application_reads_four_tables_of_no_company_and_changes_none(connection: Connection) -> None:
    async def permitted(right: str) -> set[str]:
        return {row["relation"] for row in await connection.fetch(PERMITTED, right)}

    assert await permitted("SELECT") == OF_NO_COMPANY
    assert await permitted("INSERT, UPDATE, REFERENCES") == set()
    columns = await connection.fetch(COLUMNS)
    assert not [one for one in columns if one["relation"] in OF_NO_COMPANY and "empresa" in one["name"]]


@pytest.mark.parametrize("tenant", [None, "acme", "signed"])
async def test_no_comparison_tells_what_another_company_has(
    connection: Connection, database: Database, tenant: str | None
) -> None:
    if tenant == "signed":
        await tenant_secret.store_secret(database, "a" * 64)
    pairs = [one for one in await comparisons(connection) if one[0].split()[2] not in OF_NO_COMPANY]
    assert len(pairs) > 500
    assert await differing(connection, tenant, pairs) == []


@pytest.mark.parametrize("tenant", [None, "acme"])
async def test_with_a_right_on_the_table_they_would(connection: Connection, tenant: str | None) -> None:
    await connection.execute("GRANT SELECT ON public.knowledge_chunks TO ateneo_app")
    found = await differing(connection, tenant, await comparisons(connection, "knowledge_chunks"))
    assert any("contenido OPERATOR(pg_catalog.^@)" in one for one in found)


ASKED = [
    ("own_passages('acme', ARRAY[{}])", "otra-500"),
    ("own_passages_around('acme', ARRAY[{}], 2, true, 20)", "otra-500"),
    ("own_document('acme', {})", "otra-50"),
    ("own_document_chunks('acme', {}, 0, 10)", "otra-50"),
    ("own_documents('acme', 'acme99', {}, 10)", "otra-50"),
    ("own_document_find('acme', {}, NULL, NULL, NULL, false)", "otra-50"),
    ("own_document_find('acme', NULL, '', {}, NULL, true)", "otra50"),
    ("own_document_find('acme', NULL, NULL, NULL, {}, true)", "otra50"),
    ("own_document_keep('acme', {}, 1, 't', '[]', 'o', 'e', 'f', true)", "otra-50"),
    ("own_document_delete('acme', {})", "otra-50"),
    ("own_document_id({})", "otra-50"),
    ("own_same_documents('acme', {}, 's', 'x', 5)", "otra-50"),
    ("own_same_documents('acme', 'd', {}, 'x', 5)", "otra50"),
    ("own_chunks_delete('acme', ARRAY[{}])", "otra-500"),
]
"""Functions of the application's, and an id or a name that otra has in the place of the argument."""


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
async def test_no_function_tells_of_an_id_that_another_company_has(connection: Connection, plans: str) -> None:
    """Neither by rows or errors, nor by the pages that it reads, whatever the plan."""
    found = []
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE ateneo_app; SET LOCAL plan_cache_mode = {plans}")
        await connection.execute("SELECT set_config('ateneo.empresa_id', 'acme', true)")
        for switch, (call, theirs) in itertools.product(SWITCHES, ASKED):
            await connection.execute(switch.replace("SET ", "SET LOCAL "))
            said = []
            for value in (theirs, theirs + "x") * 3:  # the first time pages of the catalogs are read, too
                statement = f"SELECT * FROM ateneo.{call.replace('{}', f'{value!r}')}"
                said.append((await connection.fetchval("SELECT pg_temp.probe($1)", statement)).replace(value, "?"))
            if said[-1] != said[-2]:
                found.append((switch, call, said[-2:]))
    assert found == []
