"""`ateneo audit`: who did what with a company's documents."""

import dataclasses
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ateneo.cli.runtime import err, out, print_json, run_or_exit
from ateneo.db import audit as store
from ateneo.db.audit import StoredEntry
from ateneo.factories.databases import open_database
from ateneo.i18n import number, tr
from ateneo.settings import load


def audit(
    empresa_id: Annotated[str, typer.Option("--empresa-id", "-e", help=tr("De quién.", "Whose."))],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 50,
    before: Annotated[
        int | None, typer.Option(help=tr("Solo lo anterior a este número.", "Only what is before this number."))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=tr("JSON en la salida.", "JSON on stdout."))] = False,
) -> None:
    run_or_exit(_audit(empresa_id, limit, before, as_json), as_json=as_json)


async def _audit(empresa_id: str, limit: int, before: int | None, as_json: bool) -> None:
    async with await open_database(load()) as db:
        found = await store.page(db, empresa_id, limit=limit, before=before)
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
    elif not found:
        err.print(tr(f"No hay nada anotado de «{empresa_id}».", f"Nothing is noted of “{empresa_id}”."))
    else:
        out.print(_table(found))


def _table(found: list[StoredEntry]) -> Table:
    table = Table(box=None, header_style="bold")
    right = {"#", tr("n.º", "n")}
    titles = ("#", tr("cuándo (UTC)", "when (UTC)"), tr("quién", "who"), tr("qué", "what"), tr("n.º", "n"), "")
    for title in titles:
        table.add_column(title, overflow="fold", justify="right" if title in right else "left")
    for one in found:
        what = one.action if one.target is None else f"{one.action} {one.target}"
        # a key's first characters are what `ateneo keys list` begins with
        who = one.actor if not one.actor.startswith("key:") else one.actor[:12] + "…"
        status = Text("" if one.status < 400 else str(one.status), style="red")
        results = "" if one.results is None else number(one.results)
        table.add_row(str(one.audit_id), one.at[:16].replace("T", " "), Text(who), Text(what), results, status)
    return table
