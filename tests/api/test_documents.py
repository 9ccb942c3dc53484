"""`/documents`: upload, list, delete, and the files that cannot be taken."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.api.conftest import FERIADOS, Api

from ateneo.db.pool import Database

MIB = 1024 * 1024
MIXED = Path(__file__).parents[1] / "files" / "documents" / "13" / "expediente_mixto.pdf"


async def _upload(client: httpx.AsyncClient, name: str, data: bytes, **fields: str) -> httpx.Response:
    return await client.post("/documents", files={"file": (name, data)}, data=fields)


async def test_a_document_lives_and_dies(client: httpx.AsyncClient) -> None:
    text = "# Viáticos\n\nEl tope diario de viáticos en el interior es de ochenta mil pesos.\n"
    made = await _upload(client, "viaticos.md", text.encode(), title="Viáticos 2026", metadata='{"area": "rrhh"}')
    assert made.status_code == 201, made.text
    document = made.json()
    assert (document["title"], document["status"], document["chunks"]) == ("Viáticos 2026", "created", 1)

    more = text.replace("ochenta", "noventa").encode()
    again = await _upload(client, "viaticos.md", text.encode(), replace="true")
    assert (again.status_code, again.json()["status"]) == (200, "unchanged")
    changed = await client.put(f"/documents/{document['document_id']}", files={"file": ("viaticos.md", more)})
    assert (changed.status_code, changed.json()["status"]) == (200, "replaced")
    assert changed.json()["document_id"] == document["document_id"]
    assert changed.json()["title"] == "Viáticos 2026"
    assert changed.json()["metadata"] == {"area": "rrhh", "language": "es"}

    one = await client.get(f"/documents/{document['document_id']}")
    assert (one.status_code, one.json()) == (200, changed.json() | {"status": "stored"})

    gone = await client.delete(f"/documents/{document['document_id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(f"/documents/{document['document_id']}")).status_code == 404
    missing = await client.delete(f"/documents/{document['document_id']}")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown-document")
    found = await client.get("/search/semantic", params={"q": "viáticos", "mode": "lexical"})
    assert all(hit["source"] != "viaticos.md" for hit in found.json()["hits"])


async def test_a_quote_is_located_in_the_original_that_comes_along(client: httpx.AsyncClient) -> None:
    original = (MIXED.parents[1] / "12" / "guiones.pdf").read_bytes()

    async def locate(**fields: str) -> httpx.Response:
        return await client.post("/documents/locate", files={"file": ("acuerdo.pdf", original)}, data=fields)

    found = await locate(quote="deben informar sus inversiones antes de marzo")
    assert found.status_code == 200, found.text
    [page] = found.json()["pages"]
    assert page["page"] == 1
    assert all(0 < box["left"] < box["right"] < page["width"] for box in page["boxes"])
    assert (await locate(quote="lo que no dice en ningún lado")).json() == {"pages": []}
    assert (await locate(quote="deben informar", page="uno")).status_code == 422
    assert "acuerdo.pdf" not in (await client.get("/documents")).text


async def test_an_upload_says_which_pages_have_no_text(client: httpx.AsyncClient) -> None:
    made = await _upload(client, "expediente.pdf", MIXED.read_bytes())
    reading = made.json()["reading"]
    assert reading["pages_without_text"] == reading["ocr_pages"] == [2, 3]
    assert 0.8 < reading["ocr_confidence"] <= 1
    assert "$reading" not in str(made.json())
    page = await client.get("/documents")
    assert reading in [one["reading"] for one in page.json()["documents"]]
    found = await client.get("/search/semantic", params={"q": "cuota extraordinaria", "mode": "lexical"})
    assert any("cuota extraordinaria" in hit["contenido"] for hit in found.json()["hits"])
    assert "$reading" not in found.text
    again = await _upload(client, "expediente.pdf", MIXED.read_bytes(), replace="true", metadata='{"area": "actas"}')
    assert (again.json()["status"], again.json()["reading"]) == ("updated", reading)
    assert again.json()["metadata"].keys() & {"area", "$reading"} == {"area"}
    await client.delete(f"/documents/{made.json()['document_id']}")


async def test_two_uploads_of_one_name_are_two_and_replacing_is_said(client: httpx.AsyncClient) -> None:
    made = [await _upload(client, "factura.md", f"# Factura {n}\n\nUn total de {n} pesos.".encode()) for n in (1, 2)]
    first, second = [one.json() for one in made]
    assert [one.status_code for one in made] == [201, 201]
    assert (first["same_name"], second["same_name"]) == ([], [first["document_id"]])
    third = await _upload(client, "factura.md", b"# Factura 3\n\nUn total de tres pesos.", replace="true")
    assert (third.status_code, third.json()["code"]) == (409, "several-documents")
    assert first["document_id"] in third.json()["detail"]
    wrong = await _upload(client, "factura.md", b"# Factura 3", replace="quizás")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-argument")
    for one in (first, second):
        await client.delete(f"/documents/{one['document_id']}")


async def test_an_external_id_is_the_document(client: httpx.AsyncClient) -> None:
    made = await _upload(client, "a.md", b"# Uno\n\nEl primer texto de todos.", external_id="crm/7")
    same = await _upload(client, "b.md", b"# Dos\n\nEl segundo texto de todos.", external_id="crm/7")
    assert (made.status_code, same.status_code, same.json()["status"]) == (201, 200, "replaced")
    assert same.json()["document_id"] == made.json()["document_id"]
    assert (same.json()["external_id"], same.json()["source"]) == ("crm/7", "b.md")
    both = await _upload(client, "b.md", b"# Dos", external_id="crm/7", document_id="d")
    assert both.status_code == 422
    await client.delete(f"/documents/{made.json()['document_id']}")


async def test_the_same_bytes_with_another_title_and_metadata(client: httpx.AsyncClient) -> None:
    text = "# Licencias\n\nLa licencia por mudanza es de dos días corridos.\n".encode()
    await _upload(client, "lic.md", text, document_id="lic", metadata='{"area": "rrhh"}')
    more = {"metadata": '{"area": "legales", "vigente": true}', "title": "Licencias 2025"}
    again = await _upload(client, "lic.md", text, document_id="lic", **more)
    assert (again.status_code, again.json()["status"], again.json()["title"]) == (200, "updated", "Licencias 2025")
    for area, hits in (("legales", 1), ("rrhh", 0)):
        found = await client.post("/search/semantic", json={"query": "mudanza", "filter": {"area": area}})
        assert [hit["title"] for hit in found.json()["hits"]] == ["Licencias 2025"] * hits
    await client.delete("/documents/lic")


async def test_an_upload_arrives_when_it_begins(client: httpx.AsyncClient, api: Api) -> None:
    """The one whose bytes take longer, and that began first, is the older one."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        head = 'Content-Disposition: form-data; name="{}"{}\r\n\r\n'
        yield f"--b\r\n{head.format('document_id', '')}tarifa\r\n--b\r\n".encode()
        yield head.format("file", '; filename="t.md"').encode() + b"# Vieja\n\n"
        begun.set()
        await go_on.wait()
        yield b"La tarifa vieja es de cien pesos.\r\n--b--\r\n"

    async def arrived() -> int:
        async with await Database.open(api.database_url, size=1) as db, db.acquire() as connection:
            return int(await connection.fetchval("SELECT last_value FROM ateneo.arrival"))

    before = await arrived()
    headers = {"content-type": "multipart/form-data; boundary=b"}
    older = asyncio.create_task(client.post("/documents", content=slow(), headers=headers))
    await begun.wait()
    while await arrived() == before:
        await asyncio.sleep(0.02)
    newer = await _upload(client, "t.md", b"# Nueva\n\nLa tarifa nueva es de mil pesos.", document_id="tarifa")
    go_on.set()
    assert newer.status_code == 201
    assert ((await older).status_code, (await older).json()["status"]) == (200, "superseded")
    assert (await older).json()["title"] == "Nueva"
    await client.delete("/documents/tarifa")


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


@pytest.mark.parametrize(("method", "path"), [("PUT", "/documents/uno"), ("POST", "/documents/locate")])
async def test_every_route_that_takes_a_file_takes_a_large_one(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path, files={"file": ("enorme.md", b"a" * (3 * MIB))}, data={"quote": "a"})
    assert (answer.status_code, answer.json()["code"]) == (413, "document-too-large")


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
