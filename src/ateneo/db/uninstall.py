"""`ateneo db uninstall`: takes out of a database what Ateneo put there, and nothing else. In one transaction."""

from dataclasses import dataclass

import asyncpg

from ateneo.db.locks import NO_LIMIT, PATIENCE, Patience, TableHeld, patiently, short_waits
from ateneo.db.pool import Connection, Database
from ateneo.errors import NotTheOwner, UninstallRefused

_OUTSIDE = """
SELECT 'trigger' AS kind, format('%s · %s', c.oid::regclass, t.tgname) AS object,
    format('DROP TRIGGER %I ON %s', t.tgname, c.oid::regclass) AS statement
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
  WHERE p.pronamespace = 'ateneo'::regnamespace AND c.relnamespace <> p.pronamespace
    AND NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
-- without Ateneo's policy for everybody row-level security was there before; with others of the user's it is wanted now
SELECT 'row-level security', c.oid::regclass::text, format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', c.oid::regclass)
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  WHERE p.polname = 'ateneo_open' AND p.polroles = '{0}' AND c.relnamespace <> 'ateneo'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_policy o
      WHERE o.polrelid = c.oid AND o.polname NOT IN ('ateneo_open', 'ateneo_tenant'))
UNION ALL
SELECT 'policy', format('%s · %s', c.oid::regclass, p.polname),
    format('DROP POLICY %I ON %s', p.polname, c.oid::regclass)
  FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  WHERE p.polname IN ('ateneo_open', 'ateneo_tenant') AND c.relnamespace <> 'ateneo'::regnamespace
UNION ALL
SELECT 'statistics', format('%s.%s', a.attrelid::regclass, a.attname),
    format('ALTER TABLE %s ALTER %I SET STATISTICS -1', a.attrelid::regclass, a.attname)
  FROM pg_attribute a WHERE a.attrelid = to_regclass('public.knowledge_chunks') AND a.attnum > 0 AND a.attstattarget = 0
UNION ALL
SELECT 'right', format('%s · %s', c.oid::regclass, g.role), format('REVOKE ALL ON %s FROM %I', c.oid::regclass, g.role)
  FROM pg_class c, LATERAL (SELECT DISTINCT a.grantee::regrole::text AS role FROM aclexplode(c.relacl) a
    WHERE a.grantee IN (to_regrole('ateneo_app'), to_regrole('ateneo_worker'))) g
  WHERE c.relnamespace <> 'ateneo'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL
SELECT 'right', format('%I · %s', n.nspname, g.role), format('REVOKE ALL ON SCHEMA %I FROM %I', n.nspname, g.role)
  FROM pg_namespace n, LATERAL (SELECT DISTINCT a.grantee::regrole::text AS role FROM aclexplode(n.nspacl) a
    WHERE a.grantee IN (to_regrole('ateneo_app'), to_regrole('ateneo_worker'))) g
  WHERE n.nspname <> 'ateneo'
"""
_UNDO = "SELECT name FROM ateneo.applied WHERE name LIKE 'undo/%' ORDER BY name"
"""Names `undo/KIND/SQL`."""
_SCHEMA = "DROP SCHEMA ateneo CASCADE"
_ROLES = "SELECT rolname::text AS name FROM pg_roles WHERE rolname IN ('ateneo_app', 'ateneo_worker') ORDER BY 1"
_OTHERS = """
SELECT pg_describe_object('pg_class'::regclass, c.oid, 0) FROM pg_class c
  WHERE c.relnamespace <> 'pg_toast'::regnamespace AND c.relnamespace IS DISTINCT FROM to_regnamespace('ateneo')
UNION SELECT pg_describe_object('pg_proc'::regclass, p.oid, 0) FROM pg_proc p
  WHERE p.pronamespace IS DISTINCT FROM to_regnamespace('ateneo') AND p.oid >= 16384
UNION SELECT pg_describe_object('pg_constraint'::regclass, r.oid, 0) FROM pg_constraint r
  WHERE r.connamespace IS DISTINCT FROM to_regnamespace('ateneo') AND r.oid >= 16384
UNION SELECT pg_describe_object('pg_attrdef'::regclass, d.oid, 0) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
  WHERE c.relnamespace IS DISTINCT FROM to_regnamespace('ateneo')
UNION SELECT pg_describe_object('pg_policy'::regclass, o.oid, 0) FROM pg_policy o JOIN pg_class c ON c.oid = o.polrelid
  WHERE c.relnamespace IS DISTINCT FROM to_regnamespace('ateneo')
"""
"""What stands outside of the schema and could go with it: views, functions, columns' defaults, foreign keys."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing to take out. `kind`: trigger, row-level security, policy, statistics, right, adoption, table, schema,
    extension or role. `kept`: why it stays, "" where it goes."""

    kind: str
    object: str
    statement: str
    kept: str = ""


