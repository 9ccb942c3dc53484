"""`/agents` and `/conversations`: without a language model here."""

import asyncpg
import httpx
import pytest
from tests.api.conftest import Api
from tests.api.test_chat_stream import claude
from tests.providers.anthropic_server import message

CHAT = "/agents/asistente/chat"
QUESTION = {"message": "¿Cuánto se paga el feriado trabajado?"}


async def test_agents_are_made_listed_and_deleted(api: Api, client: httpx.AsyncClient) -> None:
    # otra's, so that the others' tests of acme go on without agents
    body = {"name": "Ana", "instructions": "Sos Ana.", "k": 5, "filter": {"area": "rrhh"}, "tools": []}
    made = await client.put("/agents/rrhh", json=body, headers=api.otra)
    assert made.status_code == 200, made.text
    assert made.json() == {"agent_id": "rrhh", "model": None, "language": None, "dense_weight": None,
                           "context_tokens": 4000, "answer_tokens": None} | body  # fmt: skip
    assert (await client.get("/agents", headers=api.otra)).json() == [made.json()]
    assert (await client.get("/agents")).json() == []
    unknown = await client.post("/agents/nadie/chat", json=QUESTION, headers=api.otra)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown")
    assert (await client.delete("/agents/rrhh")).status_code == 404
    assert (await client.delete("/agents/rrhh", headers=api.otra)).status_code == 204
    assert (await client.post("/agents/nadie/chat", json=QUESTION, headers=api.otra)).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [("/agents/a b", {}), ("/agents/a", {"k": 0}), ("/agents/a", {"tools": ["rm"]}), ("/agents/a", {"cosa": 1})],
)
async def test_an_agent_that_cannot_be(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    assert (await client.put(path, json=body)).status_code == 422


async def test_the_api_stores_no_agent_of_another_model_and_asks_none_by_any_route(api: Api) -> None:
    other = "claude-opus-5-5"
    async with claude(api, lambda n: message("El doble [1].")) as (http, server):
        refused = [
            await http.put("/agents/caro", json={"model": other}),
            await http.put("/agents/caro", json={"answer_tokens": 4097}),
        ]
        assert [one.status_code for one in refused] == [422, 422]
        assert "ATENEO_CHAT_MODELS" in refused[0].text and "answer_tokens" in refused[1].text
        connection = await asyncpg.connect(api.database_url)
        await connection.execute(
            f"INSERT INTO ateneo.agent (empresa_id, agent_id, model) VALUES ('acme', 'caro', '{other}')"
        )
        await connection.close()
        asked = [{"role": "user", "content": QUESTION["message"]}]
        routes: list[httpx.Response] = [
            await http.post("/agents/caro/chat", json=QUESTION),
            await http.post("/agents/caro/chat", json=QUESTION | {"stream": True}),
            await http.post("/v1/chat/completions", json={"model": "caro", "messages": asked}),
            await http.post("/v1/chat/completions", json={"model": "caro", "messages": asked, "stream": True}),
        ]
        assert [(one.status_code, one.json()["code"]) for one in routes] == [(409, "model-not-allowed")] * 4
        assert server.requests == []
        assert (await http.delete("/agents/caro")).status_code == 204


async def test_a_conversation_from_the_first_question_to_the_last(api: Api, client: httpx.AsyncClient) -> None:
    first = (await client.post(CHAT, json=QUESTION)).json()
    one = first["conversation_id"]
    second = (await client.post(CHAT, json={"message": "¿y las vacaciones?", "conversation_id": one})).json()
    assert (first["position"], second["position"], second["conversation_id"]) == (0, 1, one)
    listed = (await client.get("/conversations", params={"limit": 1})).json()
    assert listed["conversations"][0]["conversation_id"] == listed["next"] == one
    assert listed["conversations"][0]["turns"] == 2
    rated = await client.put(f"/conversations/{one}/feedback", json={"position": 0, "rating": 1, "comment": "bien"})
    assert rated.status_code == 204, rated.text
    turns = (await client.get(f"/conversations/{one}")).json()["turns"]
    assert [(turn["question"], turn["rating"]) for turn in turns] == [
        (QUESTION["message"], 1),
        ("¿y las vacaciones?", None),
    ]
    assert turns[0]["citations"] == first["citations"]
    for call in (client.get, client.delete):
        assert (await call(f"/conversations/{one}", headers=api.otra)).status_code == 404
    assert (await client.delete(f"/conversations/{one}")).status_code == 204
    gone = await client.post(CHAT, json=QUESTION | {"conversation_id": one})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown")


@pytest.mark.parametrize(
    "extra", [{"store": False}, {"history": [{"role": "user", "content": "Hola"}]}], ids=["store", "history"]
)
async def test_what_is_not_to_be_kept_is_not(client: httpx.AsyncClient, extra: dict[str, object]) -> None:
    assert (await client.post(CHAT, json=QUESTION | extra)).json()["conversation_id"] is None


async def test_strange_ids(client: httpx.AsyncClient) -> None:
    assert (await client.get("/conversations/%00%FF")).status_code == 404
    assert (await client.delete("/agents/%00%FF")).status_code == 404
    assert (await client.get("/conversations", params={"after": "nadie\x00"})).status_code == 200
    assert (await client.get("/conversations", params={"limit": 0})).status_code == 422
    assert (await client.put("/conversations/x/feedback", json={"position": -1, "rating": 1})).status_code == 422
    assert (await client.put("/conversations/x/feedback", json={"position": 0, "rating": 2})).status_code == 422
