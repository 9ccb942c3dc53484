"""`GET /gaps`: what a company's people asked in vain, and that searches are kept only where the settings say so."""

import httpx
from tests.api.conftest import new_key
from tests.api.server import serving, settings


async def test_a_search_and_a_conversation_without_an_answer(database_url: str) -> None:
    acme = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    otra = {"Authorization": f"Bearer {await new_key(database_url, 'otra')}"}
    with serving(settings(database_url, ATENEO_KEEP_QUERIES="7")) as url:
        async with httpx.AsyncClient(base_url=url, headers=acme, timeout=60) as client:
            await client.get("/search/semantic", params={"q": "¿Hay guardería?"})
            await client.post("/search/semantic", json={"query": "¿Y con filtro?", "filter": {"area": "rrhh"}})
            await client.post("/agents/asistente/chat", json={"message": "¿Hay comedor?"})
    with serving(settings(database_url)) as url:  # what waited is stored when the first has stopped
        async with httpx.AsyncClient(base_url=url, headers=acme, timeout=60) as client:
            found = (await client.get("/gaps")).json()
            assert {one["question"]: one["reasons"] for one in found["gaps"]} == {
                "¿Hay guardería?": ["nothing_found"],
                "¿Hay comedor?": ["unknown"],
            }
            assert "ATENEO_KEEP_QUERIES" in found["warnings"][0]
            assert (await client.get("/gaps", headers=otra)).json()["gaps"] == []
            assert len((await client.get("/gaps", params={"limit": 1})).json()["gaps"]) == 1
            wrong = await client.get("/gaps", params={"days": 0})
            assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-argument")


async def test_a_search_whose_best_passage_answers_something_else(database_url: str) -> None:
    acme = {"Authorization": f"Bearer {await new_key(database_url, 'acme')}"}
    text = "Por mudanza se otorgan dos días corridos de licencia, con aviso previo de una semana."
    with serving(settings(database_url, ATENEO_KEEP_QUERIES="7")) as url:
        async with httpx.AsyncClient(base_url=url, headers=acme, timeout=60) as client:
            stored = await client.post("/documents", files={"file": ("licencias.md", text.encode())})
            assert stored.status_code == 201, stored.text
            for query in ("licencia por mudanza", "repuestos de motos japonesas"):
                found = (await client.get("/search/semantic", params={"q": query})).json()
                assert [hit["relevance"] for hit in found["hits"]] == [None]
    with serving(settings(database_url)) as url:
        async with httpx.AsyncClient(base_url=url, headers=acme, timeout=60) as client:
            [gap] = (await client.get("/gaps")).json()["gaps"]
            assert (gap["question"], gap["reasons"]) == ("repuestos de motos japonesas", ["weak_match"])
            assert len((await client.get("/gaps", params={"below": 1})).json()["gaps"]) == 2
