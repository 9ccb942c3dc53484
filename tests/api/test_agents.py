"""`/agents/{agent_id}/chat`: answers with citations, without a language model here."""

import httpx
import pytest
from tests.api.conftest import Api

PATH = "/agents/asistente/chat"


async def test_an_answer_cites_the_companys_own_passages(client: httpx.AsyncClient) -> None:
    history = [{"role": "user", "content": "Hola"}, {"role": "assistant", "content": "Hola, ¿qué necesitás?"}]
    answer = await client.post(PATH, json={"message": "¿Cuánto se paga el feriado trabajado?", "history": history})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["extractive"] is True
    assert "recargo" in said["text"]
    assert (
        said["citations"][0]["quote"] in "El trabajo en día feriado nacional se paga con un recargo del cien por"
        " ciento sobre el jornal habitual."
    )
    assert f"[{said['citations'][0]['number']}]" in said["text"]


async def test_an_answer_never_quotes_another_company(client: httpx.AsyncClient, api: Api) -> None:
    question = {"message": "¿Cuál es la fórmula secreta del tinte índigo?"}
    assert "añil" not in (await client.post(PATH, json=question)).text
    assert "añil" in (await client.post(PATH, json=question, headers=api.otra)).text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"message": ""}, "empty-query"),
        ({"message": "a" * 100_000}, "query-too-long"),
        ({}, "validation"),
        ({"message": "x", "history": [{"role": "system", "content": "x"}]}, "validation"),
        ({"message": "x", "history": [{"role": "user", "content": ""}]}, "bad-argument"),
        ({"message": "x", "history": [{"role": "user", "content": "x"}] * 101}, "validation"),
    ],
    ids=["empty", "long", "missing", "role", "blank-turn", "many-turns"],
)
async def test_a_message_that_is_none(client: httpx.AsyncClient, body: dict[str, object], code: str) -> None:
    answer = await client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_strange_text_is_answered(client: httpx.AsyncClient) -> None:
    raw = b'{"message": "feriado\\u0000 \\ud800 \\u202e?", "history": [{"role": "user", "content": "\\udfff"}]}'
    answer = await client.post("/agents/%00%FF/chat", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
