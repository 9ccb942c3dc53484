"""A request that is repeated with its Idempotency-Key has one effect, and the same answer (the IETF's draft)."""

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from tests.api.conftest import Api
from tests.api.test_access import _app

from ateneo.access.erasure import erase
from ateneo.api.idempotency import HEADER, LARGEST_ANSWER, LONGEST_KEY, _First, _releases, _without
from ateneo.db import kept_answers
from ateneo.db.kept_answers import Claim
from ateneo.db.pool import Database

TEXT = b"# Telares\n\nEl telar se limpia con alcohol cada lunes por la tarde.\n"
CHAT = {"message": "¿Cuánto se paga por un feriado?", "store": True}
COMPLETION = {"model": "asistente", "messages": [{"role": "user", "content": CHAT["message"]}]}


@pytest.fixture
def acme(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, headers=api.acme, timeout=60) as client:
        yield client


@pytest.fixture
async def rows(api: Api) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(api.database_url)
    await connection.execute("DELETE FROM ateneo.kept_answer")
    yield connection
    await connection.close()


def upload(client: httpx.Client, key: str | None, text: bytes = TEXT) -> httpx.Response:
    headers = {HEADER: key} if key is not None else {}
    return client.post("/documents", files={"file": ("telares.md", text)}, headers=headers)


def test_uploads_and_chats_have_it() -> None:
    """Whatever is asked by POST and is no search, derived from the description."""
    for path, item in _app().openapi()["paths"].items():
        for method, operation in item.items():
            names = [one["name"] for one in operation.get("parameters", [])]
            assert names.count(HEADER) == (method == "post" and "search" not in operation["tags"]), (method, path)
    described = [
        _app().openapi()["paths"][path]["post"]["operationId"] for path in ("/documents", "/v1/chat/completions")
    ]
    assert described == ["upload_document", "complete_chat"]


def test_an_upload_once(acme: httpx.Client) -> None:
    before = len(acme.get("/documents").json()["documents"])
    first, again = upload(acme, "carga-1"), upload(acme, "carga-1")  # httpx draws another boundary
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json() and first.headers["content-type"] == again.headers["content-type"]
    assert "idempotency-replayed" not in first.headers and again.headers["idempotency-replayed"] == "true"
    assert len(acme.get("/documents").json()["documents"]) == before + 1
    assert upload(acme, "carga-2").json()["document_id"] != upload(acme, None).json()["document_id"]


def test_the_key_is_that_requests(acme: httpx.Client) -> None:
    assert upload(acme, "ajena").status_code == 201
    others = [
        upload(acme, "ajena", TEXT + b"m\xc3\xa1s"),
        acme.post("/documents?x=1", files={"file": ("telares.md", TEXT)}, headers={HEADER: "ajena"}),
        acme.post("/agents/a/chat", json=CHAT, headers={HEADER: "ajena"}),
        acme.post("/v1/chat/completions", json=COMPLETION, headers={HEADER: "ajena"}),
    ]
    assert {(one.status_code, one.json()["code"]) for one in others} == {(422, "idempotency-key-reused")}


def test_and_that_companys(api: Api, acme: httpx.Client) -> None:
    mine = upload(acme, "de-todos")
    with httpx.Client(base_url=api.url, headers=api.otra, timeout=60) as otra:
        theirs = upload(otra, "de-todos")
    assert theirs.status_code == 201 and theirs.json()["document_id"] != mine.json()["document_id"]
    assert "idempotency-replayed" not in theirs.headers


