"""`ateneo budget`: what embedding may cost each company in a month, and what it has cost."""

from dataclasses import asdict
from typing import Annotated

import typer

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId, OneEmpresa
from ateneo.cli.output import Column, table
from ateneo.cli.runtime import database, err, note, out
from ateneo.cli.usage import Commands
from ateneo.db import usage
from ateneo.db.pool import Database
from ateneo.errors import InputError
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models
from ateneo.i18n import count, dollars, number, tr
from ateneo.settings import Settings, load

app = Commands()


@app.command("set", help=tr("Fija o quita el máximo mensual.", "Sets or lifts a monthly limit."))
async def set_budget(
    empresa_id: EmpresaId,
    tokens: Annotated[int | None, typer.Option("--tokens", min=0, help=tr("Tokens al mes.", "Tokens."))] = None,
    usd: Annotated[float | None, typer.Option("--usd", min=0, help=tr("Dólares al mes.", "US dollars."))] = None,
    none: Annotated[bool, typer.Option("--none", help=tr("Sin máximo.", "No limit."))] = False,
) -> None:
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


@app.command(help=tr("Los presupuestos y lo gastado este mes.", "The budgets, and what was spent this month."))
async def show(empresa_id: OneEmpresa = None, as_json: AsJson = False) -> None:
    async with database() as db:
        spent = await usage.month(db, empresa_id)
        budgets = {one.empresa_id: one for one in await usage.budgets(db, empresa_id)}
    if as_json:
        print_json({"budgets": [asdict(one) for one in budgets.values()], "usage": [asdict(one) for one in spent]})
        return
    companies = sorted({*budgets, *(use.empresa_id for use in spent)})
    if not companies:
        out.print(tr("Nada gastado este mes.", "Nothing was spent this month."))
        return
    uses = {one: [use for use in spent if use.empresa_id == one] for one in companies}
    columns: list[Column[str]] = [
        Column(tr("empresa", "company"), str),
        Column("tokens", lambda one: number(sum(use.tokens for use in uses[one])), right=True),
        Column("USD", lambda one: number(sum(use.usd for use in uses[one]), 4), right=True),
        Column(
            tr("máximo mensual", "monthly limit"),
            lambda one: _limit(budgets[one].tokens, budgets[one].usd) if one in budgets else "-",
        ),
        Column("", lambda one: tr("agotado", "spent") if one in budgets and budgets[one].spent else ""),
    ]
    out.print(table(companies, columns, pad_edge=False))


async def _unpriced(db: Database, settings: Settings) -> str | None:
    """The name of the model in use, where its price is not known."""
    async with make_models(settings) as models:
        model = await models.present(db)
        return model.model if model.price is None else None


def _limit(tokens: int | None, usd: float | None) -> str:
    parts = [] if tokens is None else [count(tokens, "token", "tokens")]
    return " / ".join(parts if usd is None else [*parts, f"{dollars(usd)} USD"])
