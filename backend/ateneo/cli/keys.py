"""`ateneo keys`: the API keys of companies."""

import dataclasses
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ateneo import wiring
from ateneo.cli.runtime import err, out, print_json, run_or_exit
from ateneo.lang import tr
from ateneo.settings import load
from ateneo.store import chunks, keys
from ateneo.types import ApiKey

app = typer.Typer(no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help=tr("JSON en la salida.", "JSON on stdout."))]


@app.command(help=tr("Crea una clave y la muestra esta única vez.", "Makes a key and shows it this once."))
def create(
    empresa_id: Annotated[str, typer.Option("--empresa-id", "-e", help=tr("De quién es la clave.", "Whose key."))],
    name: Annotated[str, typer.Option(help=tr("Para qué es, para reconocerla.", "What for, to know it by."))] = "",
    as_json: _Json = False,
) -> None:
    run_or_exit(_create(empresa_id, name, as_json), as_json=as_json)


async def _create(empresa_id: str, name: str, as_json: bool) -> None:
    async with await wiring.open_database(load()) as db:
        new = await keys.create(db, empresa_id, name)
        known = await chunks.knows(db, empresa_id)
    if as_json:
        print_json(dataclasses.asdict(new.stored) | {"key": new.secret})
        return
    if not known:
        err.print(
            tr(
                f"! Todavía no hay nada de la empresa «{empresa_id}»: ¿es ese el empresa_id?",
                f"! There is nothing of the company “{empresa_id}” yet: is that its empresa_id?",
            ),
            style="yellow",
        )
    # The key alone on stdout, so that $(ateneo keys create ...) is the key.
    out.print(new.secret, soft_wrap=True)
    err.print(
        tr(
            f"Guardala ahora: no se puede volver a ver. Su id, para revocarla: {new.stored.key_id}",
            f"Keep it now: it cannot be shown again. Its id, to revoke it: {new.stored.key_id}",
        ),
        style="dim",
    )


@app.command("list", help=tr("Las claves que hay, sin mostrarlas.", "The keys there are, without showing them."))
def list_keys(
    empresa_id: Annotated[str | None, typer.Option("--empresa-id", "-e", help=tr("De una sola.", "Of one."))] = None,
    as_json: _Json = False,
) -> None:
    run_or_exit(_list(empresa_id, as_json), as_json=as_json)


async def _list(empresa_id: str | None, as_json: bool) -> None:
    async with await wiring.open_database(load()) as db:
        found = await keys.list_keys(db, empresa_id)
    if as_json:
        print_json([dataclasses.asdict(key) for key in found])
    elif not found:
        err.print(tr("No hay claves. Creá una con `ateneo keys create`.", "No keys. `ateneo keys create` makes one."))
    else:
        out.print(_table(found))


def _table(found: list[ApiKey]) -> Table:
    table = Table(box=None, header_style="bold")
    for title in ("id", "empresa_id", tr("clave", "key"), tr("nombre", "name"), tr("usada", "used"), ""):
        table.add_column(title, overflow="fold")
    for key in found:
        state = Text(tr("revocada", "revoked"), style="red") if key.revoked else Text()
        used = (key.last_used_at or "–")[:16].replace("T", " ")
        cells = (key.key_id, key.empresa_id, f"ate_{key.prefix}_…", key.name, used)
        table.add_row(*map(Text, cells), state)
    return table


@app.command(help=tr("Revoca una clave: deja de valer en el acto.", "Revokes a key: it ends at once."))
def revoke(key_id: Annotated[str, typer.Argument(help=tr("El id que muestra `list`.", "The id in `list`."))]) -> None:
    run_or_exit(_revoke(key_id))


async def _revoke(key_id: str) -> None:
    async with await wiring.open_database(load()) as db:
        gone = await keys.revoke(db, key_id)
    out.print(
        tr(
            f"Revocada: ate_{gone.prefix}_… de {gone.empresa_id}.",
            f"Revoked: ate_{gone.prefix}_… of {gone.empresa_id}.",
        )
    )
