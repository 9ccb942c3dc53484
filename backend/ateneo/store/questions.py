"""What people asked: the searches that answered their messages in conversations that were kept."""

import json
from dataclasses import dataclass

from ateneo.store.pool import Database


@dataclass(frozen=True, slots=True)
class RealQuestion:
    """A search of one company. `liked`: the chunks cited by an answer to it that somebody rated as good."""

    empresa_id: str
    text: str
    liked: frozenset[str]


async def sample(db: Database, empresa_id: str | None, size: int, seed: str) -> list[RealQuestion]:
    """Different questions of one company or of all, drawn by chance; the same ones for the same seed."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT * FROM (SELECT DISTINCT ON (t.empresa_id, lower(q.text)) t.empresa_id, q.text,"
            " CASE WHEN t.rating = 1 THEN t.citations ELSE '[]' END AS citations"
            " FROM ateneo.turn t, LATERAL (SELECT btrim(coalesce(t.queries[1], t.question)) AS text) q"
            " WHERE ($1::text IS NULL OR t.empresa_id = $1) AND length(q.text) > 2"
            " ORDER BY t.empresa_id, lower(q.text), t.rating DESC NULLS LAST, q.text) asked"
            " ORDER BY md5($3 || asked.empresa_id || asked.text), asked.text LIMIT $2",
            empresa_id,
            size,
            seed,
        )
    return [
        RealQuestion(row["empresa_id"], row["text"], frozenset(one["chunk_id"] for one in json.loads(row["citations"])))
        for row in rows
    ]
