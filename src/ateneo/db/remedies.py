"""The SQL that is shown to people, for a table that is in use: nothing is deleted, no copy of theirs grows old, no
statement of their application's stops working, and all of it happens or none. tests/db/test_remedies.py runs
it."""

from collections.abc import Mapping, Sequence

from ateneo.i18n import tr

_TABLE = "public.knowledge_chunks"
_NEW = {
    "id": "text NOT NULL DEFAULT gen_random_uuid()::text",
    "document_id": "text",
    "chunk_index": "int NOT NULL DEFAULT 0",
    "tokens_count": "int",
}
_TEXTS = ("content", "text", "texto", "body", "chunk", "chunk_text", "chunk_content", "page_content", "contents")
_COMPANIES = (
    "tenant_id", "company_id", "organization_id", "organisation_id", "org_id", "account_id", "workspace_id",
    "customer_id", "client_id", "cliente_id", "compania_id", "tenant", "company", "empresa",
)  # fmt: skip
_CASTS = {"text": "", "character varying": "", "uuid": "::text", "integer": "::text", "bigint": "::text"}
"""Column types that a generated text may be made of: their casts are immutable."""


def add_columns(columns: Mapping[str, str], missing: Sequence[str]) -> tuple[str, str]:
    """What is said, and the statements that add the columns that can be; text and company are generated from the column
    that has them, so that they follow it. Which company a row is of is nobody's to guess."""
    generated = {
        name: _generated(columns, names) for name, names in (("contenido", _TEXTS), ("empresa_id", _COMPANIES))
    }
    adds = []
    for name in missing:
        kind = generated[name] or ("text" if name == "contenido" else "") if name in generated else _NEW[name]
        adds += [f"ADD COLUMN {name} {kind}"] if kind else []
    sql = f"BEGIN; ALTER TABLE {_TABLE} {', '.join(adds)}; COMMIT;" if adds else ""
    return " ".join(_advice(missing, generated, sql)), sql


def _generated(columns: Mapping[str, str], names: Sequence[str]) -> str:
    found = next((name for name in names if columns.get(name) in _CASTS), None)
    return f'text GENERATED ALWAYS AS ("{found}"{_CASTS[columns[found]]}) STORED' if found else ""


def _advice(missing: Sequence[str], generated: Mapping[str, str], sql: str) -> list[str]:
    said = []
    if "empresa_id" in missing and not generated["empresa_id"]:
        said.append(tr(
            "De qué empresa es cada fila no lo adivina nadie: agregá empresa_id (text) y que tu aplicación la escriba.",
            "Which company a row is of cannot be guessed: add empresa_id (text), and have your application write it.",
        ))  # fmt: skip
    if "contenido" in missing and not generated["contenido"]:
        said.append(tr(
            "El texto va en contenido: que tu aplicación lo escriba ahí.",
            "The text goes into contenido: have your application write it there.",
        ))  # fmt: skip
    if any(name in missing and generated[name] for name in generated):
        said.append(tr(
            "Las columnas generadas siguen a las tuyas; Ateneo las lee, y `ateneo ingest` no puede escribir en ellas.",
            "Generated columns follow yours; Ateneo reads them, and `ateneo ingest` cannot write to them.",
        ))  # fmt: skip
    if "GENERATED" in sql or "gen_random_uuid" in sql:
        said.append(tr(
            "Esto reescribe la tabla, que queda bloqueada mientras tanto: hacelo cuando no se use.",
            "This rewrites the table, which is locked meanwhile: do it while nobody uses it.",
        ))  # fmt: skip
    elif sql:
        said.append(tr("Esto la prepara:", "This prepares it:"))
    return said


def rows_without_company() -> tuple[str, str]:
    advice = tr(
        "No borres nada: mirá cuáles son, dales su empresa con UPDATE, y que tu aplicación la escriba siempre (la "
        "columna pasa a ser NOT NULL). Para verlas:",
        "Delete nothing: see which they are, give them their company with UPDATE, and have your application always "
        "write it (the column becomes NOT NULL). To see them:",
    )
    return advice, (
        f"SELECT document_id, count(*) FROM {_TABLE} WHERE empresa_id IS NULL GROUP BY 1 ORDER BY 2 DESC;"  # noqa: S608
    )


def rows_without_id() -> tuple[str, str]:
    advice = tr(
        "Cada fila necesita un id propio: dales uno a las que no lo tienen, o a las repetidas. Para verlas:",
        "Each row needs an id of its own: give one to those without, or to those that repeat one. To see them:",
    )
    return advice, f"SELECT id, count(*) FROM {_TABLE} GROUP BY id HAVING count(*) > 1 OR id IS NULL;"  # noqa: S608
