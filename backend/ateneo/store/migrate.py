"""`ateneo db upgrade`: brings a database, empty or in use, to this version. Idempotent, in one transaction."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import asyncpg

from ateneo.errors import PgvectorMissing, RightsMissing
from ateneo.lang import tr
from ateneo.store import adopt, rebuild
from ateneo.store.pool import Connection, Database

_LOCK = 0x0A7E4E0
_BOOK = """CREATE SCHEMA IF NOT EXISTS ateneo;
CREATE TABLE IF NOT EXISTS ateneo.applied (
  name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());"""
_BOOKED = """INSERT INTO ateneo.applied (name, sha256) VALUES ($1, $2)
  ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = now()"""
_EXTENSION = "CREATE EXTENSION IF NOT EXISTS vector;"
_PROBE = """¿Querés la información del año 2025? Nació el 12 de marzo de 2025 y podía pagar $ 85.000,50 por la
RG-4310/2021; los corazones, las canciones, la constitución y la tecnología. Escribí a ventas@acme.com.ar por el
artículo 00-1234-B. The companies."""
"""What analysis makes of it tells whether the words in the index are still those that a query is made into."""


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of SQL to run. `name` and `digest` are set for the files that the book `ateneo.applied` keeps."""

    title: str
    sql: str
    name: str = ""
    digest: str = ""


def _files(folder: str) -> list[tuple[str, str]]:
    place = resources.files("ateneo.store") / folder
    found = [(f"{folder}/{item.name}", item.read_text(encoding="utf-8")) for item in place.iterdir()]
    return sorted(item for item in found if item[0].endswith(".sql"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def plan(db: Database) -> list[Step]:
    """The steps that are still to be done, in order; empty when the database is up to date.

    Raises PgvectorMissing, AdoptionRefused: then nothing has been changed.
    """
    async with db.acquire() as connection:
        return await _plan(connection)


async def _plan(connection: Connection) -> list[Step]:
    await adopt.check_server(connection)
    found = await adopt.look(connection)
    adopt.refuse_unfit(found)
    await adopt.refuse_bad_rows(connection, found)
    steps = [] if found.vector_schema else [Step(tr("extensión pgvector", "pgvector extension"), _EXTENSION)]
    applied: dict[str, str] = {}
    if await connection.fetchval("SELECT to_regclass('ateneo.applied') IS NOT NULL"):
        applied = {r["name"]: r["sha256"] for r in await connection.fetch("SELECT name, sha256 FROM ateneo.applied")}
    else:
        steps.append(Step(tr("esquema ateneo", "schema ateneo"), _BOOK))
    files = dict(_files("migrations"))
    record = files.pop("migrations/record.sql")
    if not found.kind:
        steps.append(Step(tr("tabla knowledge_chunks", "table knowledge_chunks"), record))
    steps += [
        Step(tr("adopción de knowledge_chunks", "adoption of knowledge_chunks"), s) for s in adopt.statements(found)
    ]
    steps += [Step(n, sql, n, _digest(sql)) for n, sql in files.items() if n not in applied]
    steps += [Step(n, sql, n, _digest(sql)) for n, sql in _files("functions") if applied.get(n) != _digest(sql)]
    return steps


async def upgrade(db: Database) -> list[Step]:
    """Runs the plan in one transaction; returns the steps done. Two at once wait for each other."""
    async with db.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        steps = await _plan(connection)
        for step in steps:
            await _run(connection, step, db.role)
        if steps:
            await _note_new_analysis(connection)
        # at every upgrade, since the tables that it protects are also other files'
        await connection.fetch("SELECT ateneo.protect()")
    await db.look_for_isolation()
    return steps


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
    before = await connection.fetchval("SELECT sha256 FROM ateneo.applied WHERE name = 'analysis'")
    if before != _digest(made):
        await connection.execute(_BOOKED, "analysis", _digest(made))
        await rebuild.note_all(connection)


async def _run(connection: Connection, step: Step, role: str) -> None:
    try:
        await connection.execute(await resolved(connection, step.sql))
    except asyncpg.InsufficientPrivilegeError as error:
        raise RightsMissing(role=role, detail=error.message, sql=_grant(step, role)) from error
    except asyncpg.UndefinedFileError as error:
        raise PgvectorMissing(found=tr("ninguna", "none"), needed="0.8.4") from error
    if step.name:
        await connection.execute(_BOOKED, step.name, step.digest)


def _grant(step: Step, role: str) -> str:
    if step.sql == _EXTENSION:
        return _EXTENSION
    if step.sql == _BOOK:
        return f'GRANT CREATE ON DATABASE ... TO "{role}";'
    return f'GRANT CREATE ON SCHEMA public TO "{role}"; ALTER TABLE public.knowledge_chunks OWNER TO "{role}";'


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
        await connection.execute("SELECT ateneo.remove_orphans()")
    return total
