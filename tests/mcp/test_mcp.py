"""`ateneo mcp` as other programs meet it: the SDK's own client, over stdio and over HTTP."""

import asyncio
import subprocess
from typing import Any

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from tests.mcp.conftest import ATENEO, Connect, Place, environment, over_http, serving
from tests.providers.server import ProviderServer

from ateneo.agents.citations import occurs
from ateneo.db import generations, keys
from ateneo.db.pool import Database
from ateneo.embedding import switch
from mcp import Client, StdioServerParameters


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, said(result)
    content = result.structured_content
    assert isinstance(content, dict)
    return content


def said(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


def post(url: str, **headers: str) -> httpx2.Response:
    """A bare request, as any HTTP client sends it."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    return httpx2.post(url, json=message, headers={"Accept": "application/json, text/event-stream", **headers})


async def test_the_four_tools(place: Place, connect: Connect) -> None:
    async with connect(place.keys["acme"]) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"search", "get_passage", "list_documents", "ask"}
        assert all(tool.annotations and tool.annotations.read_only_hint and tool.description for tool in tools)

        found = await answer(client, "search", query="¿cuánto me pagan si trabajo un feriado?", k=2)
        first = found["hits"][0]
        assert "recargo del cien por ciento" in first["contenido"]
        assert first["label"] == "Feriados y horas extra · Pago"

        whole = await answer(client, "get_passage", chunk_id=first["chunk_id"])
        assert whole["contenido"] == first["contenido"] and whole["source"] == "feriados.md"
        assert ["catorce días" in one["contenido"] for one in whole["after"]] == [True] and whole["before"] == []

        listed = await answer(client, "list_documents", limit=1)
        assert [one["source"] for one in listed["documents"]] == ["feriados.md"]
        assert await answer(client, "list_documents", after=listed["next"]) == {"documents": [], "next": None}

        reply = await answer(client, "ask", question="¿cuántos días de descanso anual me corresponden?")
        cited = reply["citations"][0]
        source = await answer(client, "get_passage", chunk_id=cited["chunk_id"], neighbours=0)
        assert f"[{cited['number']}]" in reply["text"] and occurs(cited["quote"], source["contenido"])
        assert source["document_id"] == cited["document_id"] == listed["documents"][0]["document_id"]


async def test_another_company_is_not_there(place: Place, connect: Connect) -> None:
    async with connect(place.keys["acme"]) as client:
        found = await answer(client, "search", query="fórmula secreta del tinte índigo", k=50)
        assert found["hits"] and not any("índigo" in hit["contenido"] for hit in found["hits"])
        only = await answer(client, "search", query="tinte", filter={"source": "formula.md"})
        assert only["hits"] == []
        assert not (await answer(client, "search", query="receta de pan casero", min_score=0.2))["hits"]
        theirs = await client.call_tool("get_passage", {"chunk_id": place.otra_chunk})
        none = await client.call_tool("get_passage", {"chunk_id": "x" * len(place.otra_chunk)})
        assert theirs.is_error and said(none).replace("x" * len(place.otra_chunk), place.otra_chunk) == said(theirs)
    async with connect(place.keys["otra"]) as client:
        assert "índigo" in (await answer(client, "get_passage", chunk_id=place.otra_chunk))["contenido"]


async def test_what_goes_wrong_is_said_to_the_model(place: Place, connect: Connect) -> None:
    async with connect(place.keys["acme"]) as client:
        empty = await client.call_tool("search", {"query": "  \x00 "})
        assert empty.is_error and "La consulta está vacía" in said(empty) and "Escribí una pregunta" in said(empty)
        wrong = await client.call_tool("search", {"query": "feriado", "filter": {"mime": {"parecido": "pdf"}}})
        assert wrong.is_error and "parecido" in said(wrong)
        assert (await client.call_tool("search", {"query": "feriado", "k": 0})).is_error
        odd = {"query": "feriado", "filtro": {"area": "rrhh"}, "min-score": 0.9}
        unknown = await client.call_tool("search", odd)
        assert unknown.is_error and all(one in said(unknown) for one in ("filtro", "min-score", "filter", "min_score"))
        assert (await client.call_tool("list_documents", {"x" * 9000: 1})).is_error
        assert (await client.call_tool("nada", {"x": 1})).is_error
        closed = [one.input_schema["additionalProperties"] for one in (await client.list_tools()).tools]
        assert closed == [False] * 4
        # and the server goes on
        assert (await answer(client, "search", query="feriado"))["hits"]


async def test_a_revoked_key_ends_in_the_middle_of_a_conversation(place: Place, db: Database, http_url: str) -> None:
    new = await keys.create(db, "acme")
    async with over_http(http_url, new.secret) as client:
        assert (await answer(client, "search", query="feriado"))["hits"]
        await keys.revoke(db, new.stored.key_id)
        with pytest.raises(MCPError):
            await client.call_tool("search", {"query": "feriado"})
    assert post(http_url, Authorization=f"Bearer {new.secret}").status_code == 401


async def test_a_revoked_key_ends_on_stdio_too(place: Place, db: Database) -> None:
    new = await keys.create(db, "acme")
    variables = environment(place.database_url, ATENEO_API_KEY=new.secret, ATENEO_LANG="en")
    async with Client(StdioServerParameters(command=ATENEO, args=["mcp"], env=variables)) as client:
        await keys.revoke(db, new.stored.key_id)
        refused = await client.call_tool("list_documents", {})
        assert refused.is_error and "revoked" in said(refused)


async def test_companies_at_the_same_time(place: Place, http_url: str) -> None:
    async with (
        over_http(http_url, place.keys["acme"]) as acme,
        over_http(http_url, place.keys["otra"]) as otra,
    ):
        calls = [(client, source) for client, source in ((acme, "feriados.md"), (otra, "formula.md")) for _ in range(8)]
        lists = await asyncio.gather(*(answer(client, "list_documents") for client, _ in calls))
        assert [[one["source"] for one in listed["documents"]] for listed in lists] == [[name] for _, name in calls]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer ate_falsa"}, {"Authorization": "Basic YTpi"}])
def test_http_without_a_key_is_refused(http_url: str, header: dict[str, str]) -> None:
    refused = post(http_url, **header)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_a_strange_host_is_refused(place: Place, http_url: str) -> None:
    bearer = f"Bearer {place.keys['acme']}"
    assert post(http_url, Authorization=bearer).status_code == 200
    assert post(http_url, Authorization=bearer, Host="evil.example").status_code == 421


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
def test_a_proxys_name_is_taken_and_no_other(place: Place, listening: str) -> None:
    bearer = f"Bearer {place.keys['acme']}"
    with serving(place, options=["--host", listening, "--allow-host", "kb.example"]) as address:
        said = {
            host: post(address, Authorization=bearer, Host=host).status_code
            for host in ("kb.example", "kb.example:8443", "localhost", "evil.example", "kb.example.evil.example")
        }
    assert said == {
        "kb.example": 200, "kb.example:8443": 200, "localhost": 200, "evil.example": 421,
        "kb.example.evil.example": 421,
    }  # fmt: skip


@pytest.mark.parametrize(("key", "code", "word"), [(None, 2, "ATENEO_API_KEY"), ("ate_falsa", 1, "clave de API")])
def test_stdio_needs_a_key(place: Place, key: str | None, code: int, word: str) -> None:
    variables = environment(place.database_url, **({"ATENEO_API_KEY": key} if key else {}))
    run = subprocess.run(
        [ATENEO, "mcp"], env=variables, input="", capture_output=True, text=True, timeout=60, check=False
    )
    shown = run.stdout + run.stderr
    assert (run.returncode, run.stdout) == (code, "")
    assert word in shown and "Traceback" not in shown


async def test_stdio_serves_nothing_from_vectors_of_another_model(database: Database, database_url: str) -> None:
    await generations.create(database, "local", "otro", 3)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ('c', 'acme', 'El feriado');"
            "INSERT INTO ateneo.vec_g1 (empresa_id, chunk_id, embedding) VALUES ('acme', 'c', '[1,0,0]')"
        )
    variables = environment(database_url, ATENEO_API_KEY=(await keys.create(database, "acme")).secret)
    run = await asyncio.create_subprocess_exec(ATENEO, "mcp", env=variables, stdin=-3, stdout=-1, stderr=-1)
    shown, errors = await asyncio.wait_for(run.communicate(), 60)
    assert (run.returncode, shown) == (1, b"")
    assert b"otro" in errors and b"Traceback" not in errors


def test_a_key_that_asks_too_fast_is_told_when_to_come_back(place: Place) -> None:
    bearer = f"Bearer {place.keys['acme']}"
    with serving(place, ATENEO_REQUESTS_PER_MINUTE="1", ATENEO_LANG="en") as address:
        assert post(address, Authorization=bearer).status_code == 200
        slower = post(address, Authorization=bearer)
    assert slower.status_code == 429 and 0 < int(slower.headers["retry-after"]) <= 60
    assert "key" in slower.text


async def test_a_key_without_the_scope_may_not_ask_an_agent(place: Place, db: Database, http_url: str) -> None:
    reader = await keys.create(db, "acme", scopes=["read"])
    async with over_http(http_url, reader.secret) as client:
        assert (await answer(client, "search", query="feriado"))["hits"]
        refused = await client.call_tool("ask", {"question": "¿cuánto pagan un feriado?"})
    assert refused.is_error and "agents" in said(refused)


async def test_after_a_switch_and_a_prune_it_serves_the_active_model(database: Database, database_url: str) -> None:
    """The settings' own model is still the one before; what the active one takes is in them, too."""
    await generations.create(database, "local", "uno-de-antes", 8)
    switched = await generations.create(database, "openai", "nuevo", 8, 8)
    await generations.activate(database, switched.number)
    async with database.acquire() as connection:
        await connection.execute("SELECT ateneo.mark_column($1::smallint)", switched.number)
        await connection.execute(
            "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
            " VALUES ('c', 'acme', 'El feriado se paga doble', array_fill(1.0::real, ARRAY[8])::vector)"
        )
    assert await switch.prune(database, await switch.prunable(database))
    key = (await keys.create(database, "acme")).secret
    with ProviderServer(dims=8) as server:
        reach = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url, "ATENEO_EMBEDDING_PROVIDER": "local"}
        variables = environment(database_url, ATENEO_API_KEY=key, **reach)
        async with Client(StdioServerParameters(command=ATENEO, args=["mcp"], env=variables)) as client:
            [hit] = (await answer(client, "search", query="feriado"))["hits"]
            assert hit["chunk_id"] == "c"
        with serving(Place(database_url, {}, ""), None, **reach) as address:
            assert post(address, Authorization=f"Bearer {key}").status_code == 200


@pytest.mark.parametrize("levels", [33, 900, 2000, 100_000])
def test_a_filter_that_is_too_deep(place: Place, http_url: str, levels: int) -> None:
    """The SDK refuses what its parser does not take, and the tool the rest; nothing fails."""
    given = '{"a":' * levels + "1" + "}" * levels
    arguments = f'{{"query": "x", "filter": {given}}}'
    params = f'{{"name": "search", "arguments": {arguments}}}'
    call = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'
    accepts = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    headers = accepts | {"Authorization": f"Bearer {place.keys['acme']}"}
    answer = httpx2.post(http_url, content=call, headers=headers)
    assert answer.status_code < 500
    assert answer.status_code >= 400 or '"isError":true' in answer.text.replace(" ", ""), answer.text
    assert "32" in answer.text or answer.status_code == 400
