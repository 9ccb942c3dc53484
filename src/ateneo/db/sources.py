"""Tables of the product's as sources (docs/adr/0047-tables-as-sources.md): what the catalog says, and the sources.

All of it is the operator's and the worker's.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import asyncpg

from ateneo.db.locks import NO_LIMIT, PATIENCE, Patience, TableHeld, patiently, short_waits
from ateneo.db.pool import Connection, Database
from ateneo.errors import BadArgument, Unknown
from ateneo.i18n import tr
from ateneo.types.sources import (
    Column,
    OwnSource,
    Source,
    SourceCheck,
    SourceDraft,
    SourceFault,
    SourceMapping,
    SourcePreview,
    TableFacts,
    TextWithVector,
    VectorCount,
)

SAMPLE = 200
"""Texts that an estimate is made by."""
_SHOWN_KEYS = 20

_RELATION = """SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS relation, c.relname::text AS name,
    c.relkind::text AS kind, n.nspname = 'ateneo' OR c.oid = to_regclass('public.knowledge_chunks') AS is_ateneos,
    has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) AS readable
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm')"""
_COLUMNS = """SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS kind,
    t.typcategory::text AS category,
    CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 END
      AS length
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_KEY = """SELECT ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
  FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (SELECT FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k(number) JOIN pg_attribute a
      ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE NOT a.attnotnull)
  ORDER BY i.indisprimary DESC, i.indnkeyatts LIMIT 1"""
_SOURCES = """SELECT s.source_id, s.name, s.relation, s.follow, s.mapping::text AS mapping, s.error,
    s.polled_at::text AS polled_at, s.checked_at::text AS checked_at,
    CASE WHEN $2 THEN (SELECT count(*) FROM ateneo.source_row r WHERE r.source_id = s.source_id) ELSE 0 END AS rows,
    CASE WHEN $2 THEN (SELECT count(*) FROM ateneo.source_change c WHERE c.source_id = s.source_id)
      ELSE (SELECT count(*) FROM (SELECT FROM ateneo.source_change c WHERE c.source_id = s.source_id LIMIT 1) c)
    END AS pending
  FROM ateneo.source s WHERE $1::text IS NULL OR s.name = $1 ORDER BY s.name"""
_LACKING = """SELECT s.name, s.error, to_regclass(s.relation) IS NULL AS gone, CASE WHEN s.follow = 'triggers' THEN
    (SELECT count(*) FROM ateneo.source_tables(to_regclass(s.relation)) t,
        unnest('{insert,update,delete,truncate}'::text[]) e
      WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t AND g.tgenabled IN ('O', 'A')
        AND g.tgname = format('ateneo_source_%s_%s', s.source_id, e))) ELSE 0 END AS triggers
  FROM ateneo.source s ORDER BY s.name"""
_TAKES_DOCUMENTS = """SELECT a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'uuid'::regtype) AND NOT EXISTS (
    SELECT FROM pg_constraint c WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY (c.conkey))
  FROM pg_attribute a WHERE a.attrelid = 'public.knowledge_chunks'::regclass AND a.attname = 'document_id'"""
# one pass over the table; {0}: the source, {1}: how many texts
_PREVIEW = """WITH live AS MATERIALIZED (SELECT x.* FROM ateneo.source_{0}_live(NULL) x),
  own AS (SELECT l.* FROM live l WHERE l.shown AND l.empresa_id IS NOT NULL)
