"""What ingestion takes from the settings."""

from typing import Any

from ateneo.db.jobs import Limits
from ateneo.db.pool import Database
from ateneo.embedding.locks import ReadWriteLock
from ateneo.factories.databases import open_database
from ateneo.ingestion.job_engine import JobEngine
from ateneo.ingestion.jobs import JobService
from ateneo.ingestion.service import IngestionService
from ateneo.settings import Settings

_MIB = 1024 * 1024
_CLAIMS = 2
_LONGEST_LEASE_S = 15.0
"""A job's lease is renewed every second."""


def chunk_sizes(settings: Settings) -> dict[str, int]:
    """How texts are cut into chunks."""
    return {"chunk_tokens": settings.chunk_tokens, "chunk_overlap": settings.chunk_overlap}


def ingestion_options(settings: Settings) -> dict[str, Any]:
    """What IngestionService takes from the settings."""
    return {
        **chunk_sizes(settings),
        "max_bytes": settings.max_upload_mb * _MIB,
        "timeout_s": settings.extract_timeout_s,
        "ocr": settings.ocr == "auto",
    }


def make_job_engine(settings: Settings, ingestion: IngestionService, lock: ReadWriteLock | None = None) -> JobEngine:
    """`lock`: the process's, where it has one."""
    return JobEngine(ingestion, lease_s=min(settings.lease_s, _LONGEST_LEASE_S), lock=lock)


def make_jobs(settings: Settings, ingestion: IngestionService) -> JobService:
    limits = Limits(settings.max_jobs, settings.max_jobs_mb * _MIB)
    return JobService(ingestion, make_job_engine(settings, ingestion), limits)


async def open_claims(settings: Settings) -> Database:
    """Connections to claim jobs by, as the login itself. Raises as `open_database`."""
    return await open_database(settings.model_copy(update={"pool_size": _CLAIMS}))
