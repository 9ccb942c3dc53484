"""`ateneo audit`: who did what with a company's documents."""

from typing import Annotated

import typer
from rich.text import Text

from ateneo.cli.options import AsJson, EmpresaId
from ateneo.cli.output import Column, show_rows
from ateneo.cli.runtime import database
from ateneo.db import audit as store
from ateneo.db.audit import StoredEntry
from ateneo.i18n import number, tr


async def audit(
    empresa_id: EmpresaId,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000)] = 50,
    before: Annotated[
        int | None, typer.Option(help=tr("Solo lo anterior a este número.", "Only what is before this number."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    async with database() as db:
        found = await store.page(db, empresa_id, limit=limit, before=before)
    columns: list[Column[StoredEntry]] = [
        Column("#", lambda one: str(one.audit_id), right=True),
        Column(tr("cuándo (UTC)", "when (UTC)"), lambda one: one.at[:16].replace("T", " ")),
        Column(tr("quién", "who"), _actor),
        Column(tr("qué", "what"), lambda one: one.action if one.target is None else f"{one.action} {one.target}"),
        Column(tr("n.º", "n"), lambda one: "" if one.results is None else number(one.results), right=True),
        Column("", lambda one: Text("" if one.status < 400 else str(one.status), style="red")),
    ]
    empty = tr(f"No hay nada anotado de «{empresa_id}».", f"Nothing is noted of “{empresa_id}”.")
    show_rows(found, columns, as_json=as_json, empty=empty)


def _actor(one: StoredEntry) -> str:
    """A key by its first characters, with which `ateneo keys list` begins."""
    return one.actor[:12] + "…" if one.actor.startswith("key:") else one.actor
