"""`ateneo empresas`: which companies there are, and the end of one."""

import dataclasses
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ateneo.access import erasure
from ateneo.cli.runtime import answered, err, out, print_json, run_or_exit, whoami
from ateneo.cli.usage import Commands
from ateneo.db import empresas
from ateneo.factories.databases import open_database
from ateneo.i18n import number, tr
from ateneo.settings import load

app = Commands()

_Json = Annotated[bool, typer.Option("--json", help=tr("JSON en la salida.", "JSON on stdout."))]


@app.command("list", help=tr("Las empresas que hay.", "The companies there are."))
def list_empresas(as_json: _Json = False) -> None:
    run_or_exit(_list(as_json), as_json=as_json)


async def _list(as_json: bool) -> None:
    async with await open_database(load()) as db:
        found = await empresas.listed(db)
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    table = Table(box=None, header_style="bold")
    for title in ("empresa_id", "chunks", tr("documentos", "documents"), tr("claves", "keys")):
        table.add_column(title, overflow="fold", justify="left" if title == "empresa_id" else "right")
    for one in found:
        table.add_row(Text(one.empresa_id), number(one.chunks), number(one.documents), number(one.keys))
    out.print(table)


@app.command(help=tr("Borra TODO lo de una empresa.", "Deletes EVERYTHING of a company."))
def delete(
    empresa_id: Annotated[str, typer.Argument(help="empresa_id")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help=tr("No pregunta.", "Does not ask."))] = False,
    as_json: _Json = False,
) -> None:
    run_or_exit(_delete(empresa_id, yes, as_json), as_json=as_json)


async def _delete(empresa_id: str, yes: bool, as_json: bool) -> int:
    async with await open_database(load()) as db:
        if not yes:
            err.print(
                tr(
                    "Se borran sus chunks, documentos, claves, índices y registro. No se puede deshacer.",
                    "Its chunks, documents, keys, indexes and audit log are deleted. There is no undo.",
                )
            )
            if answered(tr("Escribí el empresa_id para seguir: ", "Type the empresa_id to go on: ")) != empresa_id:
                err.print(tr("No coincide: no se borró nada.", "It does not match: nothing was deleted."))
                return 1
        report = await erasure.erase(db, empresa_id, actor=whoami())
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        for name, rows in sorted(report.deleted.items()):
            out.print(f"{number(rows):>10}  {name}")
        said = tr("No queda nada de ella.", "Nothing of it is left.")
        out.print(said if report.clean else tr("QUEDAN FILAS: ", "ROWS ARE LEFT: ") + str(report.remaining))
    return 0 if report.clean else 1
