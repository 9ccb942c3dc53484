"""Uploads that are answered before they are read, their jobs, and the files of documents as they were sent."""

import json
from typing import Any

import httpx
import pytest
from tests.api.conftest import Api

TEXT = "# Portón\n\nEl portón verde se cierra a las nueve.\n".encode()


async def upload(
    client: httpx.AsyncClient, content: bytes = TEXT, name: str = "portón.md", **sent: Any
) -> httpx.Response:
    return await client.post("/documents", files={"file": (name, content)}, **sent)


async def ended(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """What the job's events say at last."""
    async with client.stream("GET", f"/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines[-2] == "event: end" and set(lines[:-2:2]) <= {"event: job"}
    told: dict[str, Any] = json.loads(lines[-1].removeprefix("data: "))
    return told


async def test_an_upload_is_answered_before_it_is_read(client: httpx.AsyncClient) -> None:
    answer = await upload(client, params={"wait": "false"})
    job = answer.json()
    assert (answer.status_code, job["state"], job["bytes"]) == (202, "queued", len(TEXT))
    assert answer.headers["location"] == f"/jobs/{job['job_id']}"
    told = await ended(client, job["job_id"])
    assert (told["state"], told["status"], told["document_id"]) == ("ready", "created", job["document_id"])
    assert (await client.get(answer.headers["location"])).json() == told
    assert (await client.get(f"/documents/{told['document_id']}")).json()["title"] == "Portón"


async def test_who_uploads_says_whether_to_wait(client: httpx.AsyncClient) -> None:
    assert (await upload(client, data={"wait": "false"})).status_code == 202
    assert (await upload(client, data={"wait": "true"})).status_code == 201
    assert (await upload(client, data={"wait": "quizás"})).json()["code"] == "bad-argument"


async def test_jobs_are_listed_filtered_and_paged(client: httpx.AsyncClient) -> None:
    made = [(await upload(client, b"  ", f"{n}.txt", params={"wait": "false"})).json()["job_id"] for n in range(3)]
    for one in made:
        assert (await ended(client, one))["error"]["code"] == "document-empty"
    page = (await client.get("/jobs", params={"state": "failed", "limit": 2})).json()
    assert [one["job_id"] for one in page["jobs"]] == made[:0:-1]
    rest = (await client.get("/jobs", params={"state": "failed", "limit": 2, "after": page["next"]})).json()
    assert (rest["jobs"][0]["job_id"], rest["next"]) == (made[0], None)
    assert (await client.get("/jobs", params={"state": "rota"})).status_code == 422
    answer = await client.post(f"/jobs/{made[0]}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    assert (await ended(client, made[0]))["state"] == "failed"
    refused = await client.post(f"/jobs/{made[0]}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "job-ended")


async def test_a_job_is_its_companys(client: httpx.AsyncClient, api: Api) -> None:
    job = (await upload(client, params={"wait": "false"})).json()["job_id"]
    await ended(client, job)
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
        answer = httpx.request(method, f"{api.url}/jobs/{job}{path}", headers=api.otra, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-job")
    assert job not in httpx.get(f"{api.url}/jobs", headers=api.otra, timeout=60).text


async def test_a_version_is_read_later(client: httpx.AsyncClient) -> None:
    document = (await upload(client)).json()["document_id"]
    files = {"file": ("otro.md", TEXT + b"\nSiempre.\n")}
    answer = await client.put(f"/documents/{document}", files=files, params={"wait": "false"})
    assert (answer.status_code, answer.json()["document_id"]) == (202, document)
    assert (await ended(client, answer.json()["job_id"]))["status"] == "replaced"
    assert (await client.put("/documents/nadie", files=files, params={"wait": "false"})).status_code == 404


# --- originals ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def address(client: httpx.AsyncClient) -> str:
    data = TEXT + bytes(range(32, 127)) * 6000  # of several parts
    return f"/documents/{(await upload(client, data)).json()['document_id']}/original"


async def test_a_document_has_its_file(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(address)
    assert answer.content.startswith(TEXT) and len(answer.content) == len(TEXT) + 95 * 6000
    shown = answer.headers
    assert shown["content-disposition"] == "attachment; filename=\"port_n.md\"; filename*=UTF-8''port%C3%B3n.md"
    assert (shown["x-content-type-options"], shown["accept-ranges"]) == ("nosniff", "bytes")
    assert shown["content-security-policy"] == "default-src 'none'; sandbox"
    assert shown["content-type"].startswith("text/markdown")
    same = await client.get(address, headers={"If-None-Match": f'"x", {shown["etag"]}'})
    assert (same.status_code, same.content) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=262100-262200", 262_100, 262_201),
        ("bytes=300000-", 300_000, None),
        ("bytes=-10", -10, None),
        ("bytes=5-99999999", 5, None),
    ],
)
async def test_a_part_of_it(client: httpx.AsyncClient, address: str, asked: str, start: int, end: int | None) -> None:
    whole = (await client.get(address)).content
    answer = await client.get(address, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[start:end])
    first = start % len(whole)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


async def test_what_is_no_part_of_it(client: httpx.AsyncClient, address: str) -> None:
    size = len((await client.get(address)).content)
    refused = await client.get(address, headers={"Range": f"bytes={size}-"})
    assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{size}")
    for odd in ("bytes=9-3", "lines=1-2", "bytes=0-1,4-5", "bytes=-"):
        assert (await client.get(address, headers={"Range": odd})).status_code == 200
    other = {"Range": "bytes=0-3", "If-Range": '"otra"'}
    assert (await client.get(address, headers=other)).status_code == 200


async def test_it_goes_with_its_document(client: httpx.AsyncClient, address: str, api: Api) -> None:
    refused = httpx.get(f"{api.url}{address}", headers=api.otra, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown-document")
    assert (await client.delete(address.removesuffix("/original"))).status_code == 204
    assert (await client.get(address)).status_code == 404
