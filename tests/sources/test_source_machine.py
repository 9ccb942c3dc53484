"""A product writes to its table all the while; workers run, or are killed in the middle.

After a worker ran, search sees exactly the committed rows that meet the condition, each in its own company. At every
moment what was withdrawn is found by nobody.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from tests.examples import examples

from ateneo.db import search as statements
from ateneo.db.pool import Database
from ateneo.db.search import Query
from ateneo.db.source_rows import alone, claim, stored_page
from ateneo.db.source_rows import remove as remove_rows
from ateneo.embedding.current_model import Models
from ateneo.factories.embedders import make_models
from ateneo.settings import load
from ateneo.sources.service import SourceService
from ateneo.types import Hit

KEYS = st.integers(0, 4)
COMPANY = st.sampled_from((1, 2, None))
WORD = st.sampled_from(("caldera", "feriado"))
SHOWN = st.booleans()
WEIGHT = st.integers(0, 2)
TABLE = """
CREATE SCHEMA product;
CREATE TABLE product.note (
  account_id int, id uuid PRIMARY KEY, body text NOT NULL, weight int NOT NULL, deleted_at timestamptz)"""
INSERT = """INSERT INTO product.note
  VALUES ($2, md5($1::int::text)::uuid, 'La ' || $3::text || ' es cosa sabida.', $4, NULL)
  ON CONFLICT (id) DO UPDATE SET body = excluded.body, account_id = excluded.account_id, weight = excluded.weight"""
ROW = "WHERE id = md5($1::int::text)::uuid"
CONDITION = "deleted_at IS NULL AND 10 / weight > 0"
"""It fails on rows of no weight."""


class Killed(Exception):
    """What ends a worker in the middle of its transaction."""


class Table(RuleBasedStateMachine):
    """The rules; a subclass names the parts that they run on."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    product: ClassVar[asyncpg.Connection]
    sources: ClassVar[SourceService]
    database: ClassVar[Database]
    app: ClassVar[Database]

    def run_(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def write(self, statement: str, *arguments: object) -> None:
        self.run_(self.product.execute(statement, *arguments))

    @initialize()
    def begin(self) -> None:
        self.open: Any = None
        self.write("TRUNCATE product.note")
        self.run_(self.sources.sync("note"))

    @rule(key=KEYS, company=COMPANY, word=WORD, weight=WEIGHT)
    def insert(self, key: int, company: int | None, word: str, weight: int) -> None:
        self.write(INSERT, key, company, word, weight)

    @rule(word=WORD, weight=WEIGHT)
    def insert_many(self, word: str, weight: int) -> None:
        for key in (0, 1):
            self.write(f"DELETE FROM product.note {ROW}", key)
        self.run_(
            self.product.execute(
                "INSERT INTO product.note SELECT 1 + n, md5(n::text)::uuid, 'La ' || $1::text || ' de todos.', $2, NULL"
                " FROM generate_series(0, 1) n",
                word,
                weight,
            )
        )

    @rule(key=KEYS, word=WORD)
    def edit(self, key: int, word: str) -> None:
        self.write(f"UPDATE product.note SET body = 'Otra ' || $2::text || ' distinta.' {ROW}", key, word)

    @rule(key=KEYS, shown=SHOWN)
    def discard(self, key: int, shown: bool) -> None:
        self.write(f"UPDATE product.note SET deleted_at = CASE WHEN $2 THEN NULL ELSE now() END {ROW}", key, shown)

    @rule(weight=WEIGHT)
    def weigh_all(self, weight: int) -> None:
        self.write("UPDATE product.note SET weight = $1", weight)

    @rule(key=KEYS, company=COMPANY)
    def move(self, key: int, company: int | None) -> None:
        self.write(f"UPDATE product.note SET account_id = $2 {ROW}", key, company)

    @rule(key=KEYS, other=KEYS)
    def swap_keys(self, key: int, other: int) -> None:
        self.write(
            f"UPDATE product.note SET id = md5($2::int::text)::uuid {ROW}"
            " AND NOT EXISTS (SELECT FROM product.note o WHERE o.id = md5($2::int::text)::uuid)",
            key,
            other,
        )

    @rule(key=KEYS)
    def delete(self, key: int) -> None:
        self.write(f"DELETE FROM product.note {ROW}", key)

    @rule()
    def delete_all(self) -> None:
        self.write("DELETE FROM product.note")

    @rule(commit=st.booleans())
    def truncate(self, commit: bool) -> None:
        """Alone: it holds up whoever reads the table, so that the machine would wait for itself."""
        if self.open is None:
            self.begin_a_transaction()
            self.write("TRUNCATE product.note")
            self.end_the_transaction(commit)

    @rule()
    def begin_a_transaction(self) -> None:
        if self.open is None:
            self.open = self.product.transaction()
            self.run_(self.open.start())

    @rule(commit=st.booleans())
    def end_the_transaction(self, commit: bool) -> None:
        if self.open is not None:
            self.run_(self.open.commit() if commit else self.open.rollback())
            self.open = None

    @rule()
    def a_worker_is_killed(self) -> None:
        """After it has removed what is stored, and before it commits."""

        async def work() -> None:
            source = await self.sources.show("note")
            async with alone(self.database, source) as connection:
                assert connection is not None
                await claim(connection, source, 10)
                await remove_rows(connection, source, await stored_page(connection, source, 10))
                raise Killed

        with pytest.raises(Killed):
            self.run_(work())

    @rule()
    def the_worker_runs(self) -> None:
        self.run_(self.sources.sync("note"))
        self.run_(self.sees_all())

    @rule()
    def restore(self) -> None:
        """What no trigger sees."""
        if self.open is None:
            self.write("SET session_replication_role = replica")
            self.write("UPDATE product.note SET body = 'La caldera restaurada.'")
            self.write("SET session_replication_role = origin")
            self.run_(self.sources.check("note"))
            self.the_worker_runs()

    def teardown(self) -> None:
        if getattr(self, "open", None) is not None:
            self.end_the_transaction(commit=False)

    @invariant()
    def nothing_withdrawn_is_found(self) -> None:
        if hasattr(self, "open"):
            self.run_(self.sees_nothing_withdrawn())

    async def committed(self) -> dict[tuple[int, str], str]:
        async with self.database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT account_id, id::text AS id, body FROM product.note"
                " WHERE account_id IS NOT NULL AND deleted_at IS NULL AND weight > 0"
            )
        return {(row["account_id"], row["id"]): row["body"] for row in rows}

    async def find(self, company: int) -> tuple[Hit, ...]:
        query = Query(str(company), "caldera feriado", k=50)
        return (await statements.search(self.app, query, schema="public")).hits

    async def found(self) -> dict[tuple[int, str], str]:
        hits = [(company, hit) for company in (1, 2) for hit in await self.find(company)]
        assert all(hit.source == "note" for _, hit in hits)
        same = [(company, one.chunk_id) for company, hit in hits for one in hit.same_text]
        async with self.database.acquire() as connection:
            more = await connection.fetch(
                "SELECT r.empresa_id::int AS company, r.key[1] AS id, k.contenido FROM ateneo.source_row r"
                " JOIN knowledge_chunks k ON k.empresa_id = r.empresa_id AND k.id = ANY ($1::text[])"
                "  AND left(k.id, 32) = r.row_id",
                [chunk for _, chunk in same],
            )
        others = {(row["company"], row["id"]): row["contenido"] for row in more}
        return {(company, hit.key[0]): hit.contenido for company, hit in hits} | others

    async def sees_all(self) -> None:
        assert await self.found() == await self.committed()

    async def sees_nothing_withdrawn(self) -> None:
        assert (await self.found()).keys() <= (await self.committed()).keys()


