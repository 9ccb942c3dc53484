"""Whoever works on the queue is seen in `ateneo status`, and no longer once it has ended."""

import asyncio

from tests.embedding.test_worker import insert, service, until
from tests.providers.server import ProviderServer

from ateneo.db import workers
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill


async def test_a_backfill_is_seen_while_it_works(database: Database) -> None:
    await insert(database, "a", "Un pasaje que espera su vector")
    with ProviderServer(dims=8) as server:
        server.gate.clear()
        async with service(server) as embedding:
            run = asyncio.create_task(Backfill(database, embedding, concurrency=1).run())

            async def asked() -> bool:
                return server.in_flight > 0

            await until(asked)
            [row] = await workers.alive(database)
            assert (row.state, row.note) == ("working", None)
            server.gate.set()
            assert (await run).processed == 1
    assert await workers.alive(database) == []
