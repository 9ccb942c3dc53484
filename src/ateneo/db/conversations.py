"""Conversations: what was asked, what was answered from which passages, and what people thought of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import Unknown
from ateneo.i18n import tr
from ateneo.types import Answer, Citation

_TITLE_CHARS = 80
_TURN = (
    "position, question, answer, state, queries, passages, citations, citations_dropped, provider, model, stop_reason,"
    " error, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost, latency_ms, first_text_ms,"
    " rating, comment, created_at"
)
_AS = {"citations": "{}::text AS citations", "cost": "{}::float8 AS cost"}
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
                "INSERT INTO ateneo.conversation (empresa_id, agent_id, title) VALUES ($1, $2, $3)"
                " RETURNING conversation_id",
                empresa_id,
                agent_id,
                title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…",
            )
        )


async def add(db: Database, empresa_id: str, conversation_id: str, question: str, answer: Answer) -> int:
    """Adds a turn; returns its position. Raises Unknown where it was deleted meanwhile."""
    async with db.tenant(empresa_id) as connection:
        # the row's lock makes two turns at once take two positions
        if not await connection.fetchval(
            "UPDATE ateneo.conversation SET updated_at = now() WHERE empresa_id = $1 AND conversation_id = $2"
            " RETURNING true",
            empresa_id,
            conversation_id,
        ):
            raise _unknown(conversation_id)
        return int(
            await connection.fetchval(
                "INSERT INTO ateneo.turn (empresa_id, conversation_id, position, question, answer, state, queries,"
                " passages, citations, citations_dropped, provider, model, stop_reason, error, input_tokens,"
                " output_tokens, cache_read_tokens, cache_write_tokens, cost, latency_ms, first_text_ms)"
                " SELECT $1, $2, coalesce(max(position) + 1, 0), $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11,"
                " $12, $13, $14, $15, $16, $17, round($18::text::numeric, 6), $19, $20 FROM ateneo.turn"
                " WHERE empresa_id = $1 AND conversation_id = $2 RETURNING position",
                empresa_id,
                conversation_id,
                question,
                answer.text,
                answer.state,
                list(answer.queries),
                [hit.chunk_id for hit in answer.passages],
                json.dumps([asdict(one) for one in answer.citations], ensure_ascii=False),
                answer.citations_dropped + answer.markers_removed,
                answer.provider,
                answer.model,
                answer.stop_reason,
                answer.error,
                answer.input_tokens,
                answer.output_tokens,
                answer.cache_read_tokens,
                answer.cache_write_tokens,
                None if answer.cost is None else repr(answer.cost),
                answer.latency_ms,
                answer.first_text_ms,
            )
        )


_CONVERSATION = """
SELECT c.conversation_id, c.agent_id, c.title, c.summary, c.summary_to, c.created_at, c.updated_at,
  t.turns::int, t.cost
FROM ateneo.conversation c CROSS JOIN LATERAL (
  SELECT count(*) AS turns, sum(cost)::float8 AS cost FROM ateneo.turn t
  WHERE t.empresa_id = c.empresa_id AND t.conversation_id = c.conversation_id) t
"""


async def get(db: Database, empresa_id: str, conversation_id: str) -> Conversation:
    """Raises Unknown where the company has no such conversation."""
    rows = await db.read(
        empresa_id, f"{_CONVERSATION} WHERE c.empresa_id = $1 AND c.conversation_id = $2", conversation_id
    )
    if not rows:
        raise _unknown(conversation_id)
    return _conversation(rows[0])


async def list_conversations(
    db: Database, empresa_id: str, *, limit: int = 50, after: str | None = None
) -> list[Conversation]:
    """The last used first; `after` is the last conversation_id of the page before."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            f"{_CONVERSATION} WHERE c.empresa_id = $1 AND ($2::text IS NULL OR (c.updated_at, c.conversation_id) <"  # noqa: S608
            " (SELECT l.updated_at, l.conversation_id FROM ateneo.conversation l"
            "  WHERE l.empresa_id = $1 AND l.conversation_id = $2))"
            " ORDER BY c.updated_at DESC, c.conversation_id DESC LIMIT $3",
            empresa_id,
            after,
            limit,
        )
    return [_conversation(row) for row in rows]


