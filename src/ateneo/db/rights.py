"""What the role that upgrades must be allowed, and the SQL that allows it without changing anything for other programs:
it is made a member of who owns the tables, never the other way round, and no table changes its owner."""

from ateneo.db import embedded
from ateneo.db.pool import Connection, Database
from ateneo.errors import NotTheOwner, RightsMissing
from ateneo.i18n import tr

_ROLE = """SELECT quote_ident(current_user) AS role, quote_ident(current_database()) AS database,
  CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT TRUE' ELSE '' END AS how"""
_ALLOWED = """SELECT has_database_privilege(current_database(), 'CREATE') AS schema,
  has_schema_privilege('public', 'CREATE') AS "table" """
_OWNERS = """SELECT DISTINCT quote_ident(r.rolname) AS owner, r.rolsuper AS superuser, o.what FROM (
    SELECT c.relowner AS id, 'public.knowledge_chunks' AS what FROM pg_class c
      WHERE c.oid = to_regclass('public.knowledge_chunks')
    UNION ALL SELECT n.nspowner, 'ateneo' FROM pg_namespace n WHERE n.nspname = 'ateneo') o
  JOIN pg_roles r ON r.oid = o.id WHERE NOT pg_has_role(o.id, 'USAGE')"""

_IS_OWNER = """SELECT pg_has_role(session_user, n.nspowner, 'MEMBER') FROM pg_namespace n WHERE n.nspname = 'ateneo'"""


async def has_the_owners_login(db: Database) -> bool:
    """Whether the login can become the owner of Ateneo's tables, whatever role it acts as. An embedded server has no
    other login."""
    async with db.acquire() as connection:
        return not embedded.is_embedded(db.where) and bool(await connection.fetchval(_IS_OWNER))


async def refuse_missing(connection: Connection, kinds: set[str]) -> None:
    """Raises RightsMissing, before anything is changed, where steps of these kinds need what the role may not do."""
    who = await connection.fetchrow(_ROLE)
    allowed = await connection.fetchrow(_ALLOWED)
    assert who is not None and allowed is not None
    owners = await connection.fetch(_OWNERS) if kinds else []
    if any(row["superuser"] for row in owners):  # to be a member of it would mean superuser rights
        detail = tr("{what} es de {owner}", "{what} belongs to {owner}").format(**owners[0])
        raise NotTheOwner(role=who["role"], detail=detail)
    statements = [f"GRANT {owner} TO {who['role']}{who['how']};" for owner in sorted({row["owner"] for row in owners})]
    lacking = [tr(f"ser dueño de {row['what']}", f"to own {row['what']}") for row in owners]
    if "schema" in kinds and not allowed["schema"]:
        statements.append(f"GRANT CREATE ON DATABASE {who['database']} TO {who['role']};")
        lacking.append(tr("crear el esquema ateneo", "to create the schema ateneo"))
    if "table" in kinds and not allowed["table"]:
        statements.append(f"GRANT CREATE ON SCHEMA public TO {who['role']};")
        lacking.append(tr("crear la tabla knowledge_chunks", "to create the table knowledge_chunks"))
    if statements:
        raise RightsMissing(
            role=who["role"], detail=", ".join(lacking), sql=" ".join(["BEGIN;", *statements, "COMMIT;"])
        )
