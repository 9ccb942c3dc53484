"""`ateneo db upgrade --plan` and `ateneo db uninstall` on screen: what would be done to a database, for a person."""

import re
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from ateneo import i18n
from ateneo.cli import schema_screen
from ateneo.cli.runtime import out
from ateneo.db.locks import PATIENCE
from ateneo.db.migrate import ChunksTable, Step
from ateneo.db.uninstall import Removal
from ateneo.i18n import count, number, tr

_TABLE = re.compile(r"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?ateneo\.", re.IGNORECASE)
_FUNCTION = re.compile(r"CREATE OR REPLACE (?:FUNCTION|PROCEDURE) ateneo\.", re.IGNORECASE)
_TRIGGER = re.compile(r"CREATE OR REPLACE TRIGGER [^;]*?\bON public\.knowledge_chunks\b", re.IGNORECASE)
_READS_ALL = re.compile(r"NOT NULL|PRIMARY KEY|UNIQUE")
_INDEX_BYTES = 4_000
"""Of a chunk of 330 characters with 384 dimensions: 2,400 measured with 9,000 chunks of one company, besides the
figures of its words and, in a large company, the graph of its vectors."""


def show_plan(steps: Sequence[Step], found: ChunksTable | None, where: str) -> None:
    """`found`: the chunks table that is there already, None where the upgrade makes one."""
    out.print(tr(f"Qué haría `ateneo db upgrade` en {where}; por ahora no cambia nada.",
                 f"What `ateneo db upgrade` would do in {where}; nothing is changed yet."))  # fmt: skip
    for title, lines in _sections(steps, found):
        _section(title, lines)
    out.print(tr("\nEl SQL entero: ateneo db upgrade --plan --sql. Lo quita todo: ateneo db uninstall.",
                 "\nAll of the SQL: ateneo db upgrade --plan --sql. To undo it: ateneo db uninstall."))  # fmt: skip


def _sections(steps: Sequence[Step], found: ChunksTable | None) -> Iterable[tuple[str, list[str]]]:
    yield tr("Crea o cambia", "Creates or changes"), _created(steps)
    touched = _touched(steps)
    if found is None or not touched:
        return
    size = f"{count(found.rows, tr('fila', 'row'), tr('filas', 'rows'))}, {i18n.size(found.bytes)}"
    yield f"{tr('En tu tabla', 'On your table')} public.knowledge_chunks ({size})", touched
    yield tr("Bloqueos", "Locks"), _locks(steps)
    yield tr("Después, sin bloquear", "Afterwards, without locks"), [
        tr("indexa las palabras de tus chunks, por páginas que se retoman", "indexes your chunks' words, in pages"),
        tr("disco: unos ", "disk: some ") + i18n.size(found.rows * _INDEX_BYTES)
        + tr(" de índice cuando haya embeddings", " of index once there are embeddings"),
    ]  # fmt: skip


def _created(steps: Sequence[Step]) -> list[str]:
    sql = "\n".join(step.sql for step in steps if step.kind in ("schema", "migration", "functions"))
    tables, functions = len(_TABLE.findall(sql)), len(_FUNCTION.findall(sql))
    inside = tr("en el esquema ateneo: ", "in the schema ateneo: ")
    lines = schema_screen.summary(step for step in steps if step.kind not in ("adoption", "migration", "functions"))
    if tables:
        lines.append(inside + count(tables, tr("tabla", "table"), tr("tablas", "tables")))
    if functions:
        lines.append(inside + count(functions, tr("función", "function"), tr("funciones", "functions")))
    return lines


def _touched(steps: Sequence[Step]) -> list[str]:
    lines = [
        step.sql.partition("knowledge_chunks ")[2].replace("@vector@.", "").rstrip(";")
        for step in steps
        if step.kind == "adoption"
    ]
    if triggers := sum(len(_TRIGGER.findall(step.sql)) for step in steps):
        lines.append(count(triggers, "trigger", "triggers") + tr(", que nunca hacen fallar tu escritura",
                                                                  ", which never fail your write"))  # fmt: skip
    if any(step.kind in ("schema", "policy", "row-level security") for step in steps):
        lines.append(tr("seguridad por filas: ateneo_app ve solo a su empresa; los demás roles, lo de siempre",
                        "row-level security: ateneo_app sees its company, others what they saw"))  # fmt: skip
    return lines


def _locks(steps: Sequence[Step]) -> list[str]:
    waits = number(PATIENCE.wait_s), number(PATIENCE.tries)
    lines = [
        tr("ACCESS EXCLUSIVE sobre la tabla, al final, por lo que tarda en crear los triggers (milisegundos)",
           "ACCESS EXCLUSIVE on the table, at the end, while the triggers are created (milliseconds)"),
        tr(f"si está en uso, espera {waits[0]} s, suelta y reintenta (límite: {waits[1]}): nadie hace cola detrás",
           f"if in use, waits {waits[0]} s, lets go and tries again (limit: {waits[1]}): nobody queues behind it"),
    ]  # fmt: skip
    if any(_READS_ALL.search(step.sql) for step in steps if step.kind == "adoption"):
        lines.append(tr("la clave y NOT NULL recorren la tabla con ese bloqueo: segundos cada millón de filas",
                        "key and NOT NULL read the whole table under that lock: seconds a million rows"))  # fmt: skip
    return lines


def show_removals(removals: Sequence[Removal]) -> None:
    """What an uninstallation would take out or took out, a line a kind, and what stays and why."""
    for title, kinds in _groups():
        gone = [one.object for one in removals if one.kind in kinds and not one.kept]
        if gone:
            _section(title, gone)
    kept = [f"{one.object}: {one.kept}" for one in removals if one.kept]
    if kept:
        _section(tr("Queda, porque algo más lo usa", "Stays, since something else uses it"), kept)


def _groups() -> list[tuple[str, tuple[str, ...]]]:
    return [
        ("Triggers", ("trigger",)),
        (tr("Políticas y seguridad por filas", "Policies and row-level security"), ("policy", "row-level security")),
        (tr("Permisos y estadísticas", "Rights and statistics"), ("right", "statistics")),
        (tr("Esquema con todo lo que contiene", "Schema with all that it holds"), ("schema",)),
        (tr("Cambios de la adopción, deshechos", "Changes of the adoption, undone"), ("adoption",)),
        (tr("Tabla con sus textos", "Table with its texts"), ("table",)),
        (tr("Extensión", "Extension"), ("extension",)),
        ("Roles", ("role",)),
    ]


def _section(title: str, lines: Iterable[str]) -> None:
    out.print(f"\n{title}", style="bold", soft_wrap=True)
    rows = Table.grid(padding=(0, 1, 0, 0))
    for line in lines:
        rows.add_row("  ·", Text(line))
    out.print(rows)
