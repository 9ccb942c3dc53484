"""Every route that changes something: its line is in the audit log when its answer comes. Here none comes later."""

import json
from collections.abc import Callable, Iterator

import asyncpg
import httpx
import pytest
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.api.test_access import _app
from tests.api.test_isolation_access import made

from ateneo import background_writer

CHAT = {"message": "¿Cuánto se paga el feriado?"}
TEXT = "# Portón\n\nEl portón verde se cierra a las nueve.\n"
Attempt = Callable[[httpx.Client], httpx.Response]


def upload(client: httpx.Client) -> httpx.Response:
    return client.post("/documents", files={"file": ("porton.md", TEXT.encode())})


def queued(client: httpx.Client) -> str:
    """A job that waits: nothing reads it here."""
    files = {"file": ("porton.md", TEXT.encode())}
    return str(client.post("/documents?wait=false", files=files).json()["job_id"])


def conversation(client: httpx.Client) -> str:
    return str(client.post("/agents/asistente/chat", json=CHAT).json()["conversation_id"])


def rate(client: httpx.Client) -> httpx.Response:
    return client.put(f"/conversations/{conversation(client)}/feedback", json={"position": 0, "rating": 1})


def deleted_agent(client: httpx.Client) -> httpx.Response:
    client.put("/agents/efimero", json={})
    return client.delete("/agents/efimero")


ATTEMPTS: dict[str, Attempt] = {
    "upload_document": upload,
    "delete_document": lambda client: client.delete(f"/documents/{upload(client).json()['document_id']}"),
    "replace_document": lambda client: client.put(
        f"/documents/{upload(client).json()['document_id']}",
        files={"file": ("porton.md", f"{TEXT}Siempre.\n".encode())},
    ),
    "cancel_job": lambda client: client.post(f"/jobs/{queued(client)}/cancel"),
    "retry_job": lambda client: client.post(f"/jobs/{queued(client)}/retry"),
    "chat_with_agent": lambda client: client.post("/agents/asistente/chat", json=CHAT),
    "complete_chat": lambda client: client.post(
        "/v1/chat/completions",
        json={"model": "asistente", "messages": [{"role": "user", "content": CHAT["message"]}]},
    ),
    "save_agent": lambda client: client.put("/agents/asistente", json={"name": "Ana"}),
    "delete_agent": deleted_agent,
    "delete_conversation": lambda client: client.delete(f"/conversations/{conversation(client)}"),
    "rate_answer": rate,
}
WRITES = sorted(
    operation["operationId"]
    for path in _app().openapi()["paths"].values()
    for method, operation in path.items()
    if method not in ("get", "head") and "search" not in operation["tags"]
)


@pytest.fixture(scope="module")
def url(api: Api) -> Iterator[str]:
    """Where what is stored a moment later is stored when the process ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background_writer, "FLUSH_S", 3600.0)
        with serving(settings(api.database_url, ATENEO_SERVE_JOBS="0")) as served:
            yield served


@pytest.fixture
def client(api: Api, url: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {made(api, 'read', 'write', 'agents', 'admin')}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as opened:
        yield opened


async def lines(api: Api, request_id: str) -> list[tuple[str, int, int | None]]:
    connection = await asyncpg.connect(api.database_url)
    rows = await connection.fetch("SELECT action, status, results FROM ateneo.audit WHERE request_id = $1", request_id)
    await connection.close()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_is_in_the_audit_log_before_it_is_answered(
    api: Api, client: httpx.Client, operation: str
) -> None:
    answer = ATTEMPTS[operation](client)
    assert answer.status_code < 300, answer.text
    [(action, status, _)] = await lines(api, answer.headers["x-request-id"])
    assert (action, status) == (operation, answer.status_code)


async def test_a_stream_is_in_the_audit_log_before_its_last_event(api: Api, client: httpx.Client) -> None:
    with client.stream("POST", "/agents/asistente/chat", json=CHAT | {"stream": True}) as answer:
        found = answer.iter_lines()
        while next(found) != "event: done":
            pass
        done = json.loads(next(found).removeprefix("data: "))
        [line] = await lines(api, answer.headers["x-request-id"])
    assert line == ("chat_with_agent", 200, len(done["citations"]))
    assert len(await lines(api, answer.headers["x-request-id"])) == 1


async def test_a_write_that_cannot_be_in_the_audit_log_is_a_problem(api: Api, client: httpx.Client) -> None:
    connection = await asyncpg.connect(api.database_url)
    await connection.execute("REVOKE EXECUTE ON FUNCTION ateneo.own_audit_append FROM ateneo_app")
    try:
        answer = client.delete("/agents/nadie")
        assert answer.status_code == 404  # nothing was changed
        answer = client.put("/agents/asistente", json={})
        stream = client.post("/agents/asistente/chat", json=CHAT | {"stream": True})
    finally:
        await connection.execute("GRANT EXECUTE ON FUNCTION ateneo.own_audit_append TO ateneo_app")
        await connection.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "rights")
    assert stream.text.count("event: done") == 0
    assert "event: error" in stream.text and '"rights"' in stream.text
