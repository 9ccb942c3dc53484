"""With ATENEO_KEEP_QUERIES the API keeps what people search for; without it, nothing."""

import httpx
import pytest
from tests.api.conftest import new_key
from tests.api.server import serving, settings

from ateneo.db import query_log
from ateneo.db.pool import Database


@pytest.mark.parametrize("days", ["0", "7"])
async def test_searches_are_kept_if_the_settings_say_so(database: Database, database_url: str, days: str) -> None:
    headers = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    with serving(settings(database_url, ATENEO_KEEP_QUERIES=days)) as url:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
            assert (await client.get("/search/semantic", params={"q": " ¿Quién firma?"})).status_code == 200
            assert (await client.post("/search/semantic", json={"query": "¿Cuándo vence?"})).status_code == 200
            assert (await client.post("/search/semantic", json={"query": "x" * 5000})).status_code == 422
    found = await query_log.sample(database, None, 10, "s")
    asked = {("acme", "¿Quién firma?"), ("acme", "¿Cuándo vence?")}
    assert {(one.empresa_id, one.text) for one in found} == (asked if days == "7" else set())
