"""`ateneo db upgrade`: brings a database, empty, in use or restored, to this version. Idempotent, in one transaction.

Files that are new or changed run; what stands in the catalogs otherwise than it should (rights, policies, triggers,
owners: after a restore, or where somebody changed it) is mended.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from ateneo.db import adopt, pgvector, rebuild, rights, schema_files, versions
from ateneo.db.locks import NO_LIMIT, PATIENCE, Patience, TableHeld, patiently, short_waits
from ateneo.db.pool import Connection, Database
from ateneo.db.schema_files import SchemaFile
from ateneo.errors import NotTheOwner, PgvectorMissing, RightsMissing
from ateneo.i18n import tr

_LOCK = 0x0A7E4E0
_APPLIED = """CREATE SCHEMA IF NOT EXISTS ateneo;
CREATE TABLE IF NOT EXISTS ateneo.applied (
  name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"""
_RECORD_APPLIED = """INSERT INTO ateneo.applied (name, sha256) VALUES ($1, $2)
  ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = now()"""
_EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector;"
_ROLES = "SELECT rolname::text FROM pg_roles WHERE rolname IN ('ateneo_app', 'ateneo_worker') ORDER BY 1"
_MAY_CREATE_ROLES = "SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user"
_CHUNKS_TABLE = """SELECT reltuples::bigint AS rows, pg_total_relation_size(oid) AS bytes FROM pg_class
  WHERE oid = to_regclass('public.knowledge_chunks')"""
_COUNTED = "SELECT count(*) FROM public.knowledge_chunks"
_PROBE = """¿Querés la información del año 2025? Nació el 12 de marzo de 2025 y podía pagar $ 85.000,50 por la
RG-4310/2021; los corazones, las canciones, la constitución y la tecnología. Escribí a ventas@acme.com.ar por el
artículo 00-1234-B. The companies."""
"""What analysis makes of it tells whether the words in the index are still those that a query is made into."""


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of SQL to run, or that ran. `kind`: extension, schema, table, adoption, migration, functions, or what
    is mended: definition (a function file whose text is installed, but not what it made), role, owner, policy, right,
    row-level security, statistics, figures. `name`: what a file is recorded by, where it is one; `undo`: the SQL that
    takes back what was done outside of Ateneo's schema."""

    kind: str
    title: str
    sql: str
    name: str = ""
    undo: str = ""


@dataclass(frozen=True, slots=True)
class ChunksTable:
    """The chunks table as it is: `rows` as the statistics have them, or counted, `bytes` with its indexes."""

    rows: int
    bytes: int


async def chunks_table(db: Database) -> ChunksTable | None:
    """None where there is none yet."""
    async with db.acquire() as connection:
        row = await connection.fetchrow(_CHUNKS_TABLE)
        if row is None:
            return None
        rows = row["rows"] if row["rows"] >= 0 else await connection.fetchval(_COUNTED)
    return ChunksTable(rows, row["bytes"])


async def plan(db: Database, *, allow_downgrade: bool = False) -> list[Step]:
    """The steps that are still to be done, in order; empty when the database is up to date.

    Raises PgvectorMissing, AdoptionRefused, SchemaNewer, MigrationChanged: then nothing has been changed.
    """
    async with db.acquire() as connection:
        steps = await _changes(connection, allow_downgrade=allow_downgrade)
        return [*steps, *await _missing_roles(connection), *await _deviations(connection)]


async def _changes(connection: Connection, *, allow_downgrade: bool) -> list[Step]:
    await adopt.check_server(connection)
    found = await adopt.look(connection)
    applied_schema = await versions.applied_schema(connection)
    applied_schema.refuse(allow_downgrade=allow_downgrade)
    adopt.refuse_unfit(found)
    steps = []
    if not found.vector_schema:
        steps.append(
            Step("extension", tr("extensión pgvector", "pgvector extension"), _EXTENSION, undo="DROP EXTENSION vector")
        )
    if not await connection.fetchval("SELECT to_regclass('ateneo.applied') IS NOT NULL"):
        steps.append(Step("schema", tr("esquema ateneo", "schema ateneo"), _APPLIED))
    if found.kind and not (found.has_key and found.has_companies):
        await rights.refuse_missing(connection, {"adoption", *(step.kind for step in steps)})
        await adopt.refuse_bad_rows(connection, found)
    if not found.kind:
        title = tr("tabla knowledge_chunks", "table knowledge_chunks")
        steps.append(Step("table", title, schema_files.chunks_table(), undo="DROP TABLE public.knowledge_chunks"))
    # migrations first: they may take long, and hold no lock on the user's table
    steps += [_step("migration", item) for item in schema_files.migrations() if item.name not in applied_schema.applied]
    adoption = tr("adopción de knowledge_chunks", "adoption of knowledge_chunks")
    steps += [Step("adoption", adoption, sql, undo=undo) for sql, undo in adopt.statements(found)]
    for item in await versions.outdated(connection, applied_schema):
        same = applied_schema.installed.get(item.name, ("", None))[0] == item.digest
        steps.append(_step("definition" if same else "functions", item))
    return steps


def _step(kind: str, item: SchemaFile) -> Step:
    return Step(kind, item.path, item.sql, item.name)


async def _missing_roles(connection: Connection) -> list[Step]:
    """The roles that this login may make; those that it may not are in `rights_missing`."""
    there = {row[0] for row in await connection.fetch(_ROLES)}
    missing = [name for name in ("ateneo_app", "ateneo_worker") if name not in there]
    if not missing or not await connection.fetchval(_MAY_CREATE_ROLES):
        return []
    return [Step("role", tr(f"rol {name}", f"role {name}"), f"CREATE ROLE {name} NOLOGIN;") for name in missing]


async def _deviations(connection: Connection) -> list[Step]:
    """What the catalogs have otherwise than it should be."""
    if not await connection.fetchval("SELECT to_regprocedure('ateneo.deviations()') IS NOT NULL"):
        return []
    rows = await connection.fetch("SELECT kind, object, statement FROM ateneo.deviations()")
    return [Step(row["kind"], f"{row['kind']}: {row['object']}", f"{row['statement']};") for row in rows]


async def upgrade(db: Database, *, allow_downgrade: bool = False, patience: Patience = PATIENCE) -> list[Step]:
    """Runs the plan in one transaction; returns the steps done. Two at once wait for each other.

    It waits for the user's table a moment at a time, so that nobody queues behind it. Raises what `plan` raises, and
    RightsMissing, TableBusy.
    """
    steps = await patiently(db, patience, lambda: _upgrade(db, patience, allow_downgrade=allow_downgrade))
    await db.look_for_isolation()
    return steps


async def _upgrade(db: Database, patience: Patience, *, allow_downgrade: bool) -> list[Step]:
    async with db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=NO_LIMIT)
        await connection.execute("SELECT set_config('ateneo.upgrading', $1, true)", str(versions.VERSION))
        await short_waits(connection, patience)
        changes = await _changes(connection, allow_downgrade=allow_downgrade)
        differing = [*await _missing_roles(connection), *await _deviations(connection)]
        await rights.refuse_missing(connection, {step.kind for step in changes})
        try:
            for step in changes:
                await _run(connection, step, db.role)
            for step in changes:
                if step.undo:
                    await connection.execute(_RECORD_APPLIED, f"undo/{step.kind}/{step.undo}", "")
            if changes:
                await _note_new_analysis(connection)
                await versions.record(connection, schema_files.function_files())
            await connection.fetch("SELECT ateneo.protect()", timeout=NO_LIMIT)
            left = {step.sql for step in await _deviations(connection)}
        except asyncpg.InsufficientPrivilegeError as error:
            raise NotTheOwner(role=db.role, detail=error.message) from error
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise TableHeld from error
    return changes + [step for step in differing if step.sql not in left]


