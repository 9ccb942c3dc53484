"""Conversations: what was asked, what was answered from which passages, and what people thought of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import Unknown
from ateneo.i18n import tr
from ateneo.types import Answer, Citation, Claim

_TITLE_CHARS = 80
_TURN = (
    "position, question, answer, state, queries, passages, citations, claims, citations_dropped, provider, model,"
    " stop_reason, error, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, latency_ms,"
    " first_text_ms, rating, comment, created_at"
)
_AS = {"citations": "{}::text AS citations", "claims": "{}::text AS claims", "cost": "{}::float8 AS cost"}
"""On the caller's connections JSON and numbers may have codecs of theirs."""
_READ = ", ".join(_AS.get(name, "{}").format(f"t.{name}") for name in _TURN.split(", "))


@dataclass(frozen=True, slots=True)
class Conversation:
    """One of a company's conversations. `summary` stands for the turns before position `summary_to`."""

    conversation_id: str
    agent_id: str
    title: str
    turns: int
    cost: float | None
    created_at: str
    updated_at: str
    summary: str = ""
    summary_to: int = 0


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A question and its answer, as `Answer` has them. `passages` are chunk ids; `rating` is 1, -1 or None."""

    position: int
    question: str
    answer: str
    state: str
    queries: tuple[str, ...]
    passages: tuple[str, ...]
    citations: tuple[Citation, ...]
    claims: tuple[Claim, ...]
    citations_dropped: int
    provider: str
    model: str
    stop_reason: str | None
    error: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost: float | None
    latency_ms: int
    first_text_ms: int | None
    rating: Literal[1, -1] | None
    comment: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class RatedTurn:
    """A turn that somebody rated, with where it stands, and the source of each document that it cites."""

    conversation_id: str
    agent_id: str
    turn: StoredTurn
    sources: dict[str, str]


async def begin(db: Database, empresa_id: str, agent_id: str, question: str) -> str:
    """Makes a conversation and returns its id."""
    title = " ".join(question.split())
    async with db.tenant(empresa_id) as connection:
        return str(
            await connection.fetchval(
                "SELECT ateneo.own_conversation_begin($1, $2, $3)",
                empresa_id,
                agent_id,
                title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…",
            )
        )


async def add(db: Database, empresa_id: str, conversation_id: str, question: str, answer: Answer) -> int:
    """Adds a turn; returns its position. Raises Unknown where it was deleted meanwhile."""
    row = json.dumps(_row(question, answer), ensure_ascii=False)
    async with db.tenant(empresa_id) as connection:
        position = await connection.fetchval(
            "SELECT ateneo.own_turn_add($1, $2, $3::text::jsonb)", empresa_id, conversation_id, row
        )
    if position is None:
        raise _unknown(conversation_id)
    return int(position)


def _row(question: str, answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in _TURN.split(", ") if hasattr(answer, name)} | {
        "question": question,
        "answer": answer.text,
        "passages": [hit.chunk_id for hit in answer.passages],
        "citations": [asdict(one) for one in answer.citations],
        "claims": [asdict(one) for one in answer.claims],
        "citations_dropped": answer.citations_dropped + answer.markers_removed,
    }


async def get(db: Database, empresa_id: str, conversation_id: str) -> Conversation:
    """Raises Unknown where the company has no such conversation."""
    rows = await db.read(empresa_id, "SELECT c.* FROM ateneo.own_conversation($1, $2) c", conversation_id)
    if not rows:
        raise _unknown(conversation_id)
    return _conversation(rows[0])


async def list_conversations(
    db: Database, empresa_id: str, *, limit: int = 50, after: str | None = None
) -> list[Conversation]:
    """The last used first; `after` is the last conversation_id of the page before."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT c.* FROM ateneo.own_conversations($1, $2, $3) c ORDER BY c.updated_at DESC, c.conversation_id DESC",
            empresa_id,
            after,
            limit,
        )
    return [_conversation(row) for row in rows]


