"""What the pages show: what the API answers, of one company alone, as text."""

import asyncio
import re

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode
from tests.console.conftest import Site, browser_of, csrf_of

from ateneo.db import keys
from ateneo.db.pool import Database

HOSTILE = "<script>alert(1)</script>\u202e\"'><img src=x onerror=alert(2)> [1]"


def parsed(answer: httpx.Response) -> LexborHTMLParser:
    assert answer.headers["content-type"] == "text/html; charset=utf-8", answer.text
    return LexborHTMLParser(answer.text)


def first(page: LexborHTMLParser | LexborNode, selector: str) -> LexborNode:
    found = page.css_first(selector)
    assert found is not None, selector
    return found


def test_the_playground_shows_what_the_api_answers(site: Site) -> None:
    asked = {"q": "cuánto pagan un feriado", "k": "5"}
    api = httpx.get(f"{site.url}/search/semantic", params=asked, headers={"X-API-Key": site.acme}, timeout=60).json()
    with browser_of(site, site.acme) as client:
        page = parsed(client.get("/buscar", params=asked))
    assert [first(hit, "p.text").text() for hit in page.css("li.hit")] == [hit["contenido"] for hit in api["hits"]]
    assert [first(hit, "header bdi").text() for hit in page.css("li.hit")] == [hit["label"] for hit in api["hits"]]


@pytest.mark.parametrize(
    "asked", [{"k": "0"}, {"k": "muchos"}, {"weight": "7"}, {"min_score": "alto"}, {"mode": "otro"}], ids=str
)
def test_an_option_that_cannot_be_is_said(site: Site, asked: dict[str, str]) -> None:
    with browser_of(site, site.acme) as client:
        page = parsed(client.get("/buscar", params={"q": "feriado", **asked}))
    assert first(page, "[role=alert]").text(strip=True)


def test_a_question_and_its_sources_without_a_script(site: Site) -> None:
    with browser_of(site, site.acme) as client:
        answer = client.post(
            "/preguntar",
            params={"csrf": csrf_of(client)},
            data={"message": "¿Cuánto pagan el trabajo en día feriado?"},
            follow_redirects=True,
        )
        page = parsed(answer)
        source = first(page, ".sources details")
        mark = first(page, ".answer a.cite")
        assert mark.attributes["href"] == f"#{source.attributes['id']}"
        quoted = first(source, "mark").text()
        assert quoted in first(page, ".answer").text()
        assert "recargo del cien por ciento" in quoted
        conversation = answer.url.path
        rated = client.post(
            f"{conversation}/valorar", params={"csrf": csrf_of(client)}, data={"position": 0, "rating": 1}
        )
        assert rated.status_code == 303
        assert first(parsed(client.get(conversation)), "[aria-pressed=true]").text() == "Sirve"
        assert client.post(f"{conversation}/borrar", params={"csrf": csrf_of(client)}).status_code == 303
        assert client.get(conversation).status_code == 404


def test_an_answer_as_it_is_written(site: Site) -> None:
    with browser_of(site, site.acme) as client:
        answer = client.post(
            "/preguntar",
            params={"csrf": csrf_of(client)},
            data={"message": "¿Cuántos días de vacaciones hay?"},
            headers={"Accept": "application/x-ndjson"},
        )
        lines = [line for line in answer.text.splitlines() if line]
        assert '"searching"' in lines[0]
        assert '"go": "/preguntar/' in lines[-1]
        failed = client.post(
            "/preguntar",
            params={"csrf": csrf_of(client)},
            data={"message": " "},
            headers={"Accept": "application/x-ndjson"},
        )
        assert '"problem"' in failed.text


def test_documents_are_loaded_listed_read_and_deleted(site: Site) -> None:
    with browser_of(site, site.acme) as client:
        files = [
            ("file", ("nuevo.md", b"# Nuevo\n\nUn manual para probar la carga de archivos.\n")),
            ("file", ("roto.pdf", b"%PDF-1.7\nno es un PDF")),
        ]
        page = parsed(client.post("/documentos", params={"csrf": csrf_of(client)}, files=files))
        assert "Nuevo" in first(page, "#carga .good").text()
        assert "roto.pdf" in first(page, "#carga .bad").text()
        address = first(page, "#carga .good a").attributes["href"]
        assert address is not None
        document = parsed(client.get(address))
        assert "probar la carga" in first(document, ".chunks p.text").text()
        assert client.post(f"{address}/borrar", params={"csrf": csrf_of(client)}).status_code == 303
        assert client.get(address).status_code == 404
        large = client.post("/documentos", params={"csrf": csrf_of(client)}, files={"file": ("g.md", b"a" * (4 << 20))})
        assert large.status_code == 413


