"""The key decides the company: no route without one, and no request that names another."""

import importlib
import pkgutil
import re

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from tests.api.conftest import Api, new_key
from tests.api.server import settings

import ateneo.api
from ateneo.api.app import create_app
from ateneo.db import keys
from ateneo.db.pool import Database

PUBLIC = {"/health", "/ready", "/metrics"}
DOCS = {"/docs", "/openapi.json"}


def _rooms() -> list[APIRouter]:
    modules = [importlib.import_module(f"ateneo.api.{item.name}") for item in pkgutil.iter_modules(ateneo.api.__path__)]
    return [router for module in modules for router in vars(module).values() if isinstance(router, APIRouter)]


def _routes() -> list[tuple[str, str]]:
    """Every method and path of the API, with something in the place of its parameters."""
    found = []
    for router in _rooms():
        for route in router.routes:
            assert isinstance(route, APIRoute), route
            path = re.sub(r"{\w+}", "7", route.path)
            found += [(method, path) for method in sorted(route.methods or ())]
    return [(method, path) for method, path in found if path not in PUBLIC]


def _app() -> FastAPI:
    return create_app(settings("postgresql://nobody@127.0.0.1:1/none"))


def test_the_application_has_no_other_routes() -> None:
    described = {(method.upper(), path) for path, item in _app().openapi()["paths"].items() for method in item}
    assert len(described) == len(_routes()) + len(PUBLIC)
    assert {getattr(route, "path", None) for route in _app().routes} - {None} == DOCS


@pytest.mark.parametrize(("method", "path"), _routes())
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer ate_000000000000_" + "0" * 64},
        {"X-API-Key": "ate_000000000000_" + "0" * 64},
    ],
    ids=["none", "empty", "basic", "unknown", "unknown-header"],
)
async def test_every_route_asks_for_a_key(api: Api, method: str, path: str, headers: dict[str, str]) -> None:
    body = {"query": "x", "message": "x"} if method == "POST" else None
    async with httpx.AsyncClient(base_url=api.url) as client:
        answer = await client.request(method, path, headers=headers, json=body, params={"q": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "access-denied")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_key_may_come_as_x_api_key(api: Api) -> None:
    answer = httpx.get(f"{api.url}/documents", headers={"X-API-Key": api.acme_key})
    assert answer.status_code == 200


async def test_a_revoked_key_ends_at_once(api: Api) -> None:
    secret = await new_key(api.database_url, "acme")
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=api.url, headers=headers) as client:
        assert (await client.get("/documents")).status_code == 200
        async with await Database.open(api.database_url, size=1) as db:
            await keys.revoke(db, (await keys.authenticate(db, secret)).key_id)
        assert (await client.get("/documents")).status_code == 401


@pytest.mark.parametrize(("method", "path"), _routes())
@pytest.mark.parametrize("named", ["otra", "acme,otra", "ACME", ""])
async def test_no_query_names_another_company(client: httpx.AsyncClient, method: str, path: str, named: str) -> None:
    body = {"query": "x", "message": "x"} if method == "POST" else None
    params = {"q": "x", "empresa_id": named.split(",")}
    answer = await client.request(method, path, params=params, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "other-empresa")


@pytest.mark.parametrize("named", ["otra", "", 7, ["acme"]])
async def test_no_body_names_another_company(client: httpx.AsyncClient, named: object) -> None:
    for path in ("/search/semantic", "/agents/a/chat"):
        answer = await client.post(path, json={"query": "índigo", "message": "índigo", "empresa_id": named})
        assert (answer.status_code, answer.json()["code"]) == (403, "other-empresa")


async def test_a_company_that_no_text_can_name(client: httpx.AsyncClient) -> None:
    raw = b'{"query": "x", "empresa_id": "acme\\ud800"}'
    answer = await client.post("/search/semantic", content=raw, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (403, "other-empresa")


async def test_no_form_names_another_company(client: httpx.AsyncClient) -> None:
    files = {"file": ("intruso.md", b"# Intruso\n\nUn texto para otra empresa.")}
    answer = await client.post("/documents", files=files, data={"empresa_id": "otra"})
    assert (answer.status_code, answer.json()["code"]) == (403, "other-empresa")
    answer = await client.post("/documents", files=files, data={"empresa_id": ["acme", "otra"]})
    assert answer.status_code == 403


async def test_naming_ones_own_company_is_no_offence(client: httpx.AsyncClient) -> None:
    answer = await client.post("/search/semantic", json={"query": "feriado", "empresa_id": "acme"})
    assert answer.status_code == 200
    answer = await client.get("/search/semantic", params={"q": "feriado", "empresa_id": "acme"})
    assert answer.status_code == 200


async def test_an_upload_without_a_key_is_refused_before_it_is_sent(api: Api) -> None:
    """An upload that declares more than the limit gets 401, not 413: nobody looked at the body."""
    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": "2000000"}
    answer = httpx.post(f"{api.url}/documents", content=b"a" * 2_000_000, headers=headers)
    assert answer.status_code == 401
