"""`ateneo keys`: the API keys of companies."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId, OneEmpresa
from ateneo.cli.runtime import database, err, note, out
from ateneo.cli.usage import Commands
from ateneo.db import chunks, keys
from ateneo.i18n import tr
from ateneo.types import ApiKey

app = Commands()

_KeyId = Annotated[str, typer.Argument(help=tr("El id que muestra `list`.", "The id in `list`."))]


@app.command(help=tr("Crea una clave y la muestra esta única vez.", "Makes a key and shows it this once."))
async def create(
    empresa_id: EmpresaId,
    name: Annotated[str, typer.Option(help=tr("Para qué es, para reconocerla.", "What for, to know it by."))] = "",
    scope: Annotated[
        list[str] | None,
        typer.Option(help=tr("read, write, agents, admin; se repite.", "read, write, agents, admin; repeatable.")),
    ] = None,
    days: Annotated[float | None, typer.Option(help=tr("Vence en tantos días.", "Ends in so many days."))] = None,
    as_json: AsJson = False,
) -> None:
    lifetime = None if days is None else timedelta(days=days)
    async with database() as db:
        new = await keys.create(db, empresa_id, name, scopes=scope or keys.DEFAULT_SCOPES, lifetime=lifetime)
        known = await chunks.knows(db, empresa_id)
        await note(db, empresa_id, "keys_create", target=new.stored.key_id)
    if not known and not as_json:
        err.print(
            tr(
                f"! Todavía no hay nada de la empresa «{empresa_id}»: ¿es ese el empresa_id?",
                f"! There is nothing of the company “{empresa_id}” yet: is that its empresa_id?",
            ),
            style="yellow",
        )
    _show(new, as_json)


def _show(new: keys.NewKey, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(new.stored) | {"key": new.secret})
        return
    # The key alone on stdout, so that $(ateneo keys create ...) is the key.
    out.print(new.secret, soft_wrap=True)
    err.print(
        tr(
            f"Guardala ahora: no se puede volver a ver. Su id, para revocarla: {new.stored.key_id}",
            f"Keep it now: it cannot be shown again. Its id, to revoke it: {new.stored.key_id}",
        ),
        style="dim",
    )


@app.command(
    help=tr("Otra clave igual; la vieja vale un rato más.", "Another key like it; the old one holds a while longer.")
)
async def rotate(
    key_id: _KeyId,
    grace: Annotated[float, typer.Option(min=0, help=tr("Horas que vale la vieja.", "Hours it still holds."))] = 24,
    as_json: AsJson = False,
) -> None:
    async with database() as db:
        new = await keys.rotate(db, key_id, timedelta(hours=grace))
        await note(db, new.stored.empresa_id, "keys_rotate", target=key_id)
    _show(new, as_json)


@app.command("list", help=tr("Las claves que hay, sin mostrarlas.", "The keys there are, without showing them."))
async def list_keys(empresa_id: OneEmpresa = None, as_json: AsJson = False) -> None:
    async with database() as db:
        found = await keys.list_keys(db, empresa_id)
        await note(db, empresa_id, "keys_list", results=len(found))
    if as_json:
        print_json(found)
    elif not found:
        err.print(tr("No hay claves. Creá una con `ateneo keys create`.", "No keys. `ateneo keys create` makes one."))
    else:
        for key in found:
            _show_stored(key)


def _show_stored(key: ApiKey) -> None:
    """Two lines a key: an id that a table would break cannot be copied."""
    named = f"  {key.name}" if key.name else ""
    out.print(Text.assemble((key.empresa_id, "bold"), named, f"  {keys.beginning(key.prefix)}  {' '.join(key.scopes)}"))
    used = (key.last_used_at or "–")[:16].replace("T", " ")
    place = tr(f" desde {key.last_used_from}", f" from {key.last_used_from}") if key.last_used_from else ""
    details = f"  id {key.key_id} · " + tr(f"usada {used}", f"used {used}") + f"{place}  "
    out.print(Text.assemble((details, "dim"), _state(key)), soft_wrap=True)


def _state(key: ApiKey) -> Text:
    if key.revoked:
        return Text(tr("revocada", "revoked"), style="red")
    if key.expires_at is None:
        return Text()
    ended = datetime.fromisoformat(key.expires_at) <= datetime.now(UTC)
    day = key.expires_at[:16].replace("T", " ")
    return Text(tr(f"vencida {day}", f"ended {day}"), style="red") if ended else Text(tr(f"hasta {day}", f"till {day}"))


@app.command(help=tr("Revoca una clave: deja de valer en el acto.", "Revokes a key: it ends at once."))
async def revoke(key_id: _KeyId) -> None:
    async with database() as db:
        gone = await keys.revoke(db, key_id)
        await note(db, gone.empresa_id, "keys_revoke", target=key_id)
    key = keys.beginning(gone.prefix)
    out.print(tr(f"Revocada: {key} de {gone.empresa_id}.", f"Revoked: {key} of {gone.empresa_id}."))
