"""The audit log: every request of a known caller, once, in its own company's audit log, and no text of anybody's."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.test_isolation_access import made

from ateneo.db import audit
from ateneo.db.audit import AuditEntry
from ateneo.db.pool import Database
from ateneo.errors import RightsMissing


def entries(api: Api, url: str | None = None) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {made(api, 'admin')}"}
    found: list[dict[str, Any]] = httpx.get(f"{url or api.url}/audit", headers=headers).json()["entries"]
    return found


async def test_writes_are_there_at_once_and_reads_soon(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, headers=api.acme, timeout=60) as client:
        text = "# Nota\n\nEl portón verde se cierra a las nueve."
        put = await client.post("/documents", files={"file": ("porton.md", text.encode())})
        document_id = put.json()["document_id"]
        latest = (await asyncio.to_thread(entries, api))[0]
        assert (latest["action"], latest["target"], latest["status"]) == ("upload_document", document_id, 201)
        assert latest["results"] == put.json()["chunks"]
        assert latest["actor"].startswith("key:")
        assert latest["request_id"] == put.headers["x-request-id"]
        found = await client.get("/search/semantic", params={"q": "portón verde", "k": 3})
        assert (await client.delete(f"/documents/{api.otra_document}")).status_code == 404
        assert (await client.delete(f"/documents/{document_id}")).status_code == 204
        for _ in range(100):
            seen = {one["request_id"]: one for one in await asyncio.to_thread(entries, api)}
            if found.headers["x-request-id"] in seen:
                break
            await asyncio.sleep(0.1)
    read = seen[found.headers["x-request-id"]]
    assert (read["action"], read["results"]) == ("search_semantic", len(found.json()["hits"]))
    assert not [one for one in seen.values() if "portón" in str(one)]


def test_a_streamed_answer_has_its_results(api: Api) -> None:
    asked = {"message": "¿Cuánto se paga en un feriado?"}
    lines = []
    for stream in (True, False):
        answer = httpx.post(f"{api.url}/agents/a/chat", headers=api.acme, json={**asked, "stream": stream}, timeout=60)
        for _ in range(100):
            found = [one for one in entries(api) if one["request_id"] == answer.headers["x-request-id"]]
            if found:
                break
            time.sleep(0.05)
        lines += found
    assert [(one["action"], one["results"]) for one in lines] == [("chat_with_agent", lines[1]["results"])] * 2
    assert lines[0]["results"]


def test_a_company_reads_its_own_audit_log_alone(api: Api) -> None:
    asyncio.run(_note(api.database_url, AuditEntry("otra", "key:ajena", "secreto", 200)))
    assert not [one for one in entries(api) if one["actor"] == "key:ajena"]


async def _note(url: str, entry: AuditEntry) -> None:
    async with await Database.open(url, size=1) as db:
        await audit.append(db, [entry])


def test_the_audit_log_is_paged(api: Api) -> None:
    headers = {"Authorization": f"Bearer {made(api, 'admin')}"}
    asyncio.run(_note(api.database_url, AuditEntry("acme", "a", "b", 200)))
    asyncio.run(_note(api.database_url, AuditEntry("acme", "c", "d", 200)))
    first = httpx.get(f"{api.url}/audit", headers=headers, params={"limit": 1}).json()
    second = httpx.get(f"{api.url}/audit", headers=headers, params={"limit": 1, "before": first["next"]}).json()
    assert first["entries"][0]["audit_id"] > second["entries"][0]["audit_id"]
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": -1}, {"before": 2**63}):
        assert httpx.get(f"{api.url}/audit", headers=headers, params=wrong).status_code == 422


async def test_lines_are_numbered_company_by_company(database: Database) -> None:
    """One sequence for all would tell each company how much the others do. Two writers at once take two numbers."""
    await audit.append(database, [AuditEntry("otra", "a", "b", 200)] * 3)
    line = AuditEntry("acme", "a", "b", 200)
    await asyncio.gather(*(audit.append(database, [line, line]) for _ in range(5)))
    assert [one.audit_id for one in await audit.page(database, "acme")] == list(range(10, 0, -1))
    assert [one.audit_id for one in await audit.page(database, "otra")] == [3, 2, 1]


@pytest.mark.parametrize(
    "statement", ["UPDATE ateneo.audit SET actor = 'x'", "DELETE FROM ateneo.audit", "TRUNCATE ateneo.audit"]
)
async def test_nobody_changes_the_audit_log(database: Database, statement: str) -> None:
    await audit.append(database, [AuditEntry("acme", "a", "b", 200)])
    with pytest.raises(RightsMissing):
        async with database.tenant("acme") as connection:
            await connection.execute(statement)
    with pytest.raises(RightsMissing, match="append-only"):
        async with database.transaction() as connection:
            await connection.execute(statement)
    assert len(await audit.page(database, "acme")) == 1
