"""Who asks is known from the headers alone: a stranger's answer comes before one byte of the body is read (RFC 9110,
section 9.3: an answer may come before the request has ended)."""

import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.api.test_access import PUBLIC, _app

from ateneo.api.app import create_app
from ateneo.container import Container
from ateneo.mcp.access import KeyVerifier, of_bearer
from ateneo.mcp.server import build

UNKNOWN = b"ate_000000000000_" + b"0" * 64
BODIES = ("application/json", "multipart/form-data; boundary=b", "text/event-stream", "")
STRANGERS = 60


def _operations() -> list[tuple[str, str]]:
    """Every operation of the API that is a company's, with something in the place of its parameters."""
    paths = _app().openapi()["paths"]
    return [(way.upper(), re.sub(r"{\w+}", "7", path)) for path in paths for way in paths[path] if path not in PUBLIC]


def _first_line(url: str, head: bytes) -> bytes:
    """What is answered to headers whose body never comes."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as connection:
        connection.sendall(head)
        return connection.recv(4096).split(b"\r\n")[0]


def _head(method: str, path: str, kind: str, key: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Length: 1000000", f"Content-Type: {kind}"]
    return "\r\n".join(lines).encode() + (b"\r\nAuthorization: Bearer " + key if key else b"") + b"\r\n\r\n"


@pytest.mark.parametrize("key", [b"", UNKNOWN], ids=["none", "unknown"])
def test_a_stranger_is_answered_before_the_body_comes(api: Api, key: bytes) -> None:
    for method, path in _operations():
        for kind in BODIES:
            assert _first_line(api.url, _head(method, path, kind, key)) == b"HTTP/1.1 401 Unauthorized", (method, path)


@pytest.fixture
def mounted(api: Api) -> Iterator[str]:
    """The API in another application."""
    inner = create_app(settings(api.database_url, ATENEO_FAILED_LOGINS_PER_MINUTE="0"))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/ateneo", inner)
    with serving(outer) as url:
        yield f"{url}/ateneo"


def test_nor_where_the_api_is_mounted(mounted: str) -> None:
    for method, path in _operations():
        assert _first_line(mounted, _head(method, f"/ateneo{path}", BODIES[0], UNKNOWN)).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("key", [b"", UNKNOWN], ids=["none", "unknown"])
async def test_no_byte_of_a_strangers_body_is_read(api: Api, key: bytes) -> None:
    """Counted where the application asks for it, since sixty bodies that are not read take no memory."""
    async with await Container.open(settings(api.database_url, ATENEO_FAILED_LOGINS_PER_MINUTE="0")) as container:
        app = create_app(container.settings)
        app.state.container = container
        mcp = build(container, of_bearer, KeyVerifier(container.access)).streamable_http_app(stateless_http=True)
        for _ in range(STRANGERS // 2):
            for method, path in [("POST", "/search/semantic"), ("POST", "/documents")]:
                assert await _asked(app, method, path, key) == (401, 0)
            assert await _asked(mcp, "POST", "/mcp", key) == (401, 0)
        for method, path in _operations():
            assert await _asked(app, method, path, key) == (401, 0), (method, path)


async def _asked(app: ASGIApp, method: str, path: str, key: bytes) -> tuple[int, int]:
    """The status, and how many times a piece of the body was asked for."""
    asked, said = 0, []

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * 65536, "more_body": asked < 32}

    async def send(message: Message) -> None:
        said.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"2097152")]
    headers += [(b"authorization", b"Bearer " + key)] if key else []
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 9),
        "server": ("127.0.0.1", 80), "state": {}, "headers": headers,
    }  # fmt: skip
    await app(scope, receive, send)
    return said[0]["status"], asked


async def test_nor_is_the_body_of_who_may_not(api: Api) -> None:
    """A key without the scope, and one that names another company in the address: 403, by the headers, too."""
    head = _head("PUT", "/agents/a", BODIES[0], api.acme_key.encode())
    assert _first_line(api.url, head.replace(b"/agents/a", b"/agents/a?empresa_id=otra")).startswith(b"HTTP/1.1 403")