async def plan(db: Database, *, drop_chunks: bool = False) -> list[Removal]:
    """What an uninstallation would take out, in its order; empty where Ateneo is not installed.

    The chunks table stays with its texts, also where an upgrade made it, unless `drop_chunks`.
    """
    async with db.acquire() as connection:
        return await _removals(connection, drop_chunks=drop_chunks)


async def uninstall(db: Database, *, drop_chunks: bool = False, patience: Patience = PATIENCE) -> list[Removal]:
    """Carries out the plan. Returns it; what something else needs is `kept`: the extension, a role, a key.

    Raises UninstallRefused where something of the user's would go with the schema, NotTheOwner, TableBusy.
    """
    return await patiently(db, patience, lambda: _uninstall(db, patience, drop_chunks=drop_chunks))


async def _removals(connection: Connection, *, drop_chunks: bool) -> list[Removal]:
    if not await connection.fetchval("SELECT to_regclass('ateneo.applied') IS NOT NULL"):
        return []
    undo = [str(row["name"]).split("/", 2)[1:] for row in await connection.fetch(_UNDO)]
    removals = [Removal(**row) for row in await connection.fetch(_OUTSIDE)]
    own = [Removal(kind, _object(sql), sql) for kind, sql in undo if drop_chunks or kind != "table"]
    roles = [Removal("role", row["name"], f"DROP ROLE {row['name']}") for row in await connection.fetch(_ROLES)]
    return [
        *removals,
        Removal("schema", "ateneo", _SCHEMA),
        *sorted(own, key=lambda one: ("adoption", "table", "extension").index(one.kind)),
        *roles,
    ]


def _object(undo: str) -> str:
    return undo.removeprefix("ALTER TABLE ").removeprefix("DROP TABLE ").removeprefix("DROP EXTENSION ")


async def _uninstall(db: Database, patience: Patience, *, drop_chunks: bool) -> list[Removal]:
    done = []
    async with db.transaction() as connection:
        await short_waits(connection, patience)
        try:
            for removal in await _removals(connection, drop_chunks=drop_chunks):
                if removal.kind == "schema":
                    await _drop_schema(connection)
                    done.append(removal)
                else:
                    done.append(await _removed(connection, removal))
        except asyncpg.InsufficientPrivilegeError as error:
            raise NotTheOwner(role=db.role, detail=error.message) from error
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise TableHeld from error
    return done


async def _drop_schema(connection: Connection) -> None:
    before = {row[0] for row in await connection.fetch(_OTHERS)}
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(_SCHEMA, timeout=NO_LIMIT)
    gone = sorted(before - {row[0] for row in await connection.fetch(_OTHERS)})
    if gone:
        raise UninstallRefused(detail=", ".join(gone))


async def _removed(connection: Connection, removal: Removal) -> Removal:
    """The removal, carried out, or `kept` where it is one that something else may need."""
    if removal.kind not in ("adoption", "extension", "role"):
        await connection.execute(removal.statement)
        return removal
    try:
        async with connection.transaction():
            await connection.execute(removal.statement)
    except (
        asyncpg.DependentObjectsStillExistError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.UndefinedObjectError,
    ) as error:
        return Removal(removal.kind, removal.object, removal.statement, kept=error.detail or error.message)
    return removal
