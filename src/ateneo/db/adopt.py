"""Looks at the database that is there and says what adopting it takes: statements, or a refusal with its reason."""

from dataclasses import dataclass

from ateneo.db import pgvector, remedies
from ateneo.db.pool import Connection
from ateneo.errors import AdoptionRefused, DatabaseError, PgvectorMissing
from ateneo.i18n import tr

NEEDED_POSTGRES = 150000

_TEXT = {"text", "character varying"}
_ACCEPTED = {
    "id": _TEXT,
    "document_id": _TEXT | {"uuid", "integer", "bigint"},
    "empresa_id": _TEXT,
    "chunk_index": {"smallint", "integer", "bigint"},
    "contenido": _TEXT,
    "tokens_count": {"smallint", "integer", "bigint"},
}
_TABLE = "public.knowledge_chunks"
_KEY = "knowledge_chunks_ateneo_key"


@dataclass(frozen=True, slots=True)
class ExistingTable:
    """What stands in the database. `columns`: name -> type, empty where there is no table. `has_key`: a unique one that
    has the id; `has_companies`: empresa_id is NOT NULL."""

    vector_schema: str | None
    columns: dict[str, str]
    kind: str
    has_key: bool
    has_primary_key: bool
    has_companies: bool
    has_ids: bool


async def check_server(connection: Connection) -> None:
    """Raises DatabaseError for a PostgreSQL that is too old or not in UTF-8, PgvectorMissing for a pgvector that is
    absent or old."""
    number = int(await connection.fetchval("SHOW server_version_num"))
    if number < NEEDED_POSTGRES:
        raise DatabaseError(detail=tr(f"hace falta PostgreSQL 15 o posterior, y este es {number // 10000}.",
                                      f"PostgreSQL 15 or later is needed, and this is {number // 10000}."))  # fmt: skip
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(detail=tr(f"hace falta una base con codificación UTF8, y esta es {encoding}.",
                                      f"a database encoded in UTF8 is needed, and this is {encoding}."))  # fmt: skip
    row = await connection.fetchrow(
        "SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'"
    )
    version = row and (row["installed_version"] or row["default_version"])
    if version is None or pgvector.numbers(version) < pgvector.NEEDED:
        raise PgvectorMissing(found=version or tr("ninguna", "none"), needed=pgvector.written(pgvector.NEEDED))


async def look(connection: Connection) -> ExistingTable:
    schema = await connection.fetchval(
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'vector'"
    )
    kind = await connection.fetchval(
        "SELECT relkind::text FROM pg_class WHERE oid = to_regclass('public.knowledge_chunks')"
    )
    rows = await connection.fetch(
        "SELECT attname::text AS name, attnotnull AS solid,"
        " regexp_replace(format_type(atttypid, atttypmod), '^(.*\\.)?(vector|halfvec)', '\\2') AS type"
        " FROM pg_attribute WHERE attrelid = to_regclass('public.knowledge_chunks') AND attnum > 0 AND NOT attisdropped"
    )
    has_key = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = to_regclass('public.knowledge_chunks') AND (i.indisprimary OR i.indisunique)"
        " AND i.indpred IS NULL AND a.attname = 'id' AND i.indnkeyatts <= 2)"
    )
    has_primary_key = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass('public.knowledge_chunks') AND indisprimary)"
    )
    solid = {row["name"]: row["solid"] for row in rows}
    return ExistingTable(
        vector_schema=schema,
        columns={row["name"]: row["type"].split("(")[0] if row["name"] != "embedding" else row["type"] for row in rows},
        kind=kind or "",
        has_key=bool(has_key),
        has_primary_key=bool(has_primary_key),
        has_companies=solid.get("empresa_id", True),
        has_ids=solid.get("id", True),
    )


