"""The schema on screen: what `ateneo db upgrade` did, in a line a kind, and what `ateneo doctor` finds of it."""

from collections import Counter
from collections.abc import Iterable

from ateneo.cli.finding import Finding
from ateneo.db import migrate, versions
from ateneo.db.migrate import Step
from ateneo.db.pool import Database
from ateneo.errors import NotUpgraded, SchemaNewer
from ateneo.i18n import count, tr

_NEW = {"extension", "schema", "table", "adoption", "migration", "functions"}
"""Kinds of steps that a database of another version needs; the others are what was changed in one of this version."""


def summary(steps: Iterable[Step]) -> list[str]:
    """A line a kind, in the order in which they came: "14 migraciones"."""
    return [_counted(kind, number) for kind, number in Counter(step.kind for step in steps).items()]


def _counted(kind: str, number: int) -> str:
    words = {
        "extension": (tr("extensión pgvector", "pgvector extension"), ""),
        "schema": (tr("esquema ateneo", "schema ateneo"), ""),
        "table": (tr("tabla knowledge_chunks", "table knowledge_chunks"), ""),
        "adoption": (
            tr("cambio en tu tabla", "change of your table"),
            tr("cambios en tu tabla", "changes of your table"),
        ),
        "migration": (tr("migración", "migration"), tr("migraciones", "migrations")),
        "functions": (
            tr("archivo de funciones", "file of functions"),
            tr("archivos de funciones", "files of functions"),
        ),
        "definition": (
            tr("función o trigger restablecido", "function or trigger restored"),
            tr("archivos de funciones o triggers restablecidos", "files of functions or triggers restored"),
        ),
        "role": (tr("rol", "role"), tr("roles", "roles")),
        "owner": (tr("dueño", "owner"), tr("dueños", "owners")),
        "policy": (tr("política", "policy"), tr("políticas", "policies")),
        "right": (tr("permiso", "right"), tr("permisos", "rights")),
        "row-level security": (
            tr("tabla sin seguridad por filas", "table without row-level security"),
            tr("tablas sin seguridad por filas", "tables without row-level security"),
        ),
        "statistics": (
            tr("estadística de textos", "statistic of texts"),
            tr("estadísticas de textos", "statistics of texts"),
        ),
        "figures": (
            tr("cifra de otro servidor", "figure of another server"),
            tr("cifras de otro servidor", "figures of another server"),
        ),
    }
    one, several = words.get(kind, (kind, kind))
    return one if not several else count(number, one, several)


async def findings(db: Database) -> list[Finding]:
    """Whether the database is of this version, and still as the upgrade left it."""
    try:
        steps = await migrate.plan(db)
    except SchemaNewer as error:
        await versions.check(db)  # raises it, where this program cannot go on
        remedy = tr(
            "Este programa puede seguir con ella; actualizalo cuando puedas.",
            "This program can go on with it; update it when you can.",
        )
        return [Finding(None, error.message, remedy)]
    if any(step.kind in _NEW for step in steps):
        missing = NotUpgraded(where=db.where)
        return [Finding(False, missing.message, missing.remedy)]
    if not steps:
        return [Finding(True, tr("Tablas al día.", "Tables up to date.")), await _isolation(db)]
    what = tr("La base no está como la dejó `ateneo db upgrade`: falta o cambió ",
              "The database is not as `ateneo db upgrade` left it: missing or changed are ")  # fmt: skip
    return [Finding(False, f"{what}{', '.join(summary(steps))}.", _mending(steps))]


async def is_upgraded(db: Database) -> bool:
    """Whether this program can work with the database."""
    try:
        await versions.check(db)
    except (NotUpgraded, SchemaNewer):
        return False
    return True


def _mending(steps: list[Step]) -> str:
    """What this login cannot mend is an administrator's: owners."""
    remedy = tr("La repara `ateneo db upgrade` (con `--plan --sql` muestra antes el SQL).",
                "`ateneo db upgrade` mends it (`--plan --sql` shows the SQL first).")  # fmt: skip
    owners = [step.sql for step in steps if step.kind == "owner"]
    if not owners:
        return remedy
    told = tr("Los dueños los cambia un administrador:", "Owners are changed by an administrator:")
    return f"{remedy}\n{told}\nBEGIN;\n" + "\n".join(owners) + "\nCOMMIT;"


async def _isolation(db: Database) -> Finding:
    if db.isolated:
        what = tr("Aislamiento entre empresas: la base lo impone (ateneo_app, seguridad por filas).",
                  "Isolation of companies: the database enforces it (ateneo_app, row-level security).")  # fmt: skip
        return Finding(True, what)
    what = tr("Aislamiento entre empresas: la base NO lo impone; solo lo hacen las consultas.",
              "Isolation of companies: the database does NOT enforce it; only the queries do.")  # fmt: skip
    return Finding(None, what, "\n".join([*administrators(await migrate.rights_missing(db)), "ateneo db upgrade"]))


def administrators(statements: list[str]) -> list[str]:
    """Lines of SQL for whoever may, all or none of them."""
    return ["BEGIN;", *(f"  {statement};" for statement in statements), "COMMIT;"] if statements else []