@pytest.mark.parametrize("key", ["", "x" * (LONGEST_KEY + 1), "a b", "ñ", "a\tb"])
def test_what_is_no_key(acme: httpx.Client, key: str) -> None:
    answer = acme.post("/agents/a/chat", json=CHAT, headers=[(HEADER.encode(), key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-argument"), answer.text


def test_two_keys_are_none(acme: httpx.Client) -> None:
    assert acme.post("/agents/a/chat", json=CHAT, headers=[(HEADER, "a"), (HEADER, "b")]).status_code == 422


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("path", "body"), [("/agents/a/chat", CHAT), ("/v1/chat/completions", COMPLETION)])
def test_a_chat_once(acme: httpx.Client, path: str, body: dict[str, Any], stream: bool) -> None:
    """A stream is given again as it was, whole and at once."""
    key = {HEADER: f"charla{path}{stream}"}
    before = len(acme.get("/conversations").json()["conversations"])
    first, again = (acme.post(path, json=body | {"stream": stream}, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200), first.text
    assert first.text == again.text and first.headers["content-type"] == again.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    stored = len(acme.get("/conversations").json()["conversations"])
    assert stored == before + (path == "/agents/a/chat")


async def test_while_the_first_is_answered(api: Api, acme: httpx.Client, rows: asyncpg.Connection) -> None:
    with ThreadPoolExecutor(1) as other:
        async with rows.transaction():
            await rows.execute("LOCK TABLE ateneo.document IN EXCLUSIVE MODE")
            first = other.submit(upload, acme, "a-la-vez")
            watching = await asyncpg.connect(api.database_url)
            while not await watching.fetchval("SELECT count(*) FROM ateneo.kept_answer"):
                await asyncio.sleep(0.02)
            await watching.close()
            second = await asyncio.to_thread(_upload_as, api, "a-la-vez")
        done = await asyncio.to_thread(first.result)
    assert (second.status_code, second.json()["code"]) == (409, "request-running")
    assert int(second.headers["retry-after"]) > 0
    assert done.status_code == 201 and (await asyncio.to_thread(_upload_as, api, "a-la-vez")).json() == done.json()


def _upload_as(api: Api, key: str) -> httpx.Response:
    with httpx.Client(base_url=api.url, headers=api.acme, timeout=60) as client:
        return upload(client, key)


def test_what_failed_leaves_the_key(acme: httpx.Client) -> None:
    assert (
        acme.post("/documents", files={"file": ("a.bin", b"\x00\x01")}, headers={HEADER: "fallido"}).status_code >= 400
    )
    assert acme.post("/documents", data={"title": "x"}, headers={HEADER: "fallido"}).status_code == 422
    assert upload(acme, "fallido").status_code == 201


async def test_a_process_that_died_and_a_day_that_is_over(acme: httpx.Client, rows: asyncpg.Connection) -> None:
    first = upload(acme, "vieja").json()["document_id"]
    await rows.execute("UPDATE ateneo.kept_answer SET status = NULL")
    assert upload(acme, "vieja").status_code == 409
    await rows.execute("UPDATE ateneo.kept_answer SET claimed_until = now()")
    second = upload(acme, "vieja").json()["document_id"]
    await rows.execute("UPDATE ateneo.kept_answer SET expires_at = now()")
    assert len({first, second, upload(acme, "vieja").json()["document_id"]}) == 3
    assert upload(acme, "vieja", b"# Otra\n\nCosa muy distinta de la primera.\n").status_code == 422


async def test_what_is_kept_of_it(api: Api, acme: httpx.Client, rows: asyncpg.Connection) -> None:
    """Neither the key nor what was sent; and nothing once the day is over, or the company erased."""
    upload(acme, "clave-propia")
    stored = str(await rows.fetch("SELECT * FROM ateneo.kept_answer"))
    assert "clave-propia" not in stored and "alcohol" not in stored and api.acme_key[-72:] not in stored
    async with await Database.open(api.database_url, size=1) as db:
        await rows.execute("UPDATE ateneo.kept_answer SET expires_at = now() - interval '1 s'")
        await kept_answers.forget_expired(db)
        assert await rows.fetchval("SELECT count(*) FROM ateneo.kept_answer") == 0
        await rows.execute(
            "INSERT INTO ateneo.kept_answer VALUES ('tercera', 'k', 'r', gen_random_uuid(), now(), 'tomorrow')"
        )
        assert (await erase(db, "tercera", actor="t")).deleted["ateneo.kept_answer"] == 1


async def test_a_large_answer_is_not_kept(
    acme: httpx.Client, rows: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LARGEST_ANSWER > 100_000
    monkeypatch.setattr("ateneo.api.idempotency.LARGEST_ANSWER", 10)
    for stream in (False, True):
        assert (
            acme.post("/agents/a/chat", json=CHAT | {"stream": stream}, headers={HEADER: f"larga{stream}"}).status_code
            == 200
        )
    assert await rows.fetchval("SELECT count(*) FROM ateneo.kept_answer") == 0


@given(
    st.lists(st.sampled_from([b"a", b"ab", b"aab", b"b", b"--"])),
    st.sampled_from([b"", b"ab", b"aab", b"a"]),
    st.integers(1, 5),
)
def test_a_forms_boundary_does_not_count(parts: list[bytes], mark: bytes, piece: int) -> None:
    whole = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ateneo.api.idempotency._PIECE", piece)
        assert b"".join(_without(io.BytesIO(whole), mark)) == (whole.replace(mark, b"") if mark else whole)


async def test_who_leaves_a_stream_asks_anew(api: Api, rows: asyncpg.Connection) -> None:
    """And one that ends badly is not kept: only what `complete` says was whole."""
    async with await Database.open(api.database_url, size=2) as db:
        for left, complete in ((True, False), (False, False), (False, True)):
            mine = Claim("acme", b"k", uuid.uuid4())
            assert await kept_answers.claim(db, mine, b"r") == "mine"
            state = SimpleNamespace(container=SimpleNamespace(db=db))
            request = Request({"type": "http", "state": {}, "app": SimpleNamespace(state=state)})
            request.state.complete = complete
            response = StreamingResponse(_frames(), media_type="text/event-stream")
            frames: Any = (await _First(request, mine).kept(response)).body_iterator  # type: ignore[attr-defined]
            if left:
                await anext(frames)
                await frames.aclose()
            else:
                assert [frame async for frame in frames] == [b"data: 1\n\n", b": ping\n\n", b"data: 2\n\n"]
            await asyncio.gather(*_releases)
            stored = await rows.fetch("SELECT body FROM ateneo.kept_answer WHERE key_hash = 'k'")
            assert [row["body"] for row in stored] == ([b"data: 1\n\ndata: 2\n\n"] if complete else [])


async def _frames() -> AsyncIterator[bytes]:
    for frame in (b"data: 1\n\n", b": ping\n\n", b"data: 2\n\n"):
        yield frame