def refuse_unfit(found: ExistingTable) -> None:
    """Raises AdoptionRefused where the table cannot be adopted as it is: with SQL that lets a program that goes on
    writing do so as before, or with none."""
    if not found.kind:
        return
    if found.kind not in ("r", "p"):
        raise AdoptionRefused(detail=tr("es una vista, no una tabla", "it is a view, not a table"),
                              advice=_elsewhere(), sql="")  # fmt: skip
    if problems := _of_another_type(found):
        advice = tr("Otro tipo rompería las consultas y claves foráneas de tu aplicación. ",
                    "Another type would break your application's queries and foreign keys. ")  # fmt: skip
        raise AdoptionRefused(detail="; ".join(problems), advice=advice + _elsewhere(), sql="")
    if missing := [name for name in _ACCEPTED if name not in found.columns]:
        detail = tr("le faltan las columnas ", "it lacks the columns ") + ", ".join(missing)
        advice, sql = remedies.add_columns(found.columns, missing)
        raise AdoptionRefused(detail=detail, advice=advice, sql=sql)


def _of_another_type(found: ExistingTable) -> list[str]:
    problems = []
    for name, accepted in _ACCEPTED.items():
        if found.columns.get(name, next(iter(accepted))) not in accepted:
            wanted = "text" if "text" in accepted else "integer"
            kind = found.columns[name]
            problems.append(tr(f"la columna {name} es {kind} y debe ser {wanted}",
                               f"the column {name} is {kind} and must be {wanted}"))  # fmt: skip
    embedding = found.columns.get("embedding", "vector")
    if not embedding.startswith("vector"):
        problems.append(tr(f"la columna embedding es {embedding} y debe ser vector",
                           f"the column embedding is {embedding} and must be vector"))  # fmt: skip
    return problems


def _elsewhere() -> str:
    return tr(
        "Dejala como está: usá para Ateneo otra base (otra DATABASE_URL) y cargá ahí los textos, con `ateneo ingest` o "
        "por la API.",
        "Leave it as it is: use another database for Ateneo (another DATABASE_URL) and load the texts there, with "
        "`ateneo ingest` or through the API.",
    )


async def refuse_bad_rows(connection: Connection, found: ExistingTable) -> None:
    """Raises AdoptionRefused where rows stand in the way of the key that the index needs: with SQL that shows them."""
    if not found.has_companies and await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {_TABLE} WHERE empresa_id IS NULL)"  # noqa: S608
    ):
        detail = tr("hay filas sin empresa_id", "there are rows without empresa_id")
        advice, sql = remedies.rows_without_company()
        raise AdoptionRefused(detail=detail, advice=advice, sql=sql)
    if not found.has_key and await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {_TABLE} GROUP BY id HAVING count(*) > 1 OR id IS NULL)"  # noqa: S608
    ):
        detail = tr("hay id repetidos o nulos", "there are repeated or null ids")
        advice, sql = remedies.rows_without_id()
        raise AdoptionRefused(detail=detail, advice=advice, sql=sql)


def statements(found: ExistingTable) -> list[tuple[str, str]]:
    """What brings the chunks table into the shape that the index needs, each with the SQL that takes it back; nothing
    of the user's is changed or removed."""
    plan = []
    alter = f"ALTER TABLE {_TABLE}"
    if found.kind:
        if "embedding" not in found.columns:
            plan.append((f"{alter} ADD COLUMN embedding @vector@.vector;", f"{alter} DROP COLUMN embedding"))
        if not found.has_companies:
            column = f"{alter} ALTER COLUMN empresa_id"
            plan.append((f"{column} SET NOT NULL;", f"{column} DROP NOT NULL"))
        if not found.has_key and found.has_primary_key:
            plan.append((f"{alter} ADD CONSTRAINT {_KEY} UNIQUE (id);", f"{alter} DROP CONSTRAINT {_KEY}"))
        elif not found.has_key:
            nullable = "" if found.has_ids else ", ALTER COLUMN id DROP NOT NULL"
            plan.append((f"{alter} ADD PRIMARY KEY (id);", f"{alter} DROP CONSTRAINT knowledge_chunks_pkey{nullable}"))
    return plan
