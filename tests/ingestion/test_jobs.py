"""Jobs on a real database, with an embedding server: what becomes of uploads and of their originals."""

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from tests.ingestion.test_ingestion import RULES

from ateneo.db import jobs as store
from ateneo.db import originals
from ateneo.db.jobs import Lease, Limits
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import DocumentEmpty, JobEnded, NoOriginal, TooManyJobs, UnknownJob
from ateneo.ingestion.job_engine import JobEngine
from ateneo.ingestion.jobs import JobService
from ateneo.ingestion.service import IngestionService
from ateneo.types import Origin
from ateneo.types.jobs import Job

TEXT = RULES.encode()


@pytest.fixture
async def jobs(database: Database, embedding: EmbeddingService) -> AsyncIterator[JobService]:
    service = made(database, embedding)
    yield service
    await service.engine.close()


def made(database: Database, embedding: EmbeddingService, limits: Limits = Limits()) -> JobService:  # noqa: B008
    ingestion = IngestionService(database, embedding, chunk_tokens=64, chunk_overlap=16)
    return JobService(ingestion, JobEngine(ingestion), limits)


async def drained(jobs: JobService, database: Database) -> None:
    jobs.engine._settled_at = float("-inf")
    await jobs.engine.run_once(database)


async def kept(database: Database) -> set[tuple[str, int]]:
    """The originals there are, with their bytes."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT o.empresa_id, o.bytes, (SELECT sum(length(p.data)) FROM ateneo.original_part p"
            " WHERE p.empresa_id = o.empresa_id AND p.sha256 = o.sha256) AS stored FROM ateneo.original o"
        )
        parts = await connection.fetchval("SELECT count(DISTINCT (empresa_id, sha256)) FROM ateneo.original_part")
    assert parts == len(rows) and all(row["bytes"] == row["stored"] for row in rows)
    return {(row["empresa_id"], row["bytes"]) for row in rows}


async def test_a_job_becomes_a_document(jobs: JobService, database: Database) -> None:
    job = await jobs.submit(TEXT, "acme", name="r.md", metadata={"area": "RR. HH."})
    assert (job.state, job.bytes, job.document_id is not None, job.open) == ("queued", len(TEXT), True, True)
    await drained(jobs, database)
    job = await jobs.get("acme", job.job_id)
    assert (job.state, job.status, job.attempts, job.error) == ("ready", "created", 1, None)
    assert job.chunks == job.embedded > 0
    [document] = await jobs._ingestion.list_documents("acme")
    assert (document.document_id, document.metadata["area"]) == (job.document_id, "RR. HH.")
    original = await jobs.original("acme", document.document_id)
    assert b"".join([part async for part in jobs.read("acme", original)]) == TEXT
    again = await jobs.submit(TEXT, "acme", name="r.md", document_id=document.document_id)
    await drained(jobs, database)
    assert (await jobs.get("acme", again.job_id)).state == "unchanged"
    assert [one.job_id for one in await jobs.listed("acme")] == [again.job_id, job.job_id]
    assert [one.job_id for one in await jobs.listed("acme", after=again.job_id, limit=1)] == [job.job_id]
    assert await jobs.listed("otra") == []
    with pytest.raises(UnknownJob):
        await jobs.get("otra", job.job_id)


async def test_what_fails_says_why_and_is_tried_again(jobs: JobService, database: Database) -> None:
    job = await jobs.submit(b"  ", "acme", name="vacio.txt")
    await drained(jobs, database)
    job = await jobs.get("acme", job.job_id)
    assert job.error is not None
    assert (job.state, job.error.code, job.error.remedy != "") == ("failed", "document-empty", True)
    assert await kept(database) == {("acme", 2)}, "it could not be tried again"
    assert (await jobs.retry("acme", job.job_id)).state == "queued"
    with pytest.raises(DocumentEmpty):
        await jobs.ingest(b"  ", "acme", name="vacio.txt")
    assert (await jobs.cancel("acme", job.job_id)).state == "cancelled"
    with pytest.raises(JobEnded):
        await jobs.retry("acme", job.job_id)


async def test_originals_go_with_the_last_that_uses_them(jobs: JobService, database: Database) -> None:
    first = await jobs.ingest(TEXT, "acme", name="a.md")
    second = await jobs._ingestion.process_document(TEXT, "acme", name="b.md")
    await jobs.ingest(TEXT, "otra", name="a.md")
    assert await kept(database) == {("acme", len(TEXT)), ("otra", len(TEXT))}
    await jobs._ingestion.delete_document("acme", first.document_id)
    assert await kept(database) == {("acme", len(TEXT)), ("otra", len(TEXT))}
    longer = TEXT + b"\n\nY los sabados no se trabaja."
    await jobs.ingest(longer, "acme", name="b.md", document_id=second.document_id)
    assert await kept(database) == {("acme", len(longer)), ("otra", len(TEXT))}
    job = await jobs.submit(TEXT, "acme", name="c.md")
    assert len(await kept(database)) == 3
    await jobs.cancel("acme", job.job_id)
    await jobs._ingestion.delete_document("acme", second.document_id)
    assert await kept(database) == {("otra", len(TEXT))}


async def test_deleting_a_document_leaves_nothing_of_it(jobs: JobService, database: Database) -> None:
    canary = "zafirocanario7391"
    stored = await jobs.ingest(f"# Plan {canary}\n\n{canary}".encode(), "acme", name="plan.md")
    waiting = await jobs.submit(f"{canary} otra".encode(), "acme", name="p.md", document_id=stored.document_id)
    await jobs._ingestion.delete_document("acme", stored.document_id)
    assert (await jobs.get("acme", waiting.job_id)).state == "cancelled"
    await drained(jobs, database)
    assert await jobs._ingestion.list_documents("acme") == []
    async with database.acquire() as connection:
        tables = await connection.fetch(
            "SELECT c.oid::regclass::text AS name FROM pg_class c WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace IN ('ateneo'::regnamespace, 'public'::regnamespace)"
        )
        assert len(tables) > 30
        for table in tables:
            for said in (canary, canary.encode().hex()):
                found = f"SELECT count(*) FROM {table['name']} t WHERE t::text ~ $1"
                assert await connection.fetchval(found, said) == 0, table["name"]


async def test_a_second_try_of_what_is_stored_stores_nothing(jobs: JobService, database: Database) -> None:
    """The process died after the document was stored, and before its job ended."""
    job = await jobs.submit(TEXT, "acme", name="r.md")
    await drained(jobs, database)
    async with database.acquire() as connection:
        await connection.execute(
            "UPDATE ateneo.job SET state = 'embedding', ended_at = NULL, leased_by = 'muerto',"
            " lease_until = now() - interval '1 s'"
        )
    await drained(jobs, database)
    job = await jobs.get("acme", job.job_id)
    assert (job.state, job.attempts, len(await jobs._ingestion.list_documents("acme"))) == ("ready", 2, 1)


async def test_what_kills_two_processes_fails(jobs: JobService, database: Database) -> None:
    job = await jobs.submit(TEXT, "acme", name="r.md")
    other = await jobs.submit(TEXT, "otra", name="r.md")
    dying = Lease("moribundo", 0.0)
    for alone in (False, True):
        work = await store.claim(database, dying, after=None, alone=alone)
        assert work is not None and work.job.job_id == job.job_id
        await asyncio.sleep(0.01)
        assert await store.settle_dead(database, 2) == (0 if alone else 1)
    job = await jobs.get("acme", job.job_id)
    assert job.error is not None
    assert (job.state, job.error.code) == ("failed", "job-killed") and "retry" in job.error.remedy
    await drained(jobs, database)
    assert (await jobs.get("otra", other.job_id)).state == "ready"
    await jobs.retry("acme", job.job_id)
    await drained(jobs, database)
    assert (await jobs.get("acme", job.job_id)).state == "ready"


async def test_companies_take_turns_and_people_come_first(jobs: JobService, database: Database) -> None:
    async def add(company: str, name: str, *, bulk: bool = False) -> None:
        await jobs.submit(name.encode(), company, name=name, bulk=bulk)

    for number in range(3):
        await add("grande", f"g{number}.txt")
    await add("carpeta", "c.txt", bulk=True)
    await add("chica", "p.txt")
    order: list[str] = []
    after: str | None = None
    while (work := await store.claim(database, Lease("w"), after=after, alone=False)) is not None:
        order.append(work.job.source)
        after = work.job.empresa_id
    assert order == ["p.txt", "g0.txt", "g1.txt", "g2.txt", "c.txt"]


async def test_what_is_in_hand_is_cancelled(jobs: JobService, database: Database) -> None:
    job = await jobs.submit(TEXT * 400, "acme", name="largo.md")
    states = []
    async with jobs.engine.running(database, 1):
        async for now in jobs.events("acme", job.job_id):
            states.append(now.state)
            if now.state != "queued" and now.open:
                await jobs.cancel("acme", job.job_id)
    assert states[-1] == "cancelled" and await kept(database) == set()
    assert await jobs._ingestion.list_documents("acme") == []


async def test_an_engine_that_ends_gives_its_jobs_back(jobs: JobService, database: Database) -> None:
    job = await jobs.submit(TEXT * 400, "acme", name="largo.md")
    async with jobs.engine.running(database, 1):
        async for now in jobs.events("acme", job.job_id):
            if now.state != "queued":
                break
    job = await jobs.get("acme", job.job_id)
    assert (job.state, job.attempts) == ("queued", 0)


async def test_a_company_has_so_many_open_jobs(database: Database, embedding: EmbeddingService) -> None:
    few = made(database, embedding, Limits(jobs=2, bytes=100))
    await few.submit(b"uno", "acme", name="1.txt")
    with pytest.raises(TooManyJobs, match=r"ATENEO_MAX_JOBS_MB"):
        await few.submit(b"x" * 98, "acme", name="2.txt")
    await few.submit(b"dos", "acme", name="2.txt")
    with pytest.raises(TooManyJobs, match="2 cargas"):
        await few.submit(b"tres", "acme", name="3.txt")
    await few.submit(b"tres", "otra", name="3.txt")
    assert await kept(database) == {("acme", 3), ("otra", 4)}


async def test_a_folders_file_is_taken_up_where_it_was(jobs: JobService, database: Database) -> None:
    origin = Origin("manuales", "r.md")
    [work] = [await _in_dead_hands(jobs, origin)]
    stored = await jobs.ingest(TEXT, "acme", origin=origin, bulk=True)
    assert stored.status == "created"
    assert [one.job_id for one in await jobs.listed("acme")] == [work.job_id]
    assert (await jobs.ingest(TEXT, "acme", origin=origin, bulk=True)).status == "unchanged"
    assert len(await jobs.listed("acme")) == 1


async def _in_dead_hands(jobs: JobService, origin: Origin) -> Job:
    job = await jobs.submit(TEXT, "acme", origin=origin, bulk=True)
    assert await store.take(jobs._db, "acme", job.job_id, Lease("muerto", 0.0)) is not None
    return job


async def test_an_original_of_many_parts_is_read_by_ranges(jobs: JobService, database: Database) -> None:
    data = bytes(range(256)) * 4096 + b"fin"
    async with database.tenant("acme", writes=True) as connection:
        await originals.put(connection, "acme", b"h" * 32, len(data), io.BytesIO(data))
    assert await originals.read(database, "acme", b"h" * 32) == data
    with pytest.raises(NoOriginal):
        await originals.find(database, "acme", "nada")