async def rights_missing(db: Database) -> list[str]:
    """What whoever administers the server has to run so that companies are isolated in the database; empty where
    they are. Changes nothing."""
    async with db.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            return [row[0] for row in await connection.fetch("SELECT ateneo.make_roles()")]
        finally:
            await transaction.rollback()


async def _note_new_analysis(connection: Connection) -> None:
    made = await connection.fetchval("SELECT a::text FROM ateneo.analyse('', $1, 60) a", _PROBE)
    digest = hashlib.sha256(made.encode()).hexdigest()
    if await connection.fetchval("SELECT sha256 FROM ateneo.applied WHERE name = 'analysis'") != digest:
        await connection.execute(_RECORD_APPLIED, "analysis", digest)
        await rebuild.note_all(connection)


async def _run(connection: Connection, step: Step, role: str) -> None:
    try:
        await connection.execute(await resolved(connection, step.sql), timeout=NO_LIMIT)
    except asyncpg.UndefinedFileError as error:
        raise PgvectorMissing(found=tr("ninguna", "none"), needed=pgvector.written(pgvector.NEEDED)) from error
    except asyncpg.InsufficientPrivilegeError as error:
        if step.kind == "extension":
            raise RightsMissing(role=role, detail=error.message, sql=_EXTENSION) from error
        raise
    if step.kind == "migration":
        digest = next(item.digest for item in schema_files.migrations() if item.name == step.name)
        await connection.execute(_RECORD_APPLIED, step.name, digest)


async def resolved(connection: Connection, sql: str) -> str:
    """Puts in the schema that pgvector really lives in."""
    schema = (await adopt.look(connection)).vector_schema or "public" if "@vector@" in sql else ""
    return sql.replace("@vector@", schema)


async def reconcile(db: Database, *, page: int = 2000, on_page: Callable[[int, int], None] | None = None) -> int:
    """Indexes the rows that the triggers have not seen, a page at a time; each page commits, so it can be resumed.

    `on_page` is told (words, vectors) of every page. Returns how many chunks had their words indexed.
    """
    after: str | None = None
    total = 0
    while True:
        async with db.transaction() as connection:
            row = await connection.fetchrow("SELECT * FROM ateneo.reconcile_page($1, $2)", after, page)
        assert row is not None
        if row["last_id"] is None:
            break
        after = row["last_id"]
        total += row["words"]
        if on_page is not None:
            on_page(row["words"], row["vectors"])
    async with db.transaction() as connection:
        await connection.execute("SELECT ateneo.remove_orphans()", timeout=NO_LIMIT)
    return total