SELECT (SELECT count(*) FROM own) AS rows,
  (SELECT count(*) FROM live l WHERE NOT l.shown) AS hidden,
  (SELECT count(*) FROM live l WHERE l.shown AND l.empresa_id IS NULL) AS without_company,
  (SELECT count(DISTINCT o.empresa_id) FROM own o) AS companies,
  (SELECT coalesce(sum(o.characters), 0) FROM own o) AS characters,
  (SELECT l.key FROM live l GROUP BY l.key HAVING count(*) > 1 LIMIT 1) AS repeated,
  (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d.rows DESC), '[]')::text FROM (SELECT o.dims, count(*) AS rows,
    sum(o.characters) AS characters FROM own o WHERE o.dims IS NOT NULL GROUP BY o.dims) d) AS vectors,
  (SELECT jsonb_agg(to_jsonb(o.key))::text FROM (SELECT x.key FROM own x ORDER BY x.fingerprint LIMIT {1}) o) AS keys"""
_ADD = """INSERT INTO ateneo.source (name, relation, follow, mapping) VALUES ($1, $2, $3, $4::text::jsonb)
  RETURNING source_id"""
OF_ONE_ROW = (asyncpg.DataError, asyncpg.CardinalityViolationError, asyncpg.PLPGSQLError)
"""What a condition may raise for some rows and not for others."""
_REFUSED = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
)


async def table_facts(db: Database, relation: str) -> TableFacts:
    """Raises Unknown where there is no such table or view, BadArgument for Ateneo's own."""
    async with db.acquire() as connection:
        row = await connection.fetchrow(_RELATION, relation)
        if row is None:
            raise Unknown(what=tr(f"la tabla o vista {relation}", f"the table or view {relation}"))
        if row["is_ateneos"]:  # what is stored of it would be a change of it
            rule = tr("es de Ateneo, y ya se busca", "it is Ateneo's, and searched already")
            raise BadArgument(name="table", value=relation, rule=rule)
        columns = await connection.fetch(_COLUMNS, row["oid"])
        key = await connection.fetchval(_KEY, row["oid"])
    return TableFacts(
        relation=row["relation"],
        name=row["name"],
        is_view=row["kind"] in ("v", "m"),
        columns=tuple(Column(**one) for one in columns),
        key=tuple(key or ()),
        readable=row["readable"],
    )


async def sources(db: Database, name: str | None = None, *, counted: bool = True) -> list[Source]:
    """All of them, or the one of this name. Not `counted`: `rows` is 0, and `pending` 1 where there is any."""
    async with db.acquire() as connection:
        rows = await connection.fetch(_SOURCES, name, counted)
    return [Source(**{**row, "mapping": SourceMapping.of(json.loads(row["mapping"]))}) for row in rows]


async def own_sources(db: Database, empresa_id: str) -> list[OwnSource]:
    """Those that the company has rows of."""
    # $1 keeps the function behind the setting of the tenant
    rows = await db.read(empresa_id, "SELECT s.name, s.rows FROM ateneo.own_sources() s WHERE $1::text IS NOT NULL")
    return [OwnSource(**row) for row in rows]


async def source(db: Database, name: str) -> Source:
    """Raises Unknown where there is none of this name."""
    found = await sources(db, name)
    if not found:
        raise Unknown(what=tr(f"la fuente «{name}»", f"the source “{name}”"))
    return found[0]


async def lacking(db: Database) -> list[SourceFault]:
    """What stands in the way of each source; one without faults has none of them."""
    async with db.acquire() as connection:
        return [SourceFault(**row) for row in await connection.fetch(_LACKING)]


async def preview(db: Database, draft: SourceDraft) -> SourcePreview:
    """What the source would bring; nothing of it stays. Raises BadArgument for what PostgreSQL refuses, and where an
    adopted chunks table takes no documents but the product's own."""
    async with _made(db, draft, keep=False) as (connection, source_id):
        if not await connection.fetchval(_TAKES_DOCUMENTS):
            rule = tr("apunta a otra tabla, o es un número: una fuente trae documentos propios",
                      "it references another table, or is a number: a source brings documents of its own")  # fmt: skip
            raise BadArgument(name="knowledge_chunks", value="document_id", rule=rule)
        row = await connection.fetchrow(_PREVIEW.format(source_id, SAMPLE), timeout=NO_LIMIT)
        assert row is not None
        values = dict(row)
        texts = await connection.fetch(
            f"SELECT r.body FROM ateneo.source_{source_id}_rows($1::text::jsonb) r",  # noqa: S608
            values.pop("keys"),
            timeout=NO_LIMIT,
        )
    repeated = values.pop("repeated")
    vectors = tuple(VectorCount(**one) for one in json.loads(values.pop("vectors")))
    return SourcePreview(
        **values,
        repeated=tuple(repeated) if repeated else None,
        sample=tuple(one["body"] for one in texts),
        vectors=vectors,
    )


