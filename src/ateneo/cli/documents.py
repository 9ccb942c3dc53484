"""`ateneo documents`: what a company has, and deleting it."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ateneo.cli.options import EmpresaId
from ateneo.cli.runtime import confirmed, err, note, out, print_json, run_or_exit
from ateneo.cli.usage import Commands
from ateneo.db import documents
from ateneo.db.pool import Database
from ateneo.factories.databases import open_database
from ateneo.i18n import count, number, tr
from ateneo.settings import load
from ateneo.types import StoredDocument

app = Commands()

_PAGE = 1000
_Json = Annotated[bool, typer.Option("--json", help=tr("JSON en la salida.", "JSON on stdout."))]


@app.command("list", help=tr("Los que hay.", "Those there are."))
def list_(
    empresa_id: EmpresaId,
    source: Annotated[
        str | None, typer.Option("--source", help=tr("Los de una fuente.", "Those of one source."))
    ] = None,
    as_json: _Json = False,
) -> None:
    run_or_exit(_list(empresa_id, source, as_json), as_json=as_json)


async def _list(empresa_id: str, source: str | None, as_json: bool) -> None:
    async with await open_database(load()) as db:
        found = [one async for one in _all(db, empresa_id) if source in (None, one.origin)]
        await note(db, empresa_id, "documents_list", results=len(found))
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
    elif not found:
        err.print(tr("No hay documentos.", "There are no documents."))
    else:
        table = Table(box=None, header_style="bold")
        for title in ("id", tr("nombre", "name"), tr("título", "title"), tr("fuente", "source"), "chunks"):
            table.add_column(title, overflow="fold", justify="right" if title == "chunks" else "left")
        for one in found:
            cells = (one.document_id, one.source, one.title, one.origin or "–", number(one.chunks))
            table.add_row(*map(Text, cells))
        out.print(table)


async def _all(db: Database, empresa_id: str) -> AsyncIterator[StoredDocument]:
    after: tuple[str, str] | None = None
    while page := await documents.list_documents(db, empresa_id, limit=_PAGE, after=after):
        for one in page:
            yield one
        after = (page[-1].source, page[-1].document_id)


@app.command("show", help=tr("Uno, entero.", "One, the whole."))
def show(
    document_id: Annotated[str, typer.Argument(help=tr("El id del documento.", "The document's id."))],
    empresa_id: EmpresaId,
) -> None:
    run_or_exit(_show(empresa_id, document_id))


async def _show(empresa_id: str, document_id: str) -> None:
    async with await open_database(load()) as db:
        found = await documents.get(db, empresa_id, document_id)
        await note(db, empresa_id, "documents_show", target=document_id)
    print_json(dataclasses.asdict(found))


@app.command("delete", help=tr("Borra documentos y todo lo suyo.", "Deletes documents and all that is theirs."))
def delete(
    document_ids: Annotated[list[str], typer.Argument(help=tr("Sus ids.", "Their ids."))],
    empresa_id: EmpresaId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=tr("No pregunta.", "Does not ask."))] = False,
) -> None:
    run_or_exit(_delete(empresa_id, document_ids, yes))


async def _delete(empresa_id: str, document_ids: list[str], yes: bool) -> int | None:
    async with await open_database(load()) as db:
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
