"""Jobs (`ateneo.job`): what a company has on its way. See docs/adr/0055-jobs.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import asyncpg

from ateneo.db import originals
from ateneo.db.pool import Database
from ateneo.errors import AteneoError, JobEnded, TooManyJobs, UnknownJob
from ateneo.i18n import count, size, tr
from ateneo.types.jobs import MOST_ATTEMPTS, Job, JobError


@dataclass(frozen=True, slots=True)
class Lease:
    """Who has jobs in hand, and for how many seconds it is believed to live since it was last heard of."""

    worker: str
    seconds: float = 30.0

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class NewJob:
    """`document_id` where it is known; `asked`: what came with the file, as JSON."""

    sha256: bytes
    bytes: int
    source: str
    document_id: str | None
    asked: Mapping[str, Any]
    arrival: int
    bulk: bool
    most_attempts: int


@dataclass(frozen=True, slots=True)
class Work:
    """A job in hand: what is needed to do it."""

    job: Job
    sha256: bytes
    asked: Mapping[str, Any]
    arrival: int
    most_attempts: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a company's open jobs; 0: none."""

    jobs: int = 0
    bytes: int = 0


async def add(db: Database, empresa_id: str, new: NewJob, body: BinaryIO, limits: Limits, lease: Lease | None) -> Work:
    """Stores the bytes and the job, in one transaction. `lease`: of the process that does it at once.

    Raises TooManyJobs."""
    async with db.tenant(empresa_id, writes=True) as connection:
        if limits.jobs or limits.bytes:
            held = await connection.fetchrow("SELECT jobs, bytes FROM ateneo.own_open_jobs($1)", empresa_id)
            assert held is not None
            _check(limits, held["jobs"], held["bytes"], new.bytes)
        await originals.put(connection, empresa_id, new.sha256, new.bytes, body)
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.own_add_job($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9, $10, $11)",
            empresa_id,
            new.sha256,
            new.bytes,
            new.source,
            new.document_id,
            json.dumps(dict(new.asked), ensure_ascii=False, allow_nan=False),
            new.arrival,
            int(new.bulk),
            new.most_attempts,
            lease.worker if lease else None,
            lease.interval if lease else None,
        )
    assert row is not None
    return _work(row)


def _check(limits: Limits, jobs: int, held: int, more: int) -> None:
    if limits.jobs and jobs >= limits.jobs:
        noun = tr("carga", "job"), tr("cargas", "jobs")
        raise TooManyJobs(jobs=count(jobs, *noun), limit=count(limits.jobs, *noun))
    if limits.bytes and held + more > limits.bytes and jobs:
        raise TooManyJobs(jobs=size(held), limit=size(limits.bytes))


async def get(db: Database, empresa_id: str, job_id: str) -> Job:
    """Raises UnknownJob."""
    return _only(await db.read(empresa_id, "SELECT * FROM ateneo.own_job($1, $2)", job_id), job_id)


async def listed(
    db: Database, empresa_id: str, *, states: Sequence[str] | None = None, after: str | None = None, limit: int = 100
) -> list[Job]:
    """A page, the newest first, after the job of the id `after`."""
    chosen = None if states is None else list(states)
    rows = await db.read(empresa_id, "SELECT * FROM ateneo.own_jobs($1, $2, $3, $4)", chosen, after, limit)
    return [job_of(row) for row in rows]


async def cancel(db: Database, empresa_id: str, job_id: str) -> Job:
    """What is in hand ends a moment later. Raises UnknownJob, JobEnded."""
    async with db.tenant(empresa_id, writes=True) as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.own_cancel_job($1, $2)", empresa_id, job_id)
    job = _only(rows, job_id)
    if not job.open and job.state != "cancelled":
        raise JobEnded(job_id=job_id, state=job.state)
    return job


async def retry(db: Database, empresa_id: str, job_id: str) -> Job:
    """A failed one is queued again, one that waits for its next try is tried at once. Raises UnknownJob, JobEnded."""
    async with db.tenant(empresa_id, writes=True) as connection:
        rows = await connection.fetch("SELECT * FROM ateneo.own_retry_job($1, $2, $3)", empresa_id, job_id,
                                      MOST_ATTEMPTS)  # fmt: skip
    job = _only(rows, job_id)
    if job.state != "queued":
        raise JobEnded(job_id=job_id, state=job.state)
    return job


# --- whoever does them --------------------------------------------------------------------------------------------


async def open_of(db: Database, empresa_id: str, sha256: bytes, origin: str, external_id: str) -> Job | None:
    """The open job of these bytes of a folder's file, where a process was interrupted."""
    rows = await db.read(empresa_id, "SELECT * FROM ateneo.own_open_job($1, $2, $3, $4)", sha256, origin, external_id)
    return job_of(rows[0]) if rows else None


