"""What is another company's and what does not exist: the same answer, byte by byte, from the same statements. How long
they take is measured by `python -m benchmarks not_yours`."""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api
from tests.api.test_isolation_access import made
from tests.db.test_isolation_database import sent

from ateneo.db import agents, conversations, documents, keys, passages
from ateneo.db.pool import Database
from ateneo.errors import AteneoError


@dataclass(frozen=True)
class Theirs:
    """Ids of the company otra's, by what they are of."""

    document: str
    conversation: str
    chunk: str


@pytest.fixture(scope="module")
def theirs(api: Api) -> Theirs:
    with httpx.Client(base_url=api.url, headers=api.otra, timeout=60) as otra:
        chat = otra.post("/agents/ventas/chat", json={"message": "¿Qué lleva el tinte índigo?"}).json()
        found = otra.get("/search/semantic", params={"q": "índigo"}).json()["hits"]
    return Theirs(api.otra_document, chat["conversation_id"], found[0]["chunk_id"])


def shape(answer: httpx.Response, identifier: str) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    return answer.status_code, headers, answer.text.replace(identifier, "ID")


REQUESTS: dict[str, Callable[[Theirs], tuple[str, str, dict[str, Any]]]] = {
    "delete a document": lambda ids: ("DELETE", f"/documents/{ids.document}", {}),
    "read a conversation": lambda ids: ("GET", f"/conversations/{ids.conversation}", {}),
    "delete a conversation": lambda ids: ("DELETE", f"/conversations/{ids.conversation}", {}),
    "rate": lambda ids: ("PUT", f"/conversations/{ids.conversation}/feedback", {"position": 0, "rating": 1}),
    "go on": lambda ids: (
        "POST", "/agents/ventas/chat", {"message": "¿Qué lleva?", "conversation_id": ids.conversation}
    ),
    "page": lambda ids: ("GET", f"/conversations?after={ids.conversation}", {}),
    "search in it": lambda ids: (
        "POST", "/search/semantic", {"query": "tinte", "filter": {"document_id": ids.document}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_the_same_answer(api: Api, theirs: Theirs, name: str) -> None:
    nobody = Theirs(*(str(uuid.uuid4()) for _ in range(3)))
    headers = {"Authorization": f"Bearer {made(api, *keys.SCOPES)}"}
    shapes = []
    for ids in (theirs, nobody):
        method, path, body = REQUESTS[name](ids)
        answer = httpx.request(method, f"{api.url}{path}", headers=headers, json=body or None, timeout=60)
        shapes.append(shape(answer, ids.document if ids.document in path + answer.text else ids.conversation))
    assert shapes[0] == shapes[1]


def test_the_same_answer_to_every_wrong_key(api: Api) -> None:
    unknown = "ate_" + "0" * 12 + "_" + "0" * 64
    mistyped = api.acme_key[:-1] + ("1" if api.acme_key[-1] == "0" else "0")
    wrong = [unknown, same_prefix(api), mistyped, unknown[:-1], "ateneo_", "", "eyJhbGciOiJub25lIn0.e30.", "ñ"]
    shapes = set()
    for key in wrong:
        answer = httpx.get(f"{api.url}/documents", headers=[(b"X-API-Key", key.encode())], timeout=60)
        shapes.add(str(shape(answer, "-")))
    assert len(shapes) == 1


async def test_from_the_same_statements(api: Api, theirs: Theirs) -> None:
    def calls(ids: Theirs) -> list[Callable[[Database], Awaitable[object]]]:
        return [
            lambda db: documents.get(db, "acme", ids.document),
            lambda db: documents.delete(db, "acme", ids.document),
            lambda db: passages.by_ids(db, "acme", [ids.chunk]),
            lambda db: passages.around(db, "acme", [ids.chunk], neighbours=2, section=True),
            lambda db: conversations.get(db, "acme", ids.conversation),
            lambda db: conversations.delete(db, "acme", ids.conversation),
            lambda db: conversations.rate(db, "acme", ids.conversation, 0, 1, None),
            lambda db: agents.delete(db, "acme", ids.conversation),
        ]

    nobody = Theirs(*(str(uuid.uuid4()) for _ in range(3)))
    for one, other in zip(calls(theirs), calls(nobody), strict=True):
        assert await sent(api.database_url, quietly(one)) == await sent(api.database_url, quietly(other))
    # a mistyped key is told by its checksum, without the database: that says nothing about any key that there is
    secrets = [same_prefix(api), "ate_000000000000_" + "0" * 64, api.acme_key[:-1], "ateneo_"]
    statements = [
        await sent(api.database_url, quietly(lambda db, secret=secret: keys.authenticate(db, secret)))  # type: ignore[misc]
        for secret in secrets
    ]
    assert statements == [["SELECT", "RESET"], ["SELECT", "RESET"], [], []]


def same_prefix(api: Api) -> str:
    """A key that nobody has, with the prefix of one that acme has."""
    return keys.with_checksum(api.acme_key[:24] + "0" * 64)


def quietly(call: Callable[[Database], Awaitable[object]]) -> Callable[[Database], Awaitable[object]]:
    async def tried(db: Database) -> None:
        with suppress(AteneoError):
            await call(db)

    return tried


@pytest.mark.parametrize("second", ["Authorization", "X-API-Key"])
def test_two_keys_are_not_mixed(api: Api, theirs: Theirs, second: str) -> None:
    """The bearer's company, whatever else is there; nothing of the other."""
    pairs = [("Authorization", api.acme["Authorization"])]
    pairs.append((second, api.otra["Authorization"].removeprefix("Bearer " if second == "X-API-Key" else "")))
    for params in ({}, {"q": "índigo fórmula", "k": "50"}):
        path = "/search/semantic" if params else "/documents"
        answer = httpx.get(f"{api.url}{path}", headers=pairs, params=params, timeout=60)
        assert answer.status_code in (200, 401) and "añil" not in answer.text and "formula.md" not in answer.text


@pytest.mark.parametrize(
    "content",
    [
        b'{"query": "tinte", "empresa_id": "acme", "empresa_id": "otra"}',
        b'{"query": "tinte", "empresa_id": "otra", "empresa_id": "acme"}',
        b'{"query": "tinte", "empresa_id": "otra"}',
        b'{"query": "tinte", "filter": {"empresa_id": "otra"}}',
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/vnd.x+json", ""])
def test_a_body_names_nobody_else(api: Api, content: bytes, kind: str) -> None:
    headers = {**api.acme, **({"content-type": kind} if kind else {})}
    answer = httpx.post(f"{api.url}/search/semantic", headers=headers, content=content, timeout=60)
    assert answer.status_code in (200, 403, 422) and "añil" not in answer.text