@contextmanager
def opened(database_url: str) -> Iterator[type[Table]]:
    """The rules on an event loop and connections of their own."""
    with asyncio.Runner() as runner:

        async def begin() -> tuple[asyncpg.Connection, Database, Database, Models]:
            product = await asyncpg.connect(database_url)
            await product.execute("SELECT set_config('lock_timeout', '5s', false)")
            database, models = await Database.open(database_url, size=3), make_models(load())
            sources = SourceService(database, models)
            await product.execute(TABLE)
            await sources.add(await sources.draft("product.note", condition=CONDITION, metadata=("weight",)))
            app = await Database.open(database_url, size=2, guarded=True)
            return product, database, app, models

        product, database, app, models = runner.run(begin())
        parts = {"loop": runner.get_loop(), "product": product, "database": database, "app": app}
        yield type("Opened", (Table,), {**parts, "sources": SourceService(database, models)})
        for one in (product, app, database, models):
            runner.run(one.close())


def run_examples(database_url: str, count: int, steps: int) -> None:
    with opened(database_url) as machine:
        run_machine(
            machine,
            settings=settings(
                max_examples=examples(count), stateful_step_count=steps, suppress_health_check=list(HealthCheck)
            ),
        )


def test_search_sees_the_committed_rows(database_url: str) -> None:
    run_examples(database_url, 12, 20)


@pytest.mark.hypothesis
@pytest.mark.long
def test_search_sees_the_committed_rows_in_many_orders(database_url: str) -> None:
    run_examples(database_url, 150, 30)
