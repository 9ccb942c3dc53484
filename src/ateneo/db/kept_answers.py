"""Answers to requests that may be repeated (table `ateneo.kept_answer`): claimed, kept for a day, given again."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ateneo.db.pool import Database

LEASE = timedelta(minutes=10)
"""How long a request may be answered; then its process has died, and the next one with the key is answered."""
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Claim:
    """A company's key, by its sha256, and the request that has it."""

    empresa_id: str
    key_hash: bytes
    claim: uuid.UUID


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def claim(db: Database, mine: Claim, request_hash: bytes) -> KeptAnswer | Literal["mine", "running", "other"]:
    """The answer that is kept; else whether the request is to be answered, is being answered, or is another's key."""
    async with db.tenant(mine.empresa_id, writes=True) as connection:
        row = await connection.fetchrow(
            "SELECT outcome, status, headers, body FROM ateneo.own_answer_claim($1, $2, $3, $4, $5, $6)",
            mine.empresa_id,
            mine.key_hash,
            request_hash,
            mine.claim,
            LEASE,
            KEPT,
        )
    assert row is not None
    outcome: Literal["mine", "running", "other"] = row["outcome"]
    return KeptAnswer(row["status"], json.loads(row["headers"]), row["body"]) if row["outcome"] == "kept" else outcome


async def keep(db: Database, mine: Claim, answer: KeptAnswer) -> None:
    async with db.tenant(mine.empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_answer_keep($1, $2, $3, $4, $5::text::jsonb, $6)",
            mine.empresa_id,
            mine.key_hash,
            mine.claim,
            answer.status,
            json.dumps(dict(answer.headers)),
            answer.body,
        )


async def release(db: Database, mine: Claim) -> None:
    async with db.tenant(mine.empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_answer_release($1, $2, $3)", mine.empresa_id, mine.key_hash, mine.claim
        )


async def forget_expired(db: Database) -> None:
    """For all companies, by the worker's upkeep."""
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.kept_answer WHERE expires_at < now()")
