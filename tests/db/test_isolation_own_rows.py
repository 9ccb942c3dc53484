"""What the application reads and writes of its company's rows, it does by functions that ask for the company first."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tests.db.test_isolation_database import NO_TENANT_NEEDED

from ateneo.db import conversations, empresas, keys, synonyms, usage
from ateneo.db.pool import Connection, Database
from ateneo.db.usage import Share
from ateneo.types import Answer

FUNCTIONS = """SELECT p.proname AS name, p.provolatile = 'v' AS writes,
    ARRAY(SELECT format_type(a, NULL) FROM unnest(p.proargtypes::oid[]) a)::text[] AS types
  FROM pg_proc p WHERE p.pronamespace = 'ateneo'::regnamespace AND p.prosecdef AND p.proargnames[1] = 'p_empresa'
    AND has_function_privilege('ateneo_app', p.oid, 'EXECUTE') ORDER BY 1"""


@pytest.fixture
async def app(database: Database, database_url: str) -> AsyncIterator[Connection]:
    """Whoever can send SQL of their own as the application's role, in a transaction that is rolled back."""
    connection = await asyncpg.connect(database_url)
    await connection.transaction().start()
    await connection.execute("SET LOCAL ROLE ateneo_app")
    yield connection
    await connection.close()


async def of(connection: Connection, empresa_id: str) -> None:
    await connection.execute("SELECT set_config('ateneo.empresa_id', $1, true)", empresa_id)


async def refusal(connection: Connection, statement: str, *arguments: object) -> asyncpg.PostgresError:
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with connection.transaction():
            await connection.fetch(statement, *arguments)
    return refused.value


async def test_each_asks_for_the_company_before_it_looks_at_anything_else(app: Connection, database: Database) -> None:
    await keys.create(database, "borrada")
    await empresas.erase(database, "borrada")
    functions = await app.fetch(FUNCTIONS)
    assert len(functions) > 20
    for function in functions:
        others = "".join(f", NULL::{kind}" for kind in function["types"][1:])
        call = f"SELECT ateneo.{function['name']}($1{others})"
        await of(app, "")
        assert "no tenant set" in str(await refusal(app, call, "acme")), call
        await of(app, "acme")
        for other in ("otra", "", None):
            assert "another tenant" in str(await refusal(app, call, other)), call
        await of(app, "borrada")
        if function["writes"]:
            assert (await refusal(app, call, "borrada")).sqlstate == "AT004", call


async def test_those_that_take_no_company_ask_for_it_too(app: Connection, database: Database) -> None:
    others = FUNCTIONS.replace("p.proargnames[1] = 'p_empresa'", "p.proargnames[1] IS DISTINCT FROM 'p_empresa'")
    functions = await app.fetch(others)
    asking = [one for one in functions if one["name"] not in NO_TENANT_NEEDED]
    assert {one["name"] for one in asking} >= {"search", "own_document_id", "store_own_embeddings", "keep_stats"}
    for function in asking:
        nothing = ", ".join(f"NULL::{kind}" for kind in function["types"])
        await of(app, "")
        said = await refusal(app, f"SELECT ateneo.{function['name']}({nothing})")
        assert "no tenant set" in str(said), function["name"]
    await keys.create(database, "borrada")
    await empresas.erase(database, "borrada")
    await of(app, "borrada")
    none = "NULL::int2, NULL::text[], NULL::bytea[], NULL::vector[]"
    assert (await refusal(app, f"SELECT ateneo.store_own_embeddings({none})")).sqlstate == "AT004"


async def test_planner_settings_make_no_function_say_more(app: Connection, database: Database) -> None:
    """Leakproof comparisons run before anything that raises an error, but not inside of a function."""
    await synonyms.add(database, "otra", ["topacio", "fórmula"])
    await of(app, "acme")
    for setting in ("enable_indexscan", "enable_bitmapscan", "enable_seqscan"):
        await app.execute(f"SET LOCAL {setting} = off")
        said = []
        for word in ("primera", "topacio", "nadatal"):  # the first reads the catalogs
            explained = f"SELECT FROM ateneo.own_synonyms('acme') WHERE word ^@ '{word}'"
            plan = await app.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING off, SUMMARY off) {explained}")
            said.append(" ".join(row[0] for row in plan).replace(word, "…"))
        assert "actual rows=0" in said[1] and said[1] == said[2]


# --- the bill -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "figures",
    ["-1, 1, 1", "1, -1, 1", "1, 1, -1e-9", "1, 1, 'NaN'", "1, 1, 'Infinity'", "1, 1, '-Infinity'", "1, 1, 1e7",
     "1, 9223372036854775807, 1", "9223372036854775807, 1, 1", "NULL, 1, 1", "1, NULL, 1", "1, 1, NULL"],
)  # fmt: skip
async def test_only_a_cost_is_a_charge(app: Connection, database: Database, figures: str) -> None:
    await of(app, "acme")
    assert (await refusal(app, f"SELECT ateneo.own_charge('acme', 'p', 'm', {figures})")).sqlstate == "23514"
    assert (await refusal(app, "SELECT ateneo.own_charge('acme', 'p', repeat('m', 501), 1, 1, 1)")).sqlstate == "23514"


async def test_the_application_adds_to_its_bill_and_does_nothing_else_to_it(
    app: Connection, database: Database
) -> None:
    await usage.charge_now(database, "p", "m", {"acme": Share(1, 10, 0.5), "otra": Share(2, 20, 1.0)})
    for statement in (
        "UPDATE ateneo.embedding_usage SET usd = 0",
        "DELETE FROM ateneo.embedding_usage",
        "TRUNCATE ateneo.embedding_usage",
        "INSERT INTO ateneo.embedding_usage VALUES ('acme', 'p', 'm', current_date - 1, 1, 1, -9)",
        "SELECT * FROM ateneo.embedding_usage",
        "UPDATE ateneo.embedding_budget SET usd = 1e9",
    ):
        await of(app, "acme")
        assert (await refusal(app, statement)).sqlstate == "42501", statement
    await app.execute("SELECT ateneo.own_charge('acme', 'p', 'm', 3, 5, 0.25); RESET ROLE")
    rows = await app.fetch("SELECT empresa_id, texts, tokens, usd FROM ateneo.embedding_usage ORDER BY 1")
    assert [tuple(row) for row in rows] == [("acme", 4, 15, 0.75), ("otra", 2, 20, 1.0)]


@pytest.mark.parametrize("figure", [{"cost": -0.1}, {"cost": "NaN"}, {"input_tokens": -1}, {"cache_read_tokens": -5}])
async def test_an_answer_costs_no_less_than_nothing(app: Connection, database: Database, figure: object) -> None:
    answer = Answer("Sí.", (), "p", "m", extractive=False)
    mine = await conversations.begin(database, "acme", "a", "¿Sí?")
    await conversations.add(database, "acme", mine, "¿Sí?", answer)
    given = {"question": "q", "answer": "a", "state": "complete", "queries": [], "passages": [], "citations": [],
             "claims": [],
             "citations_dropped": 0, "provider": "p", "model": "m", "input_tokens": 1, "output_tokens": 1,
             "cache_read_tokens": 0, "cache_write_tokens": 0, "cost": 0.1, "latency_ms": 1}  # fmt: skip
    await of(app, "acme")
    call = "SELECT ateneo.own_turn_add('acme', $1, $2::text::jsonb)"
    assert await app.fetchval(call, mine, json.dumps(given)) == 1
    assert isinstance(figure, dict)
    assert (await refusal(app, call, mine, json.dumps(given | figure))).sqlstate == "23514"
