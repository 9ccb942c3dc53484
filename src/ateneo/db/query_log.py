"""What people asked: searches that were kept, and those that answered their messages in conversations."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from ateneo.db.pool import Database

MOST_KEPT = 1000
"""Searches kept of a company: the last ones."""

MOST_ASKED = 20_000
"""Questions of a company that are looked at for the list of what nobody could answer: the last ones."""

Source = Literal["conversation", "search"]


@dataclass(frozen=True, slots=True)
class KeptQuery:
    """A search to keep: how many passages it found, None where that tells nothing, and the highest relevance."""

    query: str
    times: int = 1
    found: int | None = None
    best: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of one company, and what came of it: a turn of a conversation has a state, a search what it found."""

    text: str
    at: datetime
    times: int
    conversation_id: str | None
    state: str | None
    rating: int | None
    cited: bool
    found: int | None
    best: float | None


@dataclass(frozen=True, slots=True)
class RealQuestion:
    """A search of one company. `liked`: the chunks cited by an answer to it that somebody rated as good."""

    empresa_id: str
    text: str
    source: Source
    liked: frozenset[str]


async def keep(db: Database, empresa_id: str, queries: Sequence[KeptQuery], days: int) -> None:
    """Keeps them, different ones, for so many days; forgets what has had its time, or is more than MOST_KEPT."""
    rows = json.dumps([asdict(one) for one in queries], ensure_ascii=False)
    async with db.tenant(empresa_id, writes=True) as connection:
        await connection.execute(
            "SELECT ateneo.own_queries_keep($1, $2::text::jsonb, $3, $4)", empresa_id, rows, days, MOST_KEPT
        )


async def asked(db: Database, empresa_id: str, days: int) -> list[Asked]:
    """What was asked in the last so many days, in conversations and in kept searches, the last first."""
    rows = await db.read(
        empresa_id,
        "SELECT question AS text, at, times, conversation_id, state, rating, cited, found, best"
        " FROM ateneo.own_questions($1, $2, $3) ORDER BY at DESC, text",
        days,
        MOST_ASKED,
    )
    return [Asked(**row) for row in rows]


async def forget_expired(db: Database) -> None:
    """For all companies: where searches are no longer kept, nobody else does."""
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.kept_query WHERE until < now()")


async def sample(db: Database, empresa_id: str | None, size: int, seed: str) -> list[RealQuestion]:
    """Different questions of one company or of all, drawn by chance; the same ones for the same seed."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM (SELECT DISTINCT ON (a.empresa_id, lower(a.text)) a.* FROM ("
            "  SELECT t.empresa_id, btrim(coalesce(t.queries[1], t.question)) AS text, 'conversation' AS source,"
            "   CASE WHEN t.rating = 1 THEN t.citations::text ELSE '[]' END AS citations, t.rating FROM ateneo.turn t"
            "  UNION ALL SELECT q.empresa_id, q.query, 'search', '[]', NULL FROM ateneo.kept_query q"
            "  WHERE q.until > now()"
            " ) a WHERE ($1::text IS NULL OR a.empresa_id = $1) AND length(a.text) > 2"
            " ORDER BY a.empresa_id, lower(a.text), a.rating DESC NULLS LAST, a.source, a.text) asked"
            " ORDER BY md5($3 || asked.empresa_id || asked.text), asked.text LIMIT $2",
            empresa_id,
            size,
            seed,
        )
    return [
        RealQuestion(
            row["empresa_id"],
            row["text"],
            row["source"],
            frozenset(one["chunk_id"] for one in json.loads(row["citations"])),
        )
        for row in rows
    ]