async def texts_with_vectors(db: Database, draft: SourceDraft, dims: int, size: int) -> list[TextWithVector]:
    """Some of the texts, with their vectors of so many dimensions; nothing of it stays. Raises BadArgument."""
    probe = replace(draft, mapping=replace(draft.mapping, metadata=(draft.node,) if draft.node else ()))
    async with _made(db, probe, keep=False) as (connection, source_id):
        rows = await connection.fetch(
            f"SELECT r.body, r.vector, r.metadata::text AS metadata FROM ateneo.source_{source_id}_rows((SELECT"  # noqa: S608
            f" jsonb_agg(to_jsonb(s.key)) FROM (SELECT l.key FROM ateneo.source_{source_id}_live(NULL) l"
            " WHERE l.shown AND l.empresa_id IS NOT NULL AND l.dims = $1 ORDER BY l.fingerprint LIMIT $2) s)) r",
            dims,
            size,
            timeout=NO_LIMIT,
        )
    return [TextWithVector(one["body"], tuple(one["vector"]), json.loads(one["metadata"])) for one in rows]


async def add(db: Database, draft: SourceDraft, *, patience: Patience = PATIENCE) -> Source:
    """Adds the source with its triggers, in one transaction that waits for the table a moment at a time, and queues all
    of its rows. Raises BadArgument, DatabaseError.
    """

    async def attempt() -> None:
        async with _made(db, draft, keep=True, patience=patience) as (connection, source_id):
            if draft.follow == "triggers":
                await _follow(connection, source_id)

    await patiently(db, patience, attempt, draft.relation)
    added = await source(db, draft.name)
    await compare(db, added)
    return added


async def unfollow(db: Database, known: Source, *, patience: Patience = PATIENCE) -> None:
    """Removes the triggers and functions, and what waits. Raises DatabaseError."""

    async def attempt() -> None:
        async with db.transaction() as connection:
            await short_waits(connection, patience)
            try:
                await connection.execute("SELECT ateneo.unmake_source($1)", known.source_id)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                raise TableHeld from error
            await connection.execute("DELETE FROM ateneo.source_change WHERE source_id = $1", known.source_id)

    await patiently(db, patience, attempt, known.relation)


async def remove(db: Database, known: Source) -> None:
    """The last step, after `unfollow` and once nothing of it is stored."""
    async with db.acquire() as connection:
        await connection.execute("DELETE FROM ateneo.source WHERE source_id = $1", known.source_id)


async def compare(db: Database, known: Source, *, since: str | None = None) -> int:
    """Queues what is stored otherwise than the table has it: of all rows, or of those that changed since a cursor.
    Returns how many."""
    async with db.transaction() as connection:
        return await compare_in(connection, known, since)


async def compare_in(connection: Connection, known: Source, since: str | None = None) -> int:
    await connection.execute("SELECT set_config('statement_timeout', '0', true)")
    row = await connection.fetchrow(
        "SELECT * FROM ateneo.compare_source($1, $2)", known.source_id, since, timeout=NO_LIMIT
    )
    assert row is not None
    await connection.execute(
        "UPDATE ateneo.source SET poll_from = coalesce($2, poll_from), polled_at = now(), error = NULL,"
        " checked_at = CASE WHEN $3::text IS NULL THEN now() ELSE checked_at END WHERE source_id = $1",
        known.source_id,
        row["seen"],
        since,
    )
    return int(row["differ"])


async def poll_from(db: Database, known: Source) -> str | None:
    """The cursor that the next poll begins at."""
    async with db.acquire() as connection:
        found: str | None = await connection.fetchval(
            "SELECT poll_from FROM ateneo.source WHERE source_id = $1", known.source_id
        )
    return found


async def check(db: Database, known: Source, *, patience: Patience = PATIENCE) -> SourceCheck:
    """Makes the functions anew and the triggers that are missing, and queues what differs. Raises BadArgument where the
    table no longer has what the mapping names, DatabaseError."""
    made = 0

    async def attempt() -> None:
        nonlocal made
        async with db.transaction() as connection:
            await short_waits(connection, patience)
            with _refusals(known.relation):
                await connection.execute("SELECT ateneo.make_source($1)", known.source_id)
                made = await _follow(connection, known.source_id) if known.follow == "triggers" else 0

    await patiently(db, patience, attempt, known.relation)
    return replace(await _without_company(db, known), differences=await compare(db, known), triggers=made)


