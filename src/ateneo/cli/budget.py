"""`ateneo budget`: what embedding may cost each company in a month, and what it has cost."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ateneo.cli.runtime import err, note, out, print_json, run_or_exit
from ateneo.cli.usage import Commands
from ateneo.db import usage
from ateneo.db.pool import Database
from ateneo.errors import InputError
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models
from ateneo.i18n import count, dollars, number, tr
from ateneo.settings import Settings, load

app = Commands()

_JSON = Annotated[bool, typer.Option("--json", help=tr("Un documento JSON.", "One JSON document."))]


@app.command("set", help=tr("Fija o quita el máximo mensual.", "Sets or lifts a monthly limit."))
def set_budget(
    empresa_id: Annotated[str, typer.Option("--empresa-id", "-e", help=tr("De qué empresa.", "Whose."))],
    tokens: Annotated[int | None, typer.Option("--tokens", min=0, help=tr("Tokens al mes.", "Tokens."))] = None,
    usd: Annotated[float | None, typer.Option("--usd", min=0, help=tr("Dólares al mes.", "US dollars."))] = None,
    none: Annotated[bool, typer.Option("--none", help=tr("Sin máximo.", "No limit."))] = False,
) -> None:
    run_or_exit(_set(empresa_id, tokens, usd, none))


@app.command(help=tr("Los presupuestos y lo gastado este mes.", "The budgets, and what was spent this month."))
def show(
    empresa_id: Annotated[str | None, typer.Option("--empresa-id", "-e", help=tr("De una sola.", "Of one."))] = None,
    as_json: _JSON = False,
) -> None:
    run_or_exit(_show(empresa_id, as_json), as_json=as_json)


async def _set(empresa_id: str, tokens: int | None, usd: float | None, none: bool) -> None:
    if none == (tokens is not None or usd is not None):
        raise InputError(detail=tr("Hace falta --tokens, --usd o --none.", "It takes --tokens, --usd or --none."))
    settings = load()
    async with await open_database(settings) as db:
        await usage.set_budget(db, empresa_id, tokens, usd)
        await note(db, empresa_id, "budget_set")
        unpriced = None if usd is None else await _unpriced(db, settings)
    out.print(
        tr(f"«{empresa_id}» ya no tiene máximo.", f"“{empresa_id}” has no limit any more.")
        if none
        else tr(
            f"Máximo mensual de «{empresa_id}»: {_limit(tokens, usd)}. Al llegar, sus chunks esperan en la cola.",
            f"Monthly limit of “{empresa_id}”: {_limit(tokens, usd)}. From there on its chunks wait in the queue.",
        ),
        soft_wrap=True,
    )
    if unpriced is not None:
        text = tr(f"! No sé el precio de {unpriced}: solo un máximo en --tokens lo frena.",
                  f"! I know no price of {unpriced}: only a limit in --tokens stops it.")  # fmt: skip
        err.print(text, style="yellow", soft_wrap=True)


async def _unpriced(db: Database, settings: Settings) -> str | None:
    """The name of the model in use, where its price is not known."""
    async with make_models(settings) as models:
        model = await models.present(db)
        return model.model if model.price is None else None


async def _show(empresa_id: str | None, as_json: bool) -> None:
    async with await open_database(load()) as db:
        spent = await usage.month(db, empresa_id)
        budgets = {one.empresa_id: one for one in await usage.budgets(db, empresa_id)}
    if as_json:
        print_json({"budgets": [asdict(one) for one in budgets.values()], "usage": [asdict(one) for one in spent]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(tr("empresa", "company"), overflow="fold")
    for heading in ("tokens", "USD"):
        table.add_column(heading, justify="right")
    table.add_column(tr("máximo mensual", "monthly limit"))
    table.add_column("")
    for one in sorted({*budgets, *(use.empresa_id for use in spent)}):
        mine = [use for use in spent if use.empresa_id == one]
        budget = budgets.get(one)
        limit = _limit(budget.tokens, budget.usd) if budget else "-"
        stopped = tr("agotado", "spent") if budget and budget.spent else ""
        usd = sum(use.usd for use in mine)
        table.add_row(one, number(sum(use.tokens for use in mine)), number(usd, 4), limit, stopped)
    out.print(table if table.row_count else tr("Nada gastado este mes.", "Nothing was spent this month."))


def _limit(tokens: int | None, usd: float | None) -> str:
    parts = [] if tokens is None else [count(tokens, "token", "tokens")]
    return " / ".join(parts if usd is None else [*parts, f"{dollars(usd)} USD"])
