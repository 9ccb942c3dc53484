"""Tables that other libraries keep texts and vectors in: where they are, and what stands in them. The operator's."""

import json
from collections.abc import Sequence
from typing import Any

from ateneo.db.pool import Database
from ateneo.errors import Unknown
from ateneo.i18n import tr
from ateneo.types.sources import TableFacts

_SAMPLE = 200
_TABLES = """SELECT format('%I.%I', n.nspname, c.relname) AS relation FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'ateneo' AND n.nspname !~ '^pg_'
    AND $1::text[] <@ ARRAY(SELECT a.attname::text FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  ORDER BY 1"""
# its later versions keep where the vectors are in `config`
_VECTORIZED = """SELECT format('%I.%I', v.source_schema, v.source_table)
  FROM (SELECT x.source_schema, x.source_table, to_jsonb(x) || coalesce(x.config -> 'destination', '{}') AS target
    FROM ai.vectorizer x) v
  WHERE to_regclass($1) = to_regclass(format('%I.%I', v.target ->> 'target_schema', v.target ->> 'target_table'))"""


def condition_on_parent(there: TableFacts, condition: str) -> str:
    """A condition on the row of `there` with the same key, as one on the row itself."""
    quoted = ['"' + one.replace('"', '""') + '"' for one in there.key]
    same = " AND ".join(f"p.{one} = r.{one}" for one in quoted)
    return f"EXISTS (SELECT FROM {there.relation} p WHERE {same} AND {condition})"


async def tables_with(db: Database, columns: Sequence[str]) -> list[str]:
    """The tables that have all of these columns."""
    async with db.acquire() as connection:
        return [row["relation"] for row in await connection.fetch(_TABLES, list(columns))]


async def json_samples(db: Database, relation: str, column: str) -> list[dict[str, Any]]:
    """Some of the column's JSON objects. Both names are as `table_facts` gives them."""
    quoted = '"' + column.replace('"', '""') + '"'
    async with db.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT to_jsonb(r.{quoted})::text AS found FROM {relation} r"  # noqa: S608
            f" WHERE jsonb_typeof(to_jsonb(r.{quoted})) = 'object' LIMIT {_SAMPLE}"
        )
    return [json.loads(row["found"]) for row in rows]


async def collection_id(db: Database, relation: str, name: str) -> str:
    """Of a collection of LangChain's. Raises Unknown."""
    async with db.acquire() as connection:
        found = await connection.fetchval(f"SELECT c.uuid::text FROM {relation} c WHERE c.name = $1", name)  # noqa: S608
    if found is None:
        raise Unknown(what=tr(f"la colección «{name}»", f"the collection “{name}”"))
    return str(found)


async def vectorized(db: Database, store: str) -> str | None:
    """The table that pgai made this store of vectors for, by its catalog."""
    async with db.acquire() as connection:
        if await connection.fetchval("SELECT to_regclass('ai.vectorizer') IS NULL"):
            return None
        found: str | None = await connection.fetchval(
            _VECTORIZED,
            store,
        )
    return found
