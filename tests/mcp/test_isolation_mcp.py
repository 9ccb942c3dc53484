"""MCP's calls are in the company's audit log, and a company's words are in no answer to another, and in no log."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from tests.mcp.conftest import ATENEO, Place, environment, over_http, serving
from tests.mcp.test_mcp import post, said

from ateneo.db import audit, keys
from ateneo.db.audit import StoredEntry
from ateneo.db.pool import Database
from mcp import Client, StdioServerParameters

CANARY = {"acme": "zafirocanario7391", "otra": "topaziocanario2846"}


def over_stdio(place: Place, key: str) -> Client:
    variables = environment(place.database_url, ATENEO_API_KEY=key)
    return Client(StdioServerParameters(command=ATENEO, args=["mcp"], env=variables))


async def audit_log(db: Database, company: str, actor: str) -> list[StoredEntry]:
    """The lines of one key, oldest first."""
    found = await audit.page(db, company)
    return [one for one in reversed(found) if one.actor == f"key:{actor}"]


async def calls(client: Client, word: str, foreign: str) -> list[str]:
    """Every tool, as it works and as it does not; `word` is in all that is said, `foreign` another one's passage."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("search", {"query": f"jornal {word}", "k": 2}),
        ("list_documents", {}),
        ("ask", {"question": f"¿Cuánto pagan {word}?", "agent_id": word}),
        ("get_passage", {"chunk_id": foreign}),
        ("get_passage", {"chunk_id": word}),
        ("search", {"query": " "}),
        ("search", {"query": word, "filter": {"mime": {word: word}}}),
        ("search", {"query": word * 3000}),
        ("search", {"query": word, "k": word}),
        (f"no-hay-{word}", {word: word}),
    ]
    return [f"{said(one)} {one.structured_content}" for one in [await client.call_tool(*call) for call in asked]]


async def test_who_what_when_and_how_many(place: Place, db: Database) -> None:
    new = await keys.create(db, "acme", scopes=["read"])
    async with over_stdio(place, new.secret) as client:
        found = await client.call_tool("search", {"query": "feriado", "k": 1, "document_id": "de nadie"})
        assert not found.is_error
        await client.call_tool("search", {"query": "feriado", "k": 1})
        await client.call_tool("list_documents", {})
        await client.call_tool("get_passage", {"chunk_id": place.otra_chunk})
        await client.call_tool("ask", {"question": "¿cuánto pagan un feriado?"})
    lines = await audit_log(db, "acme", new.stored.key_id)
    assert [(one.action, one.status, one.results, one.target) for one in lines] == [
        ("mcp_search", 200, 0, "de nadie"),
        ("mcp_search", 200, 1, None),
        ("mcp_list_documents", 200, 1, None),
        ("mcp_get_passage", 422, None, place.otra_chunk),
        ("mcp_ask", 403, None, "asistente"),
    ]
    assert not [one for one in await audit.page(db, "otra") if one.target == place.otra_chunk]


async def test_over_http_too(place: Place, db: Database, http_url: str) -> None:
    new = await keys.create(db, "acme")
    async with over_http(http_url, new.secret) as client:
        assert not (await client.call_tool("ask", {"question": "¿cuánto pagan un feriado?"})).is_error
    for _ in range(50):  # reads are there within a second
        lines = await audit_log(db, "acme", new.stored.key_id)
        if lines:
            break
        await asyncio.sleep(0.1)
    assert [(one.action, one.status) for one in lines] == [("mcp_ask", 200)] and lines[0].results


async def test_a_companys_words_go_nowhere_else(place: Place, tmp_path: Path) -> None:
    answers: dict[str, list[str]] = {company: [] for company in CANARY}

    async def ask(company: str, opened: AbstractAsyncContextManager[Client]) -> None:
        async with opened as client:
            answers[company] += await calls(client, CANARY[company], place.otra_chunk)

    written = tmp_path / "log"
    with written.open("w") as output, serving(place, output) as address:
        await asyncio.gather(*(ask(company, over_http(address, place.keys[company])) for company in CANARY))
    for company in CANARY:
        await ask(company, over_stdio(place, place.keys[company]))
    for company, other in (("acme", "otra"), ("otra", "acme")):
        assert len(answers[company]) == 20
        own = "".join(answers[company])
        assert CANARY[company] in own and CANARY[other] not in own
        assert ("índigo" in own) == (company == "otra")
    log = written.read_text()
    assert log  # it starts with a line of uvicorn's
    for word in (*CANARY.values(), *place.keys.values(), "índigo"):
        assert word not in log, log


def test_an_address_that_guesses_is_told_to_wait(place: Place) -> None:
    with serving(place, ATENEO_FAILED_LOGINS_PER_MINUTE="2") as address:
        known = f"Bearer {place.keys['acme']}"
        assert post(address, Authorization=known).status_code == 200
        wrong = [post(address, Authorization=f"Bearer ate_{number:012x}_{'0' * 64}") for number in range(3)]
        assert [one.status_code for one in wrong] == [401, 401, 429]
        assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
        assert post(address, Authorization=known).status_code == 200