def test_another_companys_things_are_not_there(site: Site) -> None:
    with browser_of(site, site.otra) as other:
        conversation = (
            other.post(
                "/preguntar",
                params={"csrf": csrf_of(other)},
                data={"message": "¿Qué lleva la fórmula del tinte índigo?"},
            )
            .headers["location"]
            .partition("#")[0]
        )
        assert "añil" in other.get(conversation).text
    with browser_of(site, site.acme) as client:
        token = {"csrf": csrf_of(client)}
        for path in (f"/documentos/{site.otra_document}", conversation):
            assert client.get(path).status_code == 404
            assert client.post(f"{path}/borrar", params=token).status_code == 404
        rated = client.post(f"{conversation}/valorar", params=token, data={"position": 0, "rating": 1})
        assert rated.status_code == 404
        data = {"message": "¿Y cuánto?", "conversation": conversation.rpartition("/")[2]}
        assert client.post("/preguntar", params=token, data=data).status_code == 404
        for path in ("/buscar?q=tinte+%C3%ADndigo&k=50", "/documentos", "/preguntar"):
            assert "añil" not in client.get(path).text
            assert site.otra_document not in client.get(path).text


def test_hostile_texts_stay_texts(site: Site) -> None:
    with browser_of(site, site.acme) as client:
        name = f"{HOSTILE}.md".replace("/", "")
        text = f"# {HOSTILE}\n\nEl texto hostil dice `{HOSTILE}` y nada más que eso, tres veces.\n"
        page = parsed(
            client.post("/documentos", params={"csrf": csrf_of(client)}, files={"file": (name, text.encode())})
        )
        address = first(page, "#carga a").attributes["href"]
        asked = client.post("/preguntar", params={"csrf": csrf_of(client)}, data={"message": f"texto hostil {HOSTILE}"})
        for path in (address, asked.headers["location"], "/documentos", "/preguntar"):
            shown = parsed(client.get(str(path)))
            assert not shown.css("img")
            assert all(str(one.attributes["src"]).startswith("/estaticos/") for one in shown.css("script"))
        shown = parsed(client.get("/buscar", params={"q": HOSTILE}))
        assert first(shown, "#q").attributes["value"] is not None
        assert not shown.css("img")
        client.post(f"{address}/borrar", params={"csrf": csrf_of(client)})


@pytest.mark.parametrize("path", ["/entrar", "/preguntar", "/buscar?q=feriado", "/documentos", "/documentos/nada"])
def test_nothing_from_outside_runs_or_frames_a_page(site: Site, path: str) -> None:
    with browser_of(site, site.acme) as client:
        answer, second = client.get(path), client.get(path)
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
    assert nonce is not None
    assert nonce[1] not in second.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert all(one.attributes["nonce"] == nonce[1] for one in parsed(answer).css("script"))
    for one in parsed(answer).css("*"):
        assert not [name for name in one.attributes if name.startswith("on") or name == "style"]
        for name in {"src", "href", "action"} & one.attributes.keys():
            assert re.match(r"/(?!/)|#|data:image/svg|\?", str(one.attributes[name])), one.html


def test_the_language_is_the_readers(site: Site) -> None:
    with browser_of(site, site.acme, "en") as client:
        assert first(parsed(client.get("/documentos")), "h1").text() == "Documents"
    with browser_of(site, site.acme) as client:
        assert first(parsed(client.get("/documentos")), "h1").text() == "Documentos"


def test_a_page_weighs_little(site: Site) -> None:
    with browser_of(site, site.acme) as client:
        page = client.get("/buscar", params={"q": "feriado"})
        assets = re.findall(r"/estaticos/[^\"]+", page.text)
        assert len(assets) == 3
        loaded = [client.get(address) for address in assets]
        assert all("immutable" in one.headers["cache-control"] for one in loaded)
        assert len(page.content) + sum(len(one.content) for one in loaded) < 250_000


async def test_what_is_done_is_in_the_audit_log(site: Site) -> None:
    async with await Database.open(site.database_url, size=1) as db:
        admin = (await keys.create(db, "acme", scopes=["admin"])).secret
    with browser_of(site, site.acme) as client:
        client.get("/documentos")
        client.post("/preguntar/nada/borrar", params={"csrf": csrf_of(client)})
    wanted = {"console_sign_in", "console_documents", "console_delete_conversation", "console_search"}
    actions: set[str] = set()
    for _ in range(100):  # what reads is stored soon after
        said = httpx.get(f"{site.url}/audit", params={"limit": 100}, headers={"X-API-Key": admin}).json()
        actions = {one["action"] for one in said["entries"]}
        if wanted <= actions:
            break
        await asyncio.sleep(0.05)
    assert wanted <= actions
