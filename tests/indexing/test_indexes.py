"""Upkeep of the search index: who gets an HNSW index, when it goes, what churn and interruptions leave, and that
nobody is blocked meanwhile."""

import asyncio
import json

import asyncpg
import pytest

from ateneo.db import generations, indexes
from ateneo.db.pool import Connection, Database
from ateneo.errors import MaintenanceRunning
from ateneo.indexing import maintenance
from ateneo.indexing.maintenance import Tuned

DIMS = 8


async def _vectors(connection: Connection, empresa_id: str, count: int, *, dims: int = DIMS, first: int = 0) -> None:
    """Made-up vectors straight into the index: what is tested here begins after the triggers. Each is the sum of two of
    sixty random ones, which is quicker than as many random numbers."""
    await connection.execute(
        "WITH base AS MATERIALIZED (SELECT i, array_agg(random() - 0.5)::real[]::vector AS v"
        "   FROM generate_series(0, 59) i, generate_series(1, $4::int) GROUP BY i)"
        " INSERT INTO ateneo.vec_g1 SELECT $1, 'c' || n, l2_normalize(a.v + b.v * b.v)::halfvec"
        " FROM generate_series($3::int, $3::int + $2::int - 1) n"
        " JOIN base a ON a.i = n % 60 JOIN base b ON b.i = n / 60 % 60",
        empresa_id,
        count,
        first,
        dims,
    )


async def _stocked(db: Database, dims: int = DIMS, **companies: int) -> None:
    await generations.create(db, "local", "m", dims)
    async with db.acquire() as connection:
        for empresa_id, count in companies.items():
            await _vectors(connection, empresa_id, count, dims=dims)
        await connection.execute("ANALYZE ateneo.vec_g1")


async def _tune(db: Database, threshold: int, wait_s: float = 60) -> list[Tuned]:
    return [tuned async for tuned in maintenance.tune(db, threshold=threshold, wait_s=wait_s)]


async def _owners(db: Database) -> set[str]:
    return {c.empresa_id for c in await indexes.companies(db, 1) if c.index_name}


async def test_a_company_has_its_own_index_above_the_threshold_and_loses_it_below_half(database: Database) -> None:
    await _stocked(database, big=120, small=99)
    assert [(t.action, t.empresa_id) for t in await _tune(database, 100)] == [("create", "big"), ("vacuum", None)]
    assert await _owners(database) == {"big"}
    assert await _tune(database, 100) == []
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.vec_g1 WHERE empresa_id = 'big' AND chunk_id > 'c5'")
        left = await connection.fetchval("SELECT count(*) FROM ateneo.vec_g1 WHERE empresa_id = 'big'")
    assert 50 <= left < 100, "between half of the threshold and the threshold"
    assert "drop" not in [t.action for t in await _tune(database, 100)]
    assert await _owners(database) == {"big"}
    assert [t.action for t in await _tune(database, 2 * left + 1)] == ["drop"]
    assert await _owners(database) == set()


async def test_a_company_that_left_takes_its_index_along(database: Database) -> None:
    await _stocked(database, big=120)
    await _tune(database, 100)
    async with database.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.vec_g1")
        assert [t.action for t in await _tune(database, 100)] == ["drop"]
        assert await connection.fetchval("SELECT count(*) FROM ateneo.own_index") == 0


async def test_names_do_not_tell_whose_index_it_is(database: Database) -> None:
    await _stocked(database, acme=120)
    await _tune(database, 100)
    (name,) = [c.index_name for c in await indexes.companies(database, 1)]
    assert name is not None
    assert "acme" not in name


async def test_a_hostile_company_name_is_only_a_name(database: Database) -> None:
    hostile = "o'b\"; DROP TABLE ateneo.generation; --"
    await _stocked(database, **{hostile: 120})
    await _tune(database, 100)
    assert await _owners(database) == {hostile}
    assert len(await generations.all_generations(database)) == 1


@pytest.mark.parametrize(("changed", "action"), [(10, None), (40, "reindex")])
async def test_a_worn_graph_is_built_anew_before_the_vacuum(
    database: Database, changed: int, action: str | None
) -> None:
    await _stocked(database, big=120)
    await _tune(database, 100)
    async with database.acquire() as connection:
        # growth is no wear
        await _vectors(connection, "big", 60, first=1000)
        await connection.execute(
            "UPDATE ateneo.vec_g1 SET embedding = embedding WHERE chunk_id IN"
            " (SELECT chunk_id FROM ateneo.vec_g1 WHERE length(chunk_id) < 5 ORDER BY chunk_id LIMIT $1)",
            changed,
        )
    (company,) = await indexes.companies(database, 1)
    assert company.churn == pytest.approx(changed / 120)
    assert [t.action for t in await _tune(database, 100)] == ([action, "vacuum"] if action else [])
    (company,) = await indexes.companies(database, 1)
    assert company.churn == (0 if action else pytest.approx(changed / 120))