async def _without_company(db: Database, known: Source) -> SourceCheck:
    """Nothing, where the condition fails on a row: those are told when they are read."""
    async with db.acquire() as connection:
        try:
            rows = await connection.fetch(
                f"SELECT l.key, count(*) OVER () AS total FROM ateneo.source_{known.source_id}_live(NULL) l"  # noqa: S608
                f" WHERE l.shown AND l.empresa_id IS NULL ORDER BY l.key LIMIT {_SHOWN_KEYS}",
                timeout=NO_LIMIT,
            )
        except OF_ONE_ROW:
            rows = []
    return SourceCheck(without_company=rows[0]["total"] if rows else 0, keys=tuple(tuple(row["key"]) for row in rows))


async def keep_own_vectors(db: Database, known: Source) -> None:
    """Ends taking over the source's vectors. What is stored stays as it is until its row changes: fingerprints are made
    anew, but of rows with a change that waits. Raises DatabaseError."""
    await compare(db, known)
    async with db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('ateneo.source', $1))", known.source_id)
        await connection.execute("SELECT set_config('statement_timeout', '0', true)")
        await connection.execute(
            'UPDATE ateneo.source SET mapping = mapping || \'{"vector": null, "model": null}\' WHERE source_id = $1',
            known.source_id,
        )
        await connection.execute("SELECT ateneo.make_source($1)", known.source_id)
        await connection.execute(
            "UPDATE ateneo.source_row r SET fingerprint = l.fingerprint"  # noqa: S608
            f" FROM ateneo.source_{known.source_id}_live(NULL) l WHERE r.source_id = $1 AND r.key = l.key"
            " AND l.fingerprint IS NOT NULL AND NOT EXISTS (SELECT FROM ateneo.source_change c"
            " WHERE c.source_id = $1 AND (c.key = r.key OR c.key IS NULL))",
            known.source_id,
            timeout=NO_LIMIT,
        )


async def note_error(db: Database, known: Source, error: str) -> None:
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE ateneo.source SET error = $2, polled_at = now() WHERE source_id = $1", known.source_id, error
        )


@asynccontextmanager
async def _made(
    db: Database, draft: SourceDraft, *, keep: bool, patience: Patience = PATIENCE
) -> AsyncIterator[tuple[Connection, int]]:
    """A transaction in which the source and its functions are there; with `keep` they stay."""
    async with db.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await short_waits(connection, patience)
            with _refusals(draft.relation):
                await _prepare(connection, draft)
                mapping = json.dumps(draft.mapping.to_json(), ensure_ascii=False)
                source_id = await connection.fetchval(_ADD, draft.name, draft.relation, draft.follow, mapping)
                await connection.execute("SELECT ateneo.make_source($1)", source_id)
                yield connection, source_id
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.commit() if keep else transaction.rollback())


async def _prepare(connection: Connection, draft: SourceDraft) -> None:
    """One expression, and no more: `fetch` takes a single statement."""
    await connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
    condition = draft.mapping.condition or "true"
    await connection.fetch(f"SELECT coalesce(({condition}\n)::boolean, false) FROM {draft.relation} r LIMIT 0")  # noqa: S608
    await connection.execute("SET LOCAL search_path TO DEFAULT")


async def _follow(connection: Connection, source_id: int) -> int:
    try:
        return int(await connection.fetchval("SELECT ateneo.follow_source($1)", source_id))
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise TableHeld from error


@contextmanager
def _refusals(relation: str) -> Iterator[None]:
    """What PostgreSQL refuses of a mapping, as BadArgument."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        rule = tr("ya hay una fuente con ese nombre", "there is a source of that name already")
        raise BadArgument(name="name", value=relation, rule=rule) from error
    except asyncpg.InsufficientPrivilegeError:
        raise
    except _REFUSED as error:
        raise BadArgument(name="mapping", value=relation, rule=str(error.args[0])) from error
    except asyncpg.PostgresError as error:
        if error.sqlstate != "AT005":
            raise
        raise BadArgument(name="key", value=relation, rule=str(error.args[0])) from error
