"""`POST /retrieval`, as Dify's External Knowledge API asks it."""

from typing import Any

import httpx
import pytest
from tests.api.conftest import Api

from ateneo.search.options import MOST_HITS

QUESTION = "¿Cuánto se paga el feriado trabajado?"


def asking(**more: Any) -> dict[str, Any]:
    setting = {"top_k": 3, "score_threshold": 0.0}
    return {"knowledge_id": "acme", "query": QUESTION, "retrieval_setting": setting} | more


def met(*conditions: tuple[list[str], str, Any], logical_operator: str = "and") -> dict[str, Any]:
    made = [{"name": name, "comparison_operator": how, "value": value} for name, how, value in conditions]
    return {"logical_operator": logical_operator, "conditions": made}


async def retrieved(client: httpx.AsyncClient, **more: Any) -> list[dict[str, Any]]:
    answer = await client.post("/retrieval", json=asking(**more))
    assert answer.status_code == 200, answer.text
    records: list[dict[str, Any]] = answer.json()["records"]
    return records


async def test_records_have_what_dify_reads(client: httpx.AsyncClient) -> None:
    [first, *_] = records = await retrieved(client)
    assert "recargo" in first["content"]
    assert first["title"].startswith("Feriados y horas extra")
    assert all(0 <= one["score"] <= 1 for one in records)
    assert [one["score"] for one in records] == sorted((one["score"] for one in records), reverse=True)
    assert first["metadata"]["source"] == "feriados.md"


async def test_a_threshold(client: httpx.AsyncClient) -> None:
    best = (await retrieved(client))[0]["score"]
    assert await retrieved(client, retrieval_setting={"top_k": 3, "score_threshold": min(1.0, best + 0.05)}) == []
    assert len(await retrieved(client, retrieval_setting={"top_k": 1, "score_threshold": 0.0})) == 1


async def test_conditions(client: httpx.AsyncClient) -> None:
    assert await retrieved(client, metadata_condition=met((["source"], "is", "feriados.md")))
    assert not await retrieved(client, metadata_condition=met((["source"], "is not", "feriados.md")))
    between = met((["chunk_index"], "≥", "0"), (["chunk_index"], "<", 1))
    assert len(await retrieved(client, metadata_condition=between)) == 1
    assert not await retrieved(client, metadata_condition=met((["area"], "not empty", None)))


async def test_an_agents_filter_is_a_knowledge_of_its_own(client: httpx.AsyncClient) -> None:
    await client.put("/agents/vacia", json={"filter": {"source": "otro.md"}})
    try:
        assert await retrieved(client, knowledge_id="vacia") == []
    finally:
        await client.delete("/agents/vacia")


async def test_its_description_says_how_much_may_be_asked_for(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["components"]["schemas"]["Setting"]["properties"]
    assert described["top_k"]["maximum"] == MOST_HITS
    assert described["score_threshold"]["maximum"] == 1


@pytest.mark.parametrize(
    ("headers", "more", "status", "code"),
    [
        ({"Authorization": ""}, {}, 401, 1001),
        ({"Authorization": "Bearer ate_no"}, {}, 401, 1002),
        ({}, {"knowledge_id": "otra"}, 404, 2001),
        ({}, {"metadata_condition": met((["area"], "contains", "x"))}, 422, 422),
        ({}, {"metadata_condition": met((["a"], "is", 1), (["b"], "is", 1), logical_operator="or")}, 422, 422),
        ({}, {"query": " "}, 422, 422),
    ],
    ids=["no key", "a wrong key", "another company", "contains", "or", "nothing asked"],
)
async def test_errors_have_the_fields_that_dify_reads(
    client: httpx.AsyncClient, headers: dict[str, str], more: dict[str, Any], status: int, code: int
) -> None:
    answer = await client.post("/retrieval", json=asking(**more), headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] == code
    assert answer.json()["error_msg"]


async def test_each_key_sees_its_company(client: httpx.AsyncClient, api: Api) -> None:
    query = "¿Cuál es la fórmula secreta del tinte índigo?"
    assert all("añil" not in one["content"] for one in await retrieved(client, query=query))
    answer = await client.post("/retrieval", json=asking(knowledge_id="otra", query=query), headers=api.otra)
    assert "añil" in answer.json()["records"][0]["content"]
