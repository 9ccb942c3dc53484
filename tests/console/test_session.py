"""Who may open the console's pages, and what a change needs."""

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute, APIRouter
from tests.api.server import settings
from tests.console.conftest import Site, browser_of, csrf_of

import ateneo.console
from ateneo.console import ask, documents, search, sign_in
from ateneo.console.session import COOKIE, LONGEST_S, Sessions
from ateneo.db import keys
from ateneo.db.pool import Database
from ateneo.web import create_app

COMPANY_ROUTERS = (sign_in.way_out, ask.router, search.router, documents.router)
PAGES = [
    (method, re.sub(r"{\w+}", "7", route.path))
    for router in COMPANY_ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]


def test_there_are_no_other_pages() -> None:
    app = create_app(settings("postgresql://nobody@127.0.0.1:1/none"))
    api = create_app(settings("postgresql://nobody@127.0.0.1:1/none", ATENEO_CONSOLE="false"))
    routers = [
        one
        for module in vars(ateneo.console).values()
        for one in getattr(module, "__dict__", {}).values()
        if isinstance(one, APIRouter)
    ]
    assert {id(one) for one in routers} == {id(one) for one in (*COMPANY_ROUTERS, sign_in.router)}
    assert len(app.routes) == len(api.routes) + 1 + len(COMPANY_ROUTERS) + 1, "and the assets"


def test_without_the_console_there_is_the_api_alone() -> None:
    app = create_app(settings("postgresql://nobody@127.0.0.1:1/none", ATENEO_CONSOLE="false"))
    assert "/entrar" not in {getattr(route, "path", None) for route in app.routes}


@pytest.mark.parametrize(("method", "path"), PAGES)
def test_every_page_asks_for_a_session(site: Site, method: str, path: str) -> None:
    with browser_of(site) as client:
        client.cookies.set(COOKIE, Sessions("otro secreto").made(site.acme))
        answer = client.request(method, path, params={"csrf": "x"})
        if method == "GET":
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/entrar?a=")
        else:
            assert answer.status_code == 401


@pytest.mark.parametrize("path", [path for method, path in PAGES if method == "POST"])
def test_a_change_needs_the_sessions_token_and_its_own_origin(site: Site, path: str) -> None:
    with browser_of(site, site.acme) as client:
        token = csrf_of(client)
        for params, headers in (
            ({}, {}),
            ({"csrf": token[:-1]}, {}),
            ({"csrf": token}, {"Origin": "https://ajeno.example"}),
            ({"csrf": token}, {"Origin": "null"}),
            ({"csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = client.post(path, params=params, headers=headers, data={"message": "hola"})
            assert answer.status_code == 422, (params, headers)
        assert client.get("/buscar").status_code == 200, "signed out"


def test_the_token_is_asked_for_before_a_byte_of_the_body(site: Site) -> None:
    async def asked() -> bytes:
        host, port = site.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            "POST /documentos HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        )
        writer.write(head.encode())
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        return line

    assert b" 401 " in asyncio.run(asked())


def test_a_wrong_key_says_so_and_opens_nothing(site: Site) -> None:
    with browser_of(site) as client:
        for key in ("", "hola", site.acme[:-1] + ("0" if site.acme[-1] != "0" else "1"), "x" * 600, "\x00"):
            answer = client.post("/entrar", data={"key": key})
            assert answer.status_code in (401, 422)
            assert COOKIE not in answer.cookies
        assert client.post("/entrar", data={"key": "x" * 600}).status_code == 422
        assert "autocomplete" in client.post("/entrar", data={"key": "hola"}).text


@pytest.mark.parametrize("header", [{"Origin": "https://ajeno.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str)
def test_no_other_site_signs_anybody_in(site: Site, header: dict[str, str]) -> None:
    with browser_of(site) as client:
        answer = client.post("/entrar", data={"key": site.acme}, headers=header)
        assert (answer.status_code, COOKIE in answer.cookies) == (422, False)


def test_the_cookie_goes_by_https_alone_where_it_came_by_https(site: Site) -> None:
    with browser_of(site) as client:
        sent = {
            scheme: client.post("/entrar", data={"key": site.acme}, headers={"X-Forwarded-Proto": scheme}).headers
            for scheme in ("http", "https")
        }
    assert {scheme: "Secure" in headers["set-cookie"] for scheme, headers in sent.items()} == {
        "http": False,
        "https": True,
    }


def test_the_cookie_does_not_have_the_key_and_no_script_reads_it(site: Site) -> None:
    with browser_of(site) as client:
        given = client.post("/entrar", data={"key": site.acme}).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", f"Max-Age={LONGEST_S}"} <= set(given.split("; "))
    assert site.acme not in given
    assert site.acme[-40:] not in given


def test_a_cookie_that_is_too_old_or_changed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions("secreto")
    made = sessions.made("ate_x")
    assert sessions.read(made) is not None
    assert sessions.read(made[:9] + ("A" if made[9] != "A" else "B") + made[10:]) is None
    assert sessions.read(None) is None
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: 9e9)
    assert sessions.read(made) is None


@pytest.mark.parametrize(
    "after",
    [
        "https://ajeno.example/",
        "//ajeno.example",
        "/\\ajeno.example",
        "javascript:alert(1)",
        "/\t/ajeno.example",
        "/\n/ajeno.example",
    ],
)
def test_after_the_sign_in_one_stays_here(site: Site, after: str) -> None:
    with browser_of(site) as client:
        assert client.post("/entrar", data={"key": site.acme, "a": after}).headers["location"] == "/preguntar"
        assert client.post("/entrar", data={"key": site.acme, "a": "/buscar?q=x"}).headers["location"] == "/buscar?q=x"


async def test_a_revoked_key_ends_its_sessions(site: Site) -> None:
    async with await Database.open(site.database_url, size=1) as db:
        made = await keys.create(db, "acme", scopes=["read"])
        with browser_of(site, made.secret) as client:
            assert client.get("/buscar").status_code == 200
            await keys.revoke(db, made.stored.key_id)
            assert client.get("/buscar").status_code == 303


async def test_a_key_does_what_it_may_alone(site: Site) -> None:
    async with await Database.open(site.database_url, size=1) as db:
        made = await keys.create(db, "acme", scopes=["read"])
    with browser_of(site, made.secret) as client:
        assert client.get("/preguntar").status_code == 403
        file = {"file": ("x.md", b"# X\n\nUn texto cualquiera que no se guarda.")}
        assert client.post("/documentos", params={"csrf": csrf_of(client)}, files=file).status_code == 403
        assert client.post("/salir", params={"csrf": csrf_of(client)}).status_code == 303
        assert client.get("/buscar").status_code == 303


def test_what_is_vendored_is_what_was_published() -> None:
    folder = Path(sign_in.__file__).parent / "assets"
    _, line = (folder / "SHA256SUMS").read_text().splitlines()
    digest = hashlib.sha256((folder / "htmx.min.js").read_bytes()).hexdigest()
    assert line == f"{digest}  htmx.min.js"
    assert (folder / "htmx.LICENSE").exists()
