"""`ateneo empresas`: which companies there are, and the end of one."""

from typing import Annotated

import typer

from ateneo.access import erasure
from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, Yes
from ateneo.cli.output import Column, show_rows
from ateneo.cli.runtime import answered, database, err, out, whoami
from ateneo.cli.usage import Commands
from ateneo.db import empresas
from ateneo.i18n import number, tr

app = Commands()


@app.command("list", help=tr("Las empresas que hay.", "The companies there are."))
async def list_empresas(as_json: AsJson = False) -> None:
    async with database() as db:
        found = await empresas.listed(db)
    columns: list[Column[empresas.Empresa]] = [
        Column("empresa_id", lambda one: one.empresa_id),
        Column("chunks", lambda one: number(one.chunks), right=True),
        Column(tr("documentos", "documents"), lambda one: number(one.documents), right=True),
        Column(tr("claves", "keys"), lambda one: number(one.keys), right=True),
    ]
    show_rows(found, columns, as_json=as_json, empty=tr("No hay empresas.", "There are no companies."))


@app.command(help=tr("Borra TODO lo de una empresa.", "Deletes EVERYTHING of a company."))
async def delete(
    empresa_id: Annotated[str, typer.Argument(help="empresa_id")], yes: Yes = False, as_json: AsJson = False
) -> int:
    async with database() as db:
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
        print_json(report)
    else:
        for name, rows in sorted(report.deleted.items()):
            out.print(f"{number(rows):>10}  {name}")
        said = tr("No queda nada de ella.", "Nothing of it is left.")
        out.print(said if report.clean else tr("QUEDAN FILAS: ", "ROWS ARE LEFT: ") + str(report.remaining))
    return 0 if report.clean else 1
