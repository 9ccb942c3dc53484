"""A job: an upload on its way to being a document."""

from dataclasses import dataclass
from typing import Literal, get_args

JobState = Literal[
    "queued", "reading", "chunking", "embedding", "ready", "unchanged", "superseded", "failed", "cancelled"
]
STATES: tuple[JobState, ...] = get_args(JobState)
MOST_ATTEMPTS = 8
"""After so many tries that end with a provider or database that is away, it fails."""
OPEN = frozenset(STATES[:4])
"""Those of a job that has not ended."""


@dataclass(frozen=True, slots=True)
class JobError:
    """Why it failed, or what its last try ended with."""

    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Job:
    """`document_id` None: not known before it is stored. `status`: what became of the document (StoredDocument), None
    before the end. `embedded` of `chunks`, None before they are cut. `bulk`: nobody waits for it."""

    job_id: str
    empresa_id: str
    state: JobState
    source: str
    bytes: int
    document_id: str | None
    status: str | None
    chunks: int | None
    embedded: int
    attempts: int
    error: JobError | None
    bulk: bool
    created_at: str
    started_at: str | None
    updated_at: str
    ended_at: str | None
    next_try_at: str | None
    """When a queued one is tried, or tried again."""

    @property
    def open(self) -> bool:
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Original:
    """A document's file as it was sent: its name, its type, and when this version was stored."""

    sha256: bytes
    bytes: int
    source: str
    mime: str
    stored_at: str
