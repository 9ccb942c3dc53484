"""A product writes all the while, two workers read, one is killed again and again: all ends as the table has it."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ateneo.db import passages
from ateneo.db import search as statements
from ateneo.db.pool import Database
from ateneo.db.search import Query
from ateneo.sources.service import SourceService
from ateneo.sources.worker import SourceWorker
from ateneo.types import Hit

TABLE = """CREATE TABLE ticket (id uuid PRIMARY KEY, tenant_id int, subject varchar(80), body text NOT NULL,
  visible boolean NOT NULL DEFAULT true)"""
KEY = "md5($1::int::text)::uuid"
STATEMENTS = (
    f"INSERT INTO ticket VALUES ({KEY}, $1 % 3, 'Asunto', 'La caldera ' || $2::int || ' hace ruido.')"
    " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    f"UPDATE ticket SET visible = NOT visible WHERE id = {KEY} AND $2::int >= 0",
    f"UPDATE ticket SET tenant_id = $2::int % 3 WHERE id = {KEY}",
    f"DELETE FROM ticket WHERE id = {KEY} AND $2::int >= 0",
)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Database]:
    """What the API has."""
    async with await Database.open(database_url, size=2, guarded=True) as db:
        yield db


async def _product(url: str, seed: int, app: Database) -> None:
    """Random statements, some in transactions that are rolled back; after a deletion it looks at once."""
    chance = random.Random(seed)
    connection = await asyncpg.connect(url)
    for turn in range(120):
        key, statement = chance.randrange(30) * 2 + seed % 2, chance.choice(STATEMENTS)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement, key, turn)
        if chance.random() < 0.2:
            await transaction.rollback()
            continue
        await transaction.commit()
        if statement.startswith("DELETE"):
            found = [hit for company in range(3) for hit in await _hits(app, company)]
            gone = await connection.fetchval(f"SELECT {KEY}::text", key)
            assert gone not in [hit.key[0] for hit in found]
    await connection.close()


async def _hits(app: Database, company: int) -> list[Hit]:
    query = Query(str(company), "caldera ruido", k=200, pool=400)
    return list((await statements.search(app, query, schema="public")).hits)


async def _killed_now_and_then(sources: SourceService) -> None:
    chance = random.Random(3)
    while True:
        task = asyncio.create_task(SourceWorker(sources).run_once())
        await asyncio.sleep(chance.random() / 5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_all_is_as_the_table_has_it(
    product: asyncpg.Connection, sources: SourceService, database_url: str, app: Database
) -> None:
    await product.execute(TABLE)
    await sources.add(await sources.draft("ticket"))
    killed = asyncio.create_task(_killed_now_and_then(sources))
    async with SourceWorker(sources).running():
        await asyncio.gather(*(_product(database_url, seed, app) for seed in (1, 2)))
    killed.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await killed
    await sources.sync("ticket")
    rows = await product.fetch("SELECT tenant_id::text AS e, id::text AS id, body FROM ticket WHERE visible")
    hits = [(str(company), hit) for company in range(3) for hit in await _hits(app, company)]
    twins = [(e, one.chunk_id) for e, hit in hits for one in hit.same_text]
    texts = {e: await passages.current(app, e, [c for company, c in twins if company == e]) for e in "012"}
    assert sorted([(e, hit.contenido.split("\n")[-1]) for e, hit in hits] + [
        (e, text.split("\n")[-1]) for e in texts for text in texts[e].values()
    ]) == sorted((row["e"], row["body"]) for row in rows)  # fmt: skip
    assert rows
    assert (await sources.check("ticket")).differences == 0
