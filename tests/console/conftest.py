"""One running server with the console, and two companies that have keys."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from tests.api.conftest import FERIADOS, SECRETO, _execute, _upload, new_key
from tests.api.server import serving, settings

from ateneo.web import create_app


@dataclass(frozen=True)
class Site:
    """`acme` and `otra` are keys of companies that have one document each."""

    url: str
    database_url: str
    acme: str
    otra: str
    acme_document: str
    otra_document: str


@pytest.fixture(scope="module")
def site(server_url: str, template: str) -> Iterator[Site]:
    name = "ateneo_console"
    url = server_url.replace("/postgres?", f"/{name}?")
    asyncio.run(_execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    acme, otra = (asyncio.run(new_key(url, company)) for company in ("acme", "otra"))
    chosen = settings(url, ATENEO_MAX_UPLOAD_MB="3", ATENEO_FAILED_LOGINS_PER_MINUTE="0")
    with serving(create_app(chosen)) as address:
        documents = [
            _upload(address, {"X-API-Key": key}, file, text)
            for key, file, text in ((acme, "feriados.md", FERIADOS), (otra, "formula.md", SECRETO))
        ]
        yield Site(address, url, acme, otra, *documents)
    asyncio.run(_execute(server_url, f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def browser_of(site: Site, key: str | None = None, language: str = "es") -> Iterator[httpx.Client]:
    """A client that keeps cookies, signed in with `key`."""
    with httpx.Client(base_url=site.url, headers={"Accept-Language": language}, timeout=60) as client:
        if key is not None:
            answer = client.post("/entrar", data={"key": key})
            assert answer.status_code == 303, answer.text
        yield client


def csrf_of(client: httpx.Client) -> str:
    found = re.search(r'action="/salir\?csrf=([^"]+)"', client.get("/buscar").text)
    assert found is not None
    return found[1]
