"""`/documents`: upload, list, delete, and the files that cannot be taken."""

import asyncio
import io
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.api.conftest import FERIADOS, Api

MIB = 1024 * 1024


async def _upload(client: httpx.AsyncClient, name: str, data: bytes, **fields: str) -> httpx.Response:
    return await client.post("/documents", files={"file": (name, data)}, data=fields)


async def test_a_document_lives_and_dies(client: httpx.AsyncClient) -> None:
    text = "# Viáticos\n\nEl tope diario de viáticos en el interior es de ochenta mil pesos.\n"
    made = await _upload(client, "viaticos.md", text.encode(), title="Viáticos 2026", metadata='{"area": "rrhh"}')
    assert made.status_code == 201, made.text
    document = made.json()
    assert (document["title"], document["status"], document["chunks"]) == ("Viáticos 2026", "created", 1)

    again = await _upload(client, "viaticos.md", text.encode())
    assert (again.status_code, again.json()["status"]) == (200, "unchanged")
    changed = await _upload(client, "viaticos.md", text.replace("ochenta", "noventa").encode())
    assert (changed.status_code, changed.json()["status"]) == (200, "replaced")
    assert changed.json()["document_id"] == document["document_id"]

    gone = await client.delete(f"/documents/{document['document_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    missing = await client.delete(f"/documents/{document['document_id']}")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-document")
    found = await client.get("/search/semantic", params={"q": "viáticos", "mode": "lexical"})
    assert all(hit["source"] != "viaticos.md" for hit in found.json()["hits"])


async def test_the_list_is_read_in_pages(client: httpx.AsyncClient) -> None:
    for name in ("b.md", "a.md"):
        await _upload(client, name, f"# {name}\n\nUn texto cualquiera para la página {name}.".encode())
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await client.get("/documents", params={"limit": 2, **after})).json()
        seen += [document["source"] for document in page["documents"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == ["a.md", "b.md", "feriados.md"]


async def test_a_foreign_document_is_as_one_that_does_not_exist(client: httpx.AsyncClient, api: Api) -> None:
    foreign = await client.delete(f"/documents/{api.otra_document}")
    unknown = await client.delete("/documents/00000000-0000-0000-0000-000000000000")
    assert foreign.status_code == unknown.status_code == 404
    assert {**foreign.json(), "detail": ""} == {**unknown.json(), "detail": ""}
    kept = (await client.get("/documents", headers=api.otra)).json()["documents"]
    assert [document["document_id"] for document in kept] == [api.otra_document]
    mine = (await client.get("/documents")).json()["documents"]
    assert "formula.md" not in [document["source"] for document in mine]


async def test_taking_anothers_document_id_touches_nothing_of_theirs(client: httpx.AsyncClient, api: Api) -> None:
    made = await _upload(
        client, "x.md", b"# X\n\nUn texto que se mete con otra empresa.", document_id=api.otra_document
    )
    assert made.status_code == 201, made.text
    assert (await client.delete(f"/documents/{api.otra_document}")).status_code == 204
    found = await client.get("/search/semantic", params={"q": "índigo", "mode": "lexical"}, headers=api.otra)
    assert found.json()["hits"]


@pytest.mark.parametrize("document_id", ["%00", "%F0%28", "..%2F..", "x" * 5000], ids=["nul", "utf8", "dots", "long"])
async def test_a_document_id_that_cannot_be_one(client: httpx.AsyncClient, document_id: str) -> None:
    assert (await client.delete(f"/documents/{document_id}")).status_code == 404


@pytest.mark.parametrize(
    ("name", "data", "status", "code"),
    [
        ("vacio.md", b"", 422, "document-empty"),
        ("vacio.pdf", b"", 422, "document-empty"),
        ("roto.pdf", b"%PDF-1.7\nno es un PDF", 422, "document-corrupt"),
        ("programa.exe", b"MZ\x90\x00" + bytes(range(256)) * 4, 415, "document-unsupported"),
        ("grande.md", b"a" * (MIB + 1), 413, "document-too-large"),
        ("enorme.md", b"a" * (3 * MIB), 413, "document-too-large"),
    ],
)
async def test_a_file_that_cannot_be_taken(
    client: httpx.AsyncClient, name: str, data: bytes, status: int, code: str
) -> None:
    answer = await _upload(client, name, data)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["remedy"]
    stored = (await client.get("/documents")).json()["documents"]
    assert name not in [document["source"] for document in stored]


async def test_an_upload_without_a_declared_length_is_cut_off(client: httpx.AsyncClient) -> None:
    boundary = "limite"

    async def stream() -> AsyncIterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="x.md"\r\n\r\n'.encode()
        for _ in range(64):
            yield b"a" * (MIB // 4)

    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    answer = await client.post("/documents", content=stream(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "document-too-large")


async def test_a_body_that_declares_too_much_is_not_asked_for(api: Api) -> None:
    """The refusal comes before a byte of the body was sent."""
    port = int(api.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /documents HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 209715200\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nAuthorization: {api.acme['Authorization']}\r\n\r\n"
    )
    writer.write(head.encode())
    await writer.drain()
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "request_parts",
    [
        {"data": {"title": "sin archivo"}},
        {"data": {"file": "no es un archivo"}},
        {"files": {"file": ("", b"x")}},
        {"files": {"otro": ("a.md", b"x")}},
        {"json": {"file": "x"}},
        {"files": {"file": ("a.md", FERIADOS.encode())}, "data": {"metadata": "[1]"}},
        {"files": {"file": ("a.md", FERIADOS.encode())}, "data": {"metadata": "{"}},
        {"files": {"file": ("a.md", FERIADOS.encode())}, "data": {"document_id": "\x00"}},
    ],
    ids=["no-file", "text", "no-name", "other-field", "json", "metadata-list", "metadata-broken", "id-nul"],
)
async def test_a_form_that_is_wrong(client: httpx.AsyncClient, request_parts: dict[str, object]) -> None:
    answer = await client.post("/documents", **request_parts)  # type: ignore[arg-type]
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "bad-argument"


async def test_two_files_at_once_are_refused(client: httpx.AsyncClient) -> None:
    files = [("file", (name, io.BytesIO(b"# A\n\nTexto de prueba."))) for name in ("a.md", "b.md")]
    answer = await client.post("/documents", files=files)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_file_name_loses_its_folders(client: httpx.AsyncClient) -> None:
    made = await _upload(client, "..\\..\\C:\\otro/plan.md", b"# Plan\n\nUn plan que no sale de su carpeta.")
    assert made.json()["source"] == "plan.md"
    await client.delete(f"/documents/{made.json()['document_id']}")
