"""Looks at the database that is there and says what adopting it takes: statements, or a refusal with its reason."""

from dataclasses import dataclass

from ateneo.errors import AdoptionRefused, DatabaseError, PgvectorMissing
from ateneo.lang import tr
from ateneo.store.pool import Connection

NEEDED_PGVECTOR = (0, 8, 4)
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
_NEW_COLUMN = {"document_id": "text", "chunk_index": "int NOT NULL DEFAULT 0", "tokens_count": "int"}
_TABLE = "public.knowledge_chunks"


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in the database. `columns`: name -> type, empty where there is no table."""

    vector_schema: str | None
    columns: dict[str, str]
    kind: str
    has_key: bool
    empresa_nullable: bool
    id_nullable: bool


async def check_server(connection: Connection) -> None:
    """Raises DatabaseError for a PostgreSQL that is too old, PgvectorMissing for a pgvector that is absent or old."""
    number = int(await connection.fetchval("SHOW server_version_num"))
    if number < NEEDED_POSTGRES:
        raise DatabaseError(detail=tr(f"hace falta PostgreSQL 15 o posterior, y este es {number // 10000}.",
                                      f"PostgreSQL 15 or later is needed, and this is {number // 10000}."))  # fmt: skip
    row = await connection.fetchrow(
        "SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'"
    )
    version = row and (row["installed_version"] or row["default_version"])
    if version is None or _numbers(version) < NEEDED_PGVECTOR:
        raise PgvectorMissing(found=version or tr("ninguna", "none"), needed=".".join(map(str, NEEDED_PGVECTOR)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


async def look(connection: Connection) -> Found:
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
    solid = {row["name"]: row["solid"] for row in rows}
    return Found(
        vector_schema=schema,
        columns={row["name"]: row["type"].split("(")[0] if row["name"] != "embedding" else row["type"] for row in rows},
        kind=kind or "",
        has_key=bool(has_key),
        empresa_nullable=not solid.get("empresa_id", True),
        id_nullable=not solid.get("id", True),
    )


def refuse_unfit(found: Found) -> None:
    """Raises AdoptionRefused, with the SQL that would help, where the table cannot be adopted as it is."""
    if not found.kind:
        return
    if found.kind not in ("r", "p"):
        raise AdoptionRefused(detail=tr("es una vista, no una tabla", "it is a view, not a table"), sql="-")
    problems, cures = _missing(found)
    for name, accepted in _ACCEPTED.items():
        if found.columns.get(name, next(iter(accepted))) not in accepted:
            wanted = "text" if "text" in accepted else "integer"
            kind = found.columns[name]
            problems.append(tr(f"la columna {name} es {kind} y debe ser {wanted}",
                               f"the column {name} is {kind} and must be {wanted}"))  # fmt: skip
            cures.append(_retype(name, wanted))
    embedding = found.columns.get("embedding", "vector")
    if not embedding.startswith("vector"):
        problems.append(tr(f"la columna embedding es {embedding} y debe ser vector",
                           f"the column embedding is {embedding} and must be vector"))  # fmt: skip
        cures.append(f"ALTER TABLE {_TABLE} RENAME COLUMN embedding TO embedding_old;")
    if problems:
        raise AdoptionRefused(detail="; ".join(problems), sql=" ".join(cures))


def _missing(found: Found) -> tuple[list[str], list[str]]:
    """What the table lacks, in words, and the SQL that adds it; text that stands in another column is copied."""
    missing = [name for name in _ACCEPTED if name not in found.columns]
    if not missing:
        return [], []
    adds = ", ".join(f"ADD COLUMN {name} {_NEW_COLUMN.get(name, 'text')}" for name in missing)
    cures = [f"ALTER TABLE {_TABLE} {adds};"]
    texts = [name for name, kind in found.columns.items() if kind in _TEXT and name not in _ACCEPTED]
    if "contenido" in missing and texts:
        likely = max(texts, key=lambda name: name.lower() in ("content", "text", "texto", "body", "chunk"))
        cures.append(f'UPDATE {_TABLE} SET contenido = "{likely}";')  # noqa: S608
    return [tr("le faltan las columnas ", "it lacks the columns ") + ", ".join(missing)], cures


def _retype(column: str, wanted: str) -> str:
    default = ", ALTER COLUMN id SET DEFAULT gen_random_uuid()::text" if column == "id" else ""
    return (
        f"ALTER TABLE {_TABLE} ALTER COLUMN {column} DROP DEFAULT, "
        f"ALTER COLUMN {column} TYPE {wanted} USING {column}::{wanted}{default};"
    )


async def refuse_bad_rows(connection: Connection, found: Found) -> None:
    """Raises AdoptionRefused where rows stand in the way of the key that the index needs."""
    if not found.kind:
        return
    if found.empresa_nullable and await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {_TABLE} WHERE empresa_id IS NULL)"  # noqa: S608
    ):
        detail = tr("hay filas sin empresa_id", "there are rows without empresa_id")
        raise AdoptionRefused(detail=detail, sql=f"DELETE FROM {_TABLE} WHERE empresa_id IS NULL;")  # noqa: S608
    if not found.has_key and await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM {_TABLE} GROUP BY id HAVING count(*) > 1 OR id IS NULL)"  # noqa: S608
    ):
        detail = tr("hay id repetidos o nulos", "there are repeated or null ids")
        raise AdoptionRefused(
            detail=detail,
            sql=f"SELECT id, count(*) FROM {_TABLE} GROUP BY id HAVING count(*) > 1 OR id IS NULL;",  # noqa: S608
        )


def statements(found: Found) -> list[str]:
    """What brings the record into the shape that the index needs; nothing of the user's is changed or removed."""
    plan = []
    if found.kind:
        if "embedding" not in found.columns:
            plan.append(f"ALTER TABLE {_TABLE} ADD COLUMN embedding @vector@.vector;")
        if found.empresa_nullable:
            plan.append(f"ALTER TABLE {_TABLE} ALTER COLUMN empresa_id SET NOT NULL;")
        if not found.has_key:
            plan.append(f"ALTER TABLE {_TABLE} ADD PRIMARY KEY (id);")
    return plan