async def turns(db: Database, empresa_id: str, conversation_id: str, *, since: int = 0) -> list[StoredTurn]:
    """The turns from position `since` on, in order."""
    rows = await db.read(
        empresa_id,
        f"SELECT {_READ} FROM ateneo.own_turns($1, $2, $3) t ORDER BY t.position",  # noqa: S608
        conversation_id,
        since,
    )
    return [_turn(row) for row in rows]


async def outside(db: Database, empresa_id: str, conversation_id: str, filter: Mapping[str, Any]) -> set[int]:
    """The positions of the turns that were answered from a passage that is not within the filter now, or is gone."""
    rows = await db.read(
        empresa_id,
        "SELECT o.position FROM ateneo.own_turns_outside($1, $2, $3::text::jsonb) o (position)",
        conversation_id,
        json.dumps(filter),
    )
    return {row["position"] for row in rows}


async def keep_summary(db: Database, empresa_id: str, conversation_id: str, summary: str, summary_to: int) -> None:
    """Keeps the summary of the turns before `summary_to`, unless one of more turns is there by now."""
    async with db.tenant(empresa_id) as connection:
        await connection.execute(
            "SELECT ateneo.own_summary_keep($1, $2, $3, $4)", empresa_id, conversation_id, summary, summary_to
        )


async def delete(db: Database, empresa_id: str, conversation_id: str) -> None:
    """Deletes it with all its turns. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        gone = await connection.fetchval("SELECT ateneo.own_conversation_delete($1, $2)", empresa_id, conversation_id)
    if not gone:
        raise _unknown(conversation_id)


async def purge(db: Database, empresa_id: str, *, older_than_days: int) -> int:
    """Deletes the conversations that nobody used for so many days. Returns how many."""
    async with db.tenant(empresa_id) as connection:
        return int(
            await connection.fetchval("SELECT ateneo.own_conversations_purge($1, $2)", empresa_id, older_than_days)
        )


async def rate(
    db: Database, empresa_id: str, conversation_id: str, position: int, rating: int | None, comment: str | None
) -> None:
    """Keeps what somebody thought of a turn, in the place of what was kept. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        found = await connection.fetchval(
            "SELECT ateneo.own_turn_rate($1, $2, $3, $4, $5)",
            empresa_id,
            conversation_id,
            position,
            rating,
            comment,
        )
    if not found:
        raise _unknown(f"{conversation_id}/{position}")


async def rated(db: Database, empresa_id: str) -> list[RatedTurn]:
    """The turns that were rated, oldest first."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            f"SELECT t.conversation_id, r.agent_id, {_READ}, r.sources FROM ateneo.own_rated_turns($1) r,"  # noqa: S608
            " LATERAL (SELECT (r.turn).*) t ORDER BY t.created_at, t.conversation_id, t.position",
            empresa_id,
        )
    return [
        RatedTurn(
            row["conversation_id"],
            row["agent_id"],
            _turn(row),
            dict(one.split("\x1f", 1) for one in row["sources"]),
        )
        for row in rows
    ]


def _unknown(conversation_id: str) -> Unknown:
    return Unknown(what=tr(f"la conversación «{conversation_id}»", f"conversation “{conversation_id}”"))


def _conversation(row: asyncpg.Record) -> Conversation:
    times = {name: row[name].isoformat(timespec="seconds") for name in ("created_at", "updated_at")}
    return Conversation(**{**dict(row), **times})


def _turn(row: asyncpg.Record) -> StoredTurn:
    values: dict[str, Any] = {name: row[name] for name in _TURN.split(", ")}
    citations: Sequence[dict[str, Any]] = json.loads(row["citations"])
    values |= {
        "queries": tuple(row["queries"]),
        "passages": tuple(row["passages"]),
        "citations": tuple(Citation(**one) for one in citations),
        "claims": tuple(Claim(one["text"], tuple(one["numbers"]), one["support"]) for one in json.loads(row["claims"])),
        "created_at": row["created_at"].isoformat(timespec="seconds"),
    }
    return StoredTurn(**values)