async def test_what_an_interrupted_build_left_is_cleaned_up(database: Database, database_url: str) -> None:
    await _stocked(database, big=120)
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await _vectors(writer, "other", 1)
    (task,) = await indexes.plan(database, 1, 100)
    async with database.acquire() as connection:
        await connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            # the writer is waited for only where it has the same partition
            await _vectors(writer, "big", 1, first=5000)
            await connection.execute(task.statement)
        await connection.execute("RESET lock_timeout")
    await transaction.rollback()
    await writer.close()
    assert [t.action for t in await indexes.plan(database, 1, 100)] == ["clean"]
    assert [t.action for t in await _tune(database, 100)] == ["clean", "create", "vacuum"]
    assert await _owners(database) == {"big"}


async def test_nobody_waits_for_tune(database: Database, database_url: str) -> None:
    """A transaction that has written stays open: the build waits for it, everyone else goes on."""
    await _stocked(database, big=120)
    holder, other = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    await other.execute("SET lock_timeout = '1s'; SET statement_timeout = '5s'")
    transaction = holder.transaction()
    await transaction.start()
    await _vectors(holder, "big", 1, first=5000)
    tuning = asyncio.create_task(_tune(database, 100))
    while not await other.fetchval("SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%'"):
        await asyncio.sleep(0.02)
    await _vectors(other, "big", 5, first=6000)
    await other.execute("UPDATE ateneo.vec_g1 SET embedding = embedding WHERE empresa_id = 'big' AND chunk_id = 'c1'")
    await other.execute("DELETE FROM ateneo.vec_g1 WHERE empresa_id = 'big' AND chunk_id = 'c2'")
    assert await other.fetchval("SELECT count(*) FROM ateneo.vec_g1") == 124
    with pytest.raises(MaintenanceRunning):
        await _tune(database, 100)
    assert not tuning.done()
    await transaction.commit()
    assert [(t.action, t.done) for t in await tuning] == [("create", True), ("vacuum", True)]
    await holder.close()
    await other.close()


async def test_a_forgotten_transaction_does_not_hold_tune_for_ever(database: Database, database_url: str) -> None:
    await _stocked(database, big=120)
    holder = await asyncpg.connect(database_url)
    transaction = holder.transaction()
    await transaction.start()
    await _vectors(holder, "big", 1, first=5000)
    assert [(t.action, t.done) for t in await _tune(database, 100, wait_s=0.2)] == [("create", False)]
    await transaction.rollback()
    await holder.close()
    assert [(t.action, t.done) for t in await _tune(database, 100)][-2:] == [("create", True), ("vacuum", True)]


async def test_one_connection_is_enough(database: Database, database_url: str) -> None:
    await _stocked(database, big=120)
    async with await Database.open(database_url, size=1) as narrow:
        seen: list[object] = []
        done = [t async for t in maintenance.tune(narrow, threshold=100, on_progress=lambda *told: seen.append(told))]
        assert [t.action for t in done] == ["create", "vacuum"]
        async with narrow.acquire() as connection:
            assert await connection.fetchval("SHOW lock_timeout") == "0"


async def test_tune_refreshes_statistics_that_no_longer_fit(database: Database) -> None:
    await generations.create(database, "local", "m", DIMS)
    async with database.acquire() as connection:
        for empresa_id, text in (("grown", "corto"), ("longer", "corto"), ("fine", "corto")):
            await connection.execute(
                "INSERT INTO knowledge_chunks (empresa_id, contenido)"
                " SELECT $1, $2 || ' palabra' || i FROM generate_series(1, 10) i",
                empresa_id,
                text,
            )
            await connection.execute("SELECT ateneo.refresh_stats($1)", empresa_id)
        await connection.execute(
            "INSERT INTO knowledge_chunks (empresa_id, contenido)"
            " SELECT 'grown', 'corto nuevo' FROM generate_series(1, 6)"
        )
        await connection.execute(
            "UPDATE knowledge_chunks SET contenido = contenido || ' tela hilo aguja costura dobladillo'"
            " WHERE empresa_id = 'longer'"
        )
    stale = {c.empresa_id: c.stats_stale for c in await indexes.companies(database, 1)}
    assert stale == {"grown": True, "longer": True, "fine": False}
    assert {(t.action, t.empresa_id) for t in await _tune(database, 100)} == {
        ("statistics", "grown"),
        ("statistics", "longer"),
    }
    after = {c.empresa_id: c for c in await indexes.companies(database, 1)}
    assert not any(c.stats_stale for c in after.values())
    assert after["grown"].stats_chunks == 16
    assert after["longer"].stats_avgdl == pytest.approx(after["longer"].avgdl)


