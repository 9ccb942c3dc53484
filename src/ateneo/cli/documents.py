"""`ateneo documents`: what a company has, and deleting it."""

from collections.abc import AsyncIterator
from typing import Annotated

import typer
from rich.text import Text

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, EmpresaId, Yes
from ateneo.cli.output import Column, show_rows
from ateneo.cli.runtime import confirmed, database, err, note, out
from ateneo.cli.usage import Commands
from ateneo.db import documents
from ateneo.db.pool import Database
from ateneo.i18n import count, number, tr
from ateneo.types import StoredDocument

app = Commands()

_PAGE = 1000


@app.command("list", help=tr("Los que hay.", "Those there are."))
async def list_(
    empresa_id: EmpresaId,
    source: Annotated[
        str | None, typer.Option("--source", help=tr("Los de una fuente.", "Those of one source."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    async with database() as db:
        found = [one async for one in _all(db, empresa_id) if source in (None, one.origin)]
        await note(db, empresa_id, "documents_list", results=len(found))
    columns: list[Column[StoredDocument]] = [
        Column("id", lambda one: one.document_id),
        Column(tr("nombre", "name"), lambda one: one.source),
        Column(tr("título", "title"), lambda one: one.title),
        Column(tr("fuente", "source"), lambda one: one.origin or "–"),
        Column("chunks", lambda one: number(one.chunks), right=True),
    ]
    show_rows(found, columns, as_json=as_json, empty=tr("No hay documentos.", "There are no documents."))


async def _all(db: Database, empresa_id: str) -> AsyncIterator[StoredDocument]:
    after: tuple[str, str] | None = None
    while page := await documents.list_documents(db, empresa_id, limit=_PAGE, after=after):
        for one in page:
            yield one
        after = (page[-1].source, page[-1].document_id)


@app.command("show", help=tr("Uno, entero.", "One, the whole."))
async def show(
    document_id: Annotated[str, typer.Argument(help=tr("El id del documento.", "The document's id."))],
    empresa_id: EmpresaId,
) -> None:
    async with database() as db:
        found = await documents.get(db, empresa_id, document_id)
        await note(db, empresa_id, "documents_show", target=document_id)
    print_json(found)


@app.command("delete", help=tr("Borra documentos y todo lo suyo.", "Deletes documents and all that is theirs."))
async def delete(
    document_ids: Annotated[list[str], typer.Argument(help=tr("Sus ids.", "Their ids."))],
    empresa_id: EmpresaId,
    yes: Yes = False,
) -> int | None:
    async with database() as db:
        found = [await documents.get(db, empresa_id, one) for one in dict.fromkeys(document_ids)]
        if not yes:
            for one in found:
                err.print(Text(f"{one.document_id}  {one.source}"), soft_wrap=True)
            if not confirmed(tr("¿Borrarlos?", "Delete them?")):
                err.print(tr("No se borró nada.", "Nothing was deleted."))
                return 1
        for document in found:
            await documents.delete(db, empresa_id, document.document_id)
            await note(db, empresa_id, "documents_delete", target=document.document_id)
    gone = count(
        len(found), tr("documento borrado", "document deleted"), tr("documentos borrados", "documents deleted")
    )
    out.print(f"{gone}.")
    return None