async def turns(db: Database, empresa_id: str, conversation_id: str, *, since: int = 0) -> list[StoredTurn]:
    """The turns from position `since` on, in order."""
    rows = await db.read(
        empresa_id,
        f"SELECT {_READ} FROM ateneo.turn t"  # noqa: S608
        " WHERE empresa_id = $1 AND conversation_id = $2 AND position >= $3 ORDER BY position",
        conversation_id,
        since,
    )
    return [_turn(row) for row in rows]


async def outside(db: Database, empresa_id: str, conversation_id: str, filter: Mapping[str, Any]) -> set[int]:
    """The positions of the turns that were answered from a passage that is not within the filter now, or is gone."""
    rows = await db.read(
        empresa_id,
        "SELECT DISTINCT t.position FROM ateneo.turn t CROSS JOIN unnest(t.passages) given (chunk_id)"
        " LEFT JOIN public.knowledge_chunks r ON r.empresa_id = $1 AND r.id = given.chunk_id"
        "  AND r.id <> ALL ((SELECT ateneo.withdrawn_chunks($1))::text[])"
        " LEFT JOIN ateneo.document doc ON doc.empresa_id = $1 AND doc.document_id = r.document_id::text"
        " LEFT JOIN ateneo.chunk_meta meta ON meta.empresa_id = $1 AND meta.chunk_id = r.id"
        " WHERE t.empresa_id = $1 AND t.conversation_id = $2 AND (r.id IS NOT NULL AND"
        "  coalesce(doc.metadata, '{}') || coalesce(meta.metadata, '{}') || jsonb_build_object("
        "   'document_id', r.document_id, 'chunk_index', r.chunk_index, 'source', doc.source, 'title', doc.title,"
        "   'mime', doc.mime, 'page', meta.page, 'created_at', doc.created_at)"
        "  @@ ateneo.filter_path($3::text::jsonb)) IS NOT TRUE",
        conversation_id,
        json.dumps(filter),
    )
    return {row["position"] for row in rows}


async def keep_summary(db: Database, empresa_id: str, conversation_id: str, summary: str, summary_to: int) -> None:
    """Keeps the summary of the turns before `summary_to`, unless one of more turns is there by now."""
    async with db.tenant(empresa_id) as connection:
        await connection.execute(
            "UPDATE ateneo.conversation SET summary = $3, summary_to = $4"
            " WHERE empresa_id = $1 AND conversation_id = $2 AND summary_to < $4",
            empresa_id,
            conversation_id,
            summary,
            summary_to,
        )


async def delete(db: Database, empresa_id: str, conversation_id: str) -> None:
    """Deletes it with all its turns. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        gone = await connection.fetchval(
            "DELETE FROM ateneo.conversation WHERE empresa_id = $1 AND conversation_id = $2 RETURNING true",
            empresa_id,
            conversation_id,
        )
    if not gone:
        raise _unknown(conversation_id)


async def purge(db: Database, empresa_id: str, *, older_than_days: int) -> int:
    """Deletes the conversations that nobody used for so many days. Returns how many."""
    async with db.tenant(empresa_id) as connection:
        status = await connection.execute(
            "DELETE FROM ateneo.conversation WHERE empresa_id = $1 AND updated_at < now() - make_interval(days => $2)",
            empresa_id,
            older_than_days,
        )
    return int(status.split()[-1])


async def rate(
    db: Database, empresa_id: str, conversation_id: str, position: int, rating: int | None, comment: str | None
) -> None:
    """Keeps what somebody thought of a turn, in the place of what was kept. Raises Unknown."""
    async with db.tenant(empresa_id) as connection:
        found = await connection.fetchval(
            "UPDATE ateneo.turn SET rating = $4, comment = $5"
            " WHERE empresa_id = $1 AND conversation_id = $2 AND position = $3 RETURNING true",
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
            f"SELECT c.conversation_id, c.agent_id, {_READ}, ARRAY(SELECT d.document_id || E'\\x1f' || d.source"  # noqa: S608
            " FROM ateneo.document d WHERE d.empresa_id = t.empresa_id AND d.document_id IN"
            " (SELECT e ->> 'document_id' FROM jsonb_array_elements(t.citations) e)) AS sources"
            " FROM ateneo.turn t JOIN ateneo.conversation c USING (empresa_id, conversation_id)"
            " WHERE t.empresa_id = $1 AND t.rating IS NOT NULL ORDER BY t.created_at, c.conversation_id, t.position",
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
        "created_at": row["created_at"].isoformat(timespec="seconds"),
    }
    return StoredTurn(**values)