# The dense leg of ateneo.search, as it stands in search.sql.
_KNN = """
CREATE FUNCTION pg_temp.plan_of(unit halfvec, tenant text, pool int) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
SET plan_cache_mode = force_custom_plan SET hnsw.ef_search = 120 SET random_page_cost = 1.1 AS $f$
DECLARE plan jsonb;
BEGIN
  EXECUTE format($q$ EXPLAIN (FORMAT JSON)
      SELECT v.chunk_id, v.embedding OPERATOR(public.<=>) $1 AS dist FROM %1$s v
      WHERE v.empresa_id = $2 AND $1 IS NOT NULL
      ORDER BY v.embedding OPERATOR(public.<=>) $1 LIMIT $3 $q$, 'ateneo.vec_g1')
    INTO plan USING unit, tenant, pool;
  RETURN plan;
END $f$
"""


async def test_the_plan_of_a_search(database: Database) -> None:
    """Exact for small companies, their own HNSW for large ones, and never a thought about anybody else's."""
    dims = 1024
    await _stocked(database, dims, big=2400, large=2200, small=300)
    await _tune(database, 2000)
    async with database.acquire() as connection:
        await connection.execute(_KNN)
        names = {c.empresa_id: c.index_name for c in await indexes.companies(database, 1)}
        for empresa_id in ("big", "large", "small", "nobody"):
            plan = await connection.fetchval(
                "SELECT pg_temp.plan_of(array_fill(0.1::real, ARRAY[$1::int])::halfvec, $2, 100)", dims, empresa_id
            )
            used = {value for value in _values(json.loads(plan), "Index Name") if "_own_" in str(value)}
            assert used == {names.get(empresa_id)} - {None}, empresa_id
            assert await indexes.indexed(database, 1, empresa_id) == names.get(empresa_id)
        assert (names["big"], names["large"]) != (None, None)
        assert names["small"] is None


def _values(tree: object, key: str) -> list[object]:
    if isinstance(tree, dict):
        return [v for k, v in tree.items() if k == key] + [x for v in tree.values() for x in _values(v, key)]
    return [x for item in tree for x in _values(item, key)] if isinstance(tree, list) else []


async def test_recall_is_measured_against_the_exact_scan(database: Database) -> None:
    dims = 64
    await _stocked(database, dims, big=2000, small=30)
    await _tune(database, 2000)
    found = {r.empresa_id: r for r in [r async for r in maintenance.measure_all(database, sample=20)]}
    assert found["small"].recall == 1
    assert found["small"].index_name is None
    assert found["big"].recall > 0.9
    kept = {c.empresa_id: (c.recall, c.recall_k) for c in await indexes.companies(database, 1)}
    assert kept["big"] == (found["big"].recall, 10)
    assert await maintenance.measure_recall(database, "nobody", 1) is None


async def test_a_bad_graph_shows_in_the_recall(database: Database) -> None:
    """A graph that has missed half of the company's vectors."""
    await _stocked(database, 1024, big=2400)
    await _tune(database, 2000)
    async with database.acquire() as connection:
        (company,) = await indexes.companies(database, 1)
        # autovacuum must not come between; an index that is not "ready" is read but not written to
        leaf = await connection.fetchval("SELECT tableoid::regclass::text FROM ateneo.vec_g1 LIMIT 1")
        await connection.execute(f"ALTER TABLE {leaf} SET (autovacuum_enabled = off)")
        await connection.execute(
            "UPDATE pg_index SET indisready = false WHERE indexrelid = to_regclass('ateneo.' || $1::text)",
            company.index_name,
        )
        await _vectors(connection, "big", 2400, dims=1024, first=10_000)
    measured = await maintenance.measure_recall(database, "big", 1, sample=20)
    assert measured is not None
    assert measured.index_name == company.index_name
    assert measured.recall < 0.8


async def test_a_graph_gets_the_effort_that_its_vectors_need(database: Database) -> None:
    """Where the least effort finds too little, as in this graph of few links, more is searched from then on."""
    await _stocked(database, 1024, big=2400)
    await _tune(database, 2000)
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT ef_search FROM ateneo.own_index") == 200
        definition = await connection.fetchval(
            "SELECT pg_get_indexdef(to_regclass('ateneo.' || ateneo.own_index_name(1::smallint, 'big')))"
        )
        await connection.execute("DROP INDEX ateneo." + str((await indexes.companies(database, 1))[0].index_name))
        await connection.execute(definition.replace("ef_construction='200'", "m=2, ef_construction=4"))
        await connection.execute("UPDATE ateneo.vec_g1 SET chunk_id = 'd' || chunk_id WHERE chunk_id < 'c2'")
    assert "reindex" in {t.action for t in await _tune(database, 2000)}
    (company,) = await indexes.companies(database, 1)
    async with database.acquire() as connection:
        effort = await connection.fetchval("SELECT ef_search FROM ateneo.own_index")
    assert effort > 200
    assert company.recall is not None
    assert company.recall >= 0.99 or effort == 1000
