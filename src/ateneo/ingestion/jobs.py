"""Uploads as jobs: added, done at once or left to whoever claims them, looked at, cancelled, tried again.

jobs = JobService(ingestion, JobEngine(ingestion))
job = await jobs.submit(path, "acme")             # stored; a worker reads it
document = await jobs.ingest(path, "acme")        # stored, and read here
"""

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ateneo import i18n
from ateneo.db import documents, originals
from ateneo.db import jobs as store
from ateneo.db.identity import NEW, Arrival, Identity, arrive
from ateneo.db.jobs import Lease, Limits, NewJob, Work
from ateneo.errors import BadArgument, DocumentTooLarge, NoOriginal
from ateneo.i18n import tr
from ateneo.ingestion.asked import Asked
from ateneo.ingestion.file_bytes import file_bytes
from ateneo.ingestion.job_engine import JobEngine
from ateneo.ingestion.job_in_hand import InHand
from ateneo.ingestion.service import IngestionService, is_late, superseded
from ateneo.ingestion.upload import LARGEST_PAGE, File, Upload, checked_empresa, uploaded
from ateneo.text.clean import clean
from ateneo.types import Origin, StoredDocument, Tenant
from ateneo.types.jobs import MOST_ATTEMPTS, STATES, Job, Original

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file that has come in, and what with it."""

    empresa_id: str
    upload: Upload
    who: Identity
    body: BinaryIO
    size: int
    sha256: bytes
    force: bool = False
    bulk: bool = False
    arrival: int | None = None


class JobService:
    """Safe under asyncio. Its errors are those of IngestionService, and what the methods name."""

    def __init__(self, ingestion: IngestionService, engine: JobEngine, limits: Limits = Limits()) -> None:  # noqa: B008
        self.engine = engine
        self._ingestion, self._db, self._limits = ingestion, ingestion.db, limits

    async def submit(self, file: File, empresa_id: Tenant, **sent: Any) -> Job:
        """Stores the bytes of a file, and the job to read it; `sent` as of `arriving`. Raises TooManyJobs."""
        return await self.queue(await self.arriving(file, empresa_id, **sent))

    async def ingest(self, file: File, empresa_id: Tenant, hand: InHand | None = None, **sent: Any) -> StoredDocument:
        """As `IngestionService.process_document`, by a job that another process takes up should this one die; it is
        given back where the caller is cancelled. Raises TooManyJobs, JobCancelled."""
        return await self.do(await self.arriving(file, empresa_id, **sent), hand or InHand(), here=True)

    async def arriving(
        self,
        file: File,
        empresa_id: Tenant,
        *,
        name: str | None = None,
        document_id: object | None = None,
        external_id: str | None = None,
        origin: Origin | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = False,
        must_exist: bool = False,
        force: bool = False,
        bulk: bool = False,
        arrival: int | None = None,
    ) -> Arriving:
        """As `IngestionService.process_document`; `must_exist`: the document of `document_id`, which is there; `bulk`:
        after what people wait for."""
        company = checked_empresa(empresa_id)
        who, upload = uploaded(
            file,
            name=name,
            document_id=document_id,
            external_id=external_id,
            origin=origin,
            title=title,
            metadata=metadata,
            replace=replace,
            must_exist=must_exist,
        )
        body = await self._opened(file, upload.source)
        size, sha256 = await asyncio.to_thread(_measured, body)
        limit = self._ingestion.max_bytes
        if size > limit:
            raise DocumentTooLarge(name=upload.source, size=i18n.size(size), limit=i18n.size(limit))
        return Arriving(company, upload, who, body, size, sha256, force, bulk, arrival)

    async def queue(self, one: Arriving) -> Job:
        """Leaves it to whoever claims it. Raises TooManyJobs."""
        arrived = await arrive(self._db, one.empresa_id, one.who, one.arrival)
        work = await self._stored(one, arrived, None, MOST_ATTEMPTS)
        self.engine.wake()
        return work.job

    async def do(self, one: Arriving, hand: InHand | None = None, *, here: bool = False) -> StoredDocument:
        """Reads it in this process; without a job where the document has these bytes already. `here`: given back where
        the caller is cancelled. Raises TooManyJobs, JobCancelled."""
        work = await self._interrupted(one) or await self._begun(one)
        if isinstance(work, StoredDocument):
            return work
        return await (self.engine.do_here if here else self.engine.do)(work, hand)

    async def _begun(self, one: Arriving) -> Work | StoredDocument:
        arrived = await arrive(self._db, one.empresa_id, one.who, one.arrival)
        if is_late(arrived):
            return superseded(arrived)
        if not one.force:
            kept = await self._ingestion.keep(one.empresa_id, one.upload, arrived, one.sha256)
            if kept is not None:
                await originals.keep(self._db, one.empresa_id, one.sha256, one.size, one.body)
                return kept
        return await self._stored(one, arrived, self.engine.lease, 1)

    async def _interrupted(self, one: Arriving) -> Work | None:
        """Of a folder's file: the job that a process was doing which was interrupted; waits for one that lives."""
        if not (one.bulk and one.who.origin and one.who.external_id):
            return None
        while True:
            job = await store.open_of(self._db, one.empresa_id, one.sha256, one.who.origin, one.who.external_id)
            if job is None:
                return None
            work = await store.take(self._db, one.empresa_id, job.job_id, self.engine.lease)
            if work is not None:
                return work
            await asyncio.sleep(_LOOK_S)

    async def _stored(self, one: Arriving, arrived: Arrival, lease: Lease | None, tries: int) -> Work:
        # which document a new one is, is said now: a second try must not make a second one
        who = Identity(str(uuid.uuid4())) if one.who == NEW else one.who
        asked = Asked(who, one.upload.title, one.upload.metadata, one.upload.folder, one.force)
        known = arrived.known.document.document_id if arrived.known else who.document_id
        new = NewJob(one.sha256, one.size, one.upload.source, known, asked.stored(), arrived.number, one.bulk, tries)
        one.body.seek(0)
        return await store.add(self._db, one.empresa_id, new, one.body, self._limits, lease)

    async def _opened(self, file: File, name: str) -> BinaryIO:
        """What can be read twice: an open file itself, of everything else its bytes."""
        seekable = getattr(file, "seekable", None)
        if callable(seekable) and seekable() and isinstance(cast(BinaryIO, file).read(0), bytes):
            return cast(BinaryIO, file)
        return io.BytesIO(await file_bytes(file, name, self._ingestion.max_bytes))

    # --- what there is --------------------------------------------------------------------------------------------

    async def get(self, empresa_id: Tenant, job_id: str) -> Job:
        """Raises UnknownJob."""
        return await store.get(self._db, checked_empresa(empresa_id), clean(job_id))

    async def listed(
        self,
        empresa_id: Tenant,
        *,
        states: Sequence[str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """A page of them, the newest first, after the one of the id `after`."""
        if not 1 <= limit <= LARGEST_PAGE:
            rule = tr(f"va de 1 a {LARGEST_PAGE}", f"it goes from 1 to {LARGEST_PAGE}")
            raise BadArgument(name="limit", value=limit, rule=rule)
        for one in states or ():
            if one not in STATES:
                raise BadArgument(name="state", value=one[:40], rule=", ".join(STATES))
        company = checked_empresa(empresa_id)
        return await store.listed(self._db, company, states=states or None, after=after and clean(after), limit=limit)

    async def events(self, empresa_id: Tenant, job_id: str) -> AsyncGenerator[Job]:
        """The job as it is, and again whenever that changes, until it has ended. Raises UnknownJob."""
        told: Job | None = None
        while told is None or told.open:
            now = await self.get(empresa_id, job_id)
            if now != told:
                told = now
                yield now
            if now.open:
                await asyncio.sleep(_LOOK_S)

    async def cancel(self, empresa_id: Tenant, job_id: str) -> Job:
        """What is in hand ends a moment later. Raises UnknownJob, JobEnded."""
        return await store.cancel(self._db, checked_empresa(empresa_id), clean(job_id))

    async def retry(self, empresa_id: Tenant, job_id: str) -> Job:
        """Queues a failed one again. Raises UnknownJob, JobEnded."""
        job = await store.retry(self._db, checked_empresa(empresa_id), clean(job_id))
        self.engine.wake()
        return job

    async def original(self, empresa_id: Tenant, document_id: str) -> Original:
        """Raises UnknownDocument, NoOriginal."""
        company, document_id = checked_empresa(empresa_id), clean(document_id)
        try:
            return await originals.find(self._db, company, document_id)
        except NoOriginal:
            await documents.get(self._db, company, document_id)
            raise

    async def read(
        self, empresa_id: Tenant, original: Original, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Its bytes from `start` to before `end`, part by part. Raises NoOriginal where it is deleted meanwhile."""
        company, end = checked_empresa(empresa_id), original.bytes if end is None else min(end, original.bytes)
        while start < end:
            number, skipped = divmod(start, originals.PART_BYTES)
            part = await originals.part(self._db, company, original.sha256, number)
            if part is None:
                raise NoOriginal(document_id=original.source)
            data = part[skipped : skipped + end - start]
            yield data
            start += len(data)


def _measured(body: BinaryIO) -> tuple[int, bytes]:
    """How many bytes it has, and their sha256; it stands at its beginning afterwards."""
    digest, size = hashlib.sha256(), 0
    body.seek(0)
    while data := body.read(originals.PART_BYTES):
        digest.update(data)
        size += len(data)
    body.seek(0)
    return size, digest.digest()
