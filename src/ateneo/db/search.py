"""The one way to search, `ateneo.search(...)`: one statement, the tenant set for that statement alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from ateneo.db.pool import VECTOR_SCHEMA, Connection, Database
from ateneo.errors import BadArgument, GenerationMismatch
from ateneo.i18n import tr
from ateneo.text.same_text import SameText
from ateneo.types import Fusion, Hit, Matrix

# The tenant is set as a setting; the argument depends on it, so that search() runs after it.
# JSON goes as text: on the caller's connections it may have a codec of theirs.
_SEARCH = """
SELECT s.chunk_id, s.document_id, s.chunk_index, s.contenido, s.tokens_count, s.title, s.source, s.page, s.headings,
  s.score, s.dense_score, s.lexical_score, s.dense_rank, s.lexical_rank, s.matched, s.notes::text AS notes,
  s.plan::text AS plan
FROM (SELECT set_config('ateneo.empresa_id', $1, true) AS token OFFSET 0) t
CROSS JOIN LATERAL ateneo.search($2, $3::real[]::{schema}.vector, $4, $5, $6::smallint,
  CASE WHEN t.token <> '' THEN $12::text END, $7, $8::text::jsonb, $9, $10, $11) s
"""
_NO_FILTER = (asyncpg.DataError, asyncpg.PostgresSyntaxError, asyncpg.ProgramLimitExceededError)


@dataclass(frozen=True, slots=True)
class Query:
    """What one search asks. `text` None leaves words out; `vector` (dims,), of the model of `generation`, None leaves
    meaning out. `pool`: candidates of each leg; `skip`: hits of earlier pages."""

    empresa_id: str
    text: str | None
    vector: Matrix | None = None
    generation: int | None = None
    k: int = 10
    dense_weight: float = 0.4
    pool: int = 100
    filter: Mapping[str, Any] | None = None
    fusion: Fusion = "convex"
    skip: int = 0
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Hits, best first. `corrected`: unknown word -> the one searched instead; `phrases_nowhere`: no passage has the
    quoted words in a row, so they counted as words; `crowded`: so many candidates had the same text that a larger pool
    may find more; `passages`: how many the company has."""

    hits: tuple[Hit, ...] = ()
    corrected: Mapping[str, str] = field(default_factory=dict)
    phrases_nowhere: bool = False
    crowded: bool = False
    passages: int = 1
    plan: Mapping[str, Any] | None = None


async def vector_schema(db: Database) -> str:
    """The schema that pgvector lives in, quoted."""
    async with db.acquire() as connection:
        schema = await connection.fetchval(VECTOR_SCHEMA)
        return str(await connection.fetchval("SELECT quote_ident($1)", schema or "public"))


async def search(db: Database, query: Query, *, schema: str) -> Candidates:
    """One company's hits. Raises GenerationMismatch where the generation is gone or has other dimensions, BadArgument
    for a filter that is none and for a company without a name."""
    if not query.empresa_id.strip():
        rule = tr("hace falta decir de qué empresa", "a company must be named")
        raise BadArgument(name="empresa_id", value=repr(query.empresa_id), rule=rule)
    arguments = (
        db.named(query.empresa_id),
        query.text,
        None if query.vector is None else query.vector.tolist(),
        query.k,
        query.dense_weight,
        query.generation,
        query.pool,
        None if query.filter is None else json.dumps(query.filter, ensure_ascii=False),
        query.fusion,
        query.skip,
        query.explain,
        query.empresa_id,
    )
    async with db.acquire() as connection:
        rows = await _fetch(connection, _SEARCH.format(schema=schema), arguments, query)
    if not rows:
        return Candidates()
    notes = [json.loads(row["notes"] or "{}") for row in rows]
    return Candidates(
        hits=tuple(map(_hit, rows, notes)),
        corrected=notes[0].get("corrected", {}),
        phrases_nowhere="phrases" in notes[0],
        crowded="crowded" in notes[0],
        passages=notes[0]["passages"],
        plan=json.loads(rows[0]["plan"]) if rows[0]["plan"] else None,
    )


def _hit(row: asyncpg.Record, notes: Mapping[str, Any]) -> Hit:
    values = {name: value for name, value in row.items() if name not in ("notes", "plan")}
    values |= {"headings": tuple(row["headings"]), "matched": tuple(row["matched"])}
    same_text = tuple(SameText(**one) for one in notes.get("same_text", ()))
    breaks = notes.get("page_breaks", ())
    return Hit(
        **values,
        key=tuple(notes.get("row", {}).get("key", ())),
        url=notes.get("row", {}).get("url"),
        page_breaks=tuple(zip(breaks[::2], breaks[1::2], strict=True)),
        duplicates=notes.get("duplicates", 0),
        words_share=notes.get("words_share"),
        same_text=same_text,
    )


async def _fetch(connection: Connection, sql: str, arguments: tuple[object, ...], query: Query) -> list[asyncpg.Record]:
    try:
        return await connection.fetch(sql, *arguments)
    except asyncpg.PostgresError as error:
        dropped = isinstance(error, asyncpg.UndefinedTableError) and f"vec_g{query.generation}" in str(error)
        if error.sqlstate == "AT001" or dropped:
            raise GenerationMismatch(stored="?", asked=error.args[0]) from error
        if error.sqlstate == "AT002" or (query.filter is not None and isinstance(error, _NO_FILTER)):
            raise BadArgument(name="filter", value=json.dumps(query.filter)[:200], rule=str(error.args[0])) from error
        raise
