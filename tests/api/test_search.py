"""`/search/semantic`: the answers, and what it says to queries that are no queries."""

import http.client
import json

import httpx
import pytest
from tests.api.conftest import Api

PATH = "/search/semantic"


async def test_get(client: httpx.AsyncClient) -> None:
    answer = await client.get(PATH, params={"q": "¿cuánto me pagan si trabajo un feriado?", "k": 1})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["mode"] == "hybrid"
    assert [hit["source"] for hit in found["hits"]] == ["feriados.md"]
    assert "recargo" in found["hits"][0]["contenido"]
    assert found["hits"][0]["label"].startswith("Feriados y horas extra")


async def test_what_stands_around_a_hit_and_which_words_it_matched(client: httpx.AsyncClient) -> None:
    question = "jornal por un feriado"
    options: dict[str, str | int | bool] = {"k": 1, "mode": "lexical", "neighbours": 1, "section": True}
    options |= {"group_by_document": True, "highlight": True}
    asked = await client.get(PATH, params={"q": question, **options})
    posted = await client.post(PATH, json={"query": question, **options})
    assert asked.status_code == 200, asked.text
    assert asked.json() == posted.json()
    found = asked.json()
    hit = found["hits"][0]
    marked = {hit["contenido"][start:end].lower() for start, end in hit["highlights"]}
    assert marked == {"feriado", "feriados", "jornal"}
    assert hit["chunk_id"] in [one["chunk_id"] for one in hit["section"]]
    assert [one["chunk_index"] for one in hit["after"]] == [hit["chunk_index"] + 1]
    [group] = found["groups"]
    assert (group["source"], group["chunk_ids"][0]) == ("feriados.md", hit["chunk_id"])


async def test_post(client: httpx.AsyncClient) -> None:
    body = {"query": "antigüedad y descanso", "k": 1, "mode": "lexical", "dense_weight": 0.5}
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["mode"], answer.json()["dense_weight"]) == ("lexical", 0.5)
    assert "catorce" in answer.json()["hits"][0]["contenido"]


async def test_min_score_leaves_out_what_does_not_answer(client: httpx.AsyncClient) -> None:
    least: dict[str, str | float] = {"min_score": 0.1}
    asked = (await client.get(PATH, params={"q": "¿cuánto me pagan si trabajo un feriado?", **least})).json()
    posted = (await client.post(PATH, json={"query": "¿cuánto me pagan si trabajo un feriado?", **least})).json()
    assert asked == posted
    assert asked["hits"] and all(hit["relevance"] >= 0.1 for hit in asked["hits"])
    assert (await client.get(PATH, params={"q": "receta de pan casero", **least})).json()["hits"] == []


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
async def test_nothing_of_another_company_is_found(client: httpx.AsyncClient, api: Api, mode: str) -> None:
    question: dict[str, str | int] = {"q": "fórmula secreta del tinte índigo", "k": 200, "mode": mode}
    mine = (await client.get(PATH, params=question)).json()["hits"]
    theirs = (await client.get(PATH, params=question, headers=api.otra)).json()["hits"]
    assert all("índigo" not in hit["contenido"] for hit in mine)
    assert any("índigo" in hit["contenido"] for hit in theirs)


@pytest.mark.parametrize(
    ("query", "code"),
    [("", "empty-query"), (" \n\t", "empty-query"), ("\x00", "empty-query"), ("ñ" * 100_000, "query-too-long")],
    ids=["empty", "blank", "nul", "long"],
)
async def test_a_query_that_is_none(client: httpx.AsyncClient, query: str, code: str) -> None:
    answer = await client.post(PATH, json={"query": query})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["remedy"]


def test_a_long_query_in_the_address(api: Api) -> None:
    """With http.client: httpx itself refuses an address of this length."""
    connection = http.client.HTTPConnection(api.url.removeprefix("http://"))
    connection.request("GET", f"{PATH}?q={'a' * 100_000}", headers=api.acme)
    answer = connection.getresponse()
    said = json.load(answer)
    connection.close()
    assert (answer.status, said["code"]) == (422, "query-too-long")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"query": "feriado\\u0000 pago"}',
        b'{"query": "feriado \\ud800 pago"}',
        '{"query": "\N{RIGHT-TO-LEFT OVERRIDE}كم يوم إجازة feriado؟"}'.encode(),
        '{"query": "👩🏽‍🏭 feriado"}'.encode(),
    ],
    ids=["nul", "surrogate", "rtl", "emoji"],
)
async def test_a_strange_query_is_answered(client: httpx.AsyncClient, raw: bytes) -> None:
    answer = await client.post(PATH, content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["hits"]


async def test_strange_bytes_in_the_address(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{PATH}?q=feriado%00%ED%A0%80%FF")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"k": 0}, "k"),
        ({"k": 10**30}, "k"),
        ({"k": "diez"}, "k"),
        ({"neighbours": 11}, "neighbours"),
        ({"mode": "magic"}, "mode"),
        ({"dense_weight": 1.5}, "dense_weight"),
        ({"min_score": 1.5}, "min_score"),
        ({"dense_weigth": 0.5}, "dense_weigth"),
        ({"query": None}, "query"),
        ({"query": ["a"]}, "query"),
    ],
)
async def test_an_argument_that_is_wrong_is_named(
    client: httpx.AsyncClient, changed: dict[str, object], word: str
) -> None:
    answer = await client.post(PATH, json={"query": "feriado", **changed})
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'"x"', b'{"query": ' + b"[" * 100_000, b'{"k": ' + b"9" * 5000])
async def test_a_body_that_is_not_the_json_asked(client: httpx.AsyncClient, raw: bytes) -> None:
    answer = await client.post(PATH, content=raw, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_too_large(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={"query": "a" * 3_000_000})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
