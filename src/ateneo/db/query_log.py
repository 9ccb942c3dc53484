"""What people asked: searches that were kept, and those that answered their messages in conversations."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ateneo.db.pool import Database

MOST_KEPT = 1000
"""Searches kept of a company: the last ones."""

Source = Literal["conversation", "search"]


@dataclass(frozen=True, slots=True)
class RealQuestion:
    """A search of one company. `liked`: the chunks cited by an answer to it that somebody rated as good."""

    empresa_id: str
    text: str
    source: Source
    liked: frozenset[str]


async def keep(db: Database, empresa_id: str, queries: Sequence[str], days: int) -> None:
    """Keeps them for so many days, and forgets what has had its time, or is more than MOST_KEPT."""
    async with db.tenant(empresa_id, writes=True) as connection:
        await connection.execute(
            "INSERT INTO ateneo.kept_query (empresa_id, query_hash, query, until)"
            " SELECT $1, sha256(convert_to(q, 'UTF8')), q, now() + make_interval(days => $3)"
            " FROM (SELECT DISTINCT q FROM unnest($2::text[]) q) asked ORDER BY 2"
            " ON CONFLICT (empresa_id, query_hash) DO UPDATE SET at = now(), until = excluded.until",
            empresa_id,
            list(queries),
            days,
        )
        await connection.execute(
            "DELETE FROM ateneo.kept_query WHERE empresa_id = $1 AND (until < now() OR query_hash IN (SELECT query_hash"
            " FROM ateneo.kept_query WHERE empresa_id = $1 ORDER BY at DESC, query_hash OFFSET $2))",
            empresa_id,
            MOST_KEPT,
        )


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