async def take(db: Database, empresa_id: str, job_id: str, lease: Lease) -> Work | None:
    """None where another process has it in hand, or it has ended."""
    async with db.tenant(empresa_id, writes=True) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.own_take_job($1, $2, $3, $4)", empresa_id, job_id, lease.worker, lease.interval
        )
    return None if row is None else _work(row)


async def renew(
    db: Database, job: Job, lease: Lease, state: str | None, chunks: int | None, embedded: int | None
) -> bool | None:
    """Says how far it is. False: it is to be cancelled; None: it is no longer this process's."""
    async with db.tenant(job.empresa_id, writes=True) as connection:
        go_on: bool | None = await connection.fetchval(
            "SELECT ateneo.own_renew_job($1, $2, $3, $4, $5, $6, $7)",
            job.empresa_id,
            job.job_id,
            lease.worker,
            lease.interval,
            state,
            chunks,
            embedded,
        )
    return go_on


async def end(
    db: Database,
    job: Job,
    lease: Lease,
    state: str,
    *,
    document_id: str | None = None,
    status: str | None = None,
    chunks: int | None = None,
    error: AteneoError | None = None,
) -> None:
    """Nothing, where it is no longer this process's."""
    async with db.tenant(job.empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_end_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            job.empresa_id,
            job.job_id,
            lease.worker,
            state,
            document_id,
            status,
            chunks,
            *_said(error),
        )


async def release(
    db: Database, job: Job, lease: Lease, delay_s: float, *, counted: bool, error: AteneoError | None = None
) -> None:
    """Back into the queue; not `counted`: it was no try."""
    async with db.tenant(job.empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_release_job($1, $2, $3, $4, $5, $6, $7, $8)",
            job.empresa_id,
            job.job_id,
            lease.worker,
            timedelta(seconds=delay_s),
            counted,
            *_said(error),
        )


def _said(error: AteneoError | None) -> tuple[str | None, str | None, str | None]:
    return (error.code, error.message, error.remedy) if error else (None, None, None)


# --- the worker's, of all companies -------------------------------------------------------------------------------


async def claim(db: Database, lease: Lease, *, after: str | None, alone: bool) -> Work | None:
    """The next job, of the companies that follow `after` first; `alone`: of those that a process died of."""
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "SELECT * FROM ateneo.claim_job($1, $2, $3, $4)", lease.worker, lease.interval, after, alone
        )
    return None if row is None else _work(row)


async def settle_dead(db: Database, most_deaths: int) -> int:
    """Puts back what dead processes had in hand. Returns how many wait for a process to themselves."""
    message = tr(
        f"{count(most_deaths, 'proceso murió', 'procesos murieron')} con este archivo en curso, al final sin otro"
        " (¿memoria?).",
        f"{count(most_deaths, 'process', 'processes')} died with this file in hand, at last with no other"
        " (out of memory?).",
    )
    remedy = tr(
        "`ateneo jobs retry` lo intenta otra vez; partí el archivo, o dale más memoria al proceso.",
        "`ateneo jobs retry` tries again; divide the file, or give the process more memory.",
    )
    async with db.transaction() as connection:
        return int(
            await connection.fetchval("SELECT ateneo.settle_dead_jobs($1, $2, $3)", most_deaths, message, remedy)
        )


async def forget(db: Database, days: int) -> int:
    """Those that ended so long ago."""
    async with db.transaction() as connection:
        return int(await connection.fetchval("SELECT ateneo.forget_jobs($1)", timedelta(days=days)))


# --- rows ---------------------------------------------------------------------------------------------------------


def _only(rows: Sequence[asyncpg.Record], job_id: str) -> Job:
    if not rows:
        raise UnknownJob(job_id=job_id)
    return job_of(rows[0])


def _work(row: asyncpg.Record) -> Work:
    return Work(job_of(row), row["sha256"], json.loads(row["asked"]), row["arrival"], row["most_attempts"])


def job_of(row: asyncpg.Record) -> Job:
    error = row["error_code"] and JobError(row["error_code"], row["error_message"], row["error_remedy"])
    return Job(
        job_id=row["job_id"],
        empresa_id=row["empresa_id"],
        state=row["state"],
        source=row["source"],
        bytes=row["bytes"],
        document_id=row["document_id"],
        status=row["status"],
        chunks=row["chunks"],
        embedded=row["embedded"],
        attempts=row["attempts"],
        error=error or None,
        bulk=row["priority"] > 0,
        created_at=row["created_at"].isoformat(),
        started_at=_moment(row["started_at"]),
        updated_at=row["updated_at"].isoformat(),
        ended_at=_moment(row["ended_at"]),
        next_try_at=_moment(row["next_try_at"]) if row["state"] == "queued" else None,
    )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
