"""`ateneo sources`: the product's own tables, searched as they are (docs/how-to/sources.md)."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Annotated, Any

import typer

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson, Yes
from ateneo.cli.output import Column, facts, say, show_rows, warn
from ateneo.cli.progress import step
from ateneo.cli.runtime import confirmed, err, out
from ateneo.cli.sources_screen import mapping_facts, show_draft
from ateneo.cli.usage import Commands
from ateneo.factories.sources import open_sources
from ateneo.i18n import count, number, tr
from ateneo.settings import load
from ateneo.sources.presets import KINDS
from ateneo.sources.service import SourceService
from ateneo.types.sources import Source, SourceCheck, SourceProgress

app = Commands()

_Name = Annotated[str, typer.Argument(help=tr("El nombre de la fuente.", "The source's name."))]
_TABLE = "table"


def _service() -> AbstractAsyncContextManager[SourceService]:
    return open_sources(load())


@app.command(
    help=tr(
        "add table ESQUEMA.TABLA: la propone como fuente, la muestra, pregunta, y copia sus textos. "
        "add langchain, llamaindex, supabase, pgai o r2r: la que hizo esa biblioteca, con sus vectores.",
        "add table SCHEMA.TABLE: proposes it as a source, shows it, asks, and copies its texts. "
        "add langchain, llamaindex, supabase, pgai or r2r: the one that this library made, with its vectors.",
    )
)
async def add(
    kind: Annotated[str, typer.Argument(help="table, langchain, llamaindex, supabase, pgai, r2r")],
    table: Annotated[str | None, typer.Argument(help=tr("La tabla o vista.", "The table or view."))] = None,
    name: Annotated[str | None, typer.Option("--name", help=tr("Cómo se llama la fuente.", "Its name."))] = None,
    key: Annotated[
        list[str] | None, typer.Option("--id", help=tr("Columna de la clave.", "Column of the key."))
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help=tr("Columna de la empresa.", "Column of the company."))
    ] = None,
    empresa_id: Annotated[
        str | None, typer.Option("--empresa-id", "-e", help=tr("Todas son de esta.", "All are this one's."))
    ] = None,
    text: Annotated[list[str] | None, typer.Option("--text", help=tr("Columna de texto.", "Column of text."))] = None,
    title: Annotated[
        str | None, typer.Option("--title", help=tr("Columna del título.", "Column of the title."))
    ] = None,
    document: Annotated[
        str | None,
        typer.Option("--document", help=tr("Columna que junta filas en uno.", "Column that joins rows into one.")),
    ] = None,
    position: Annotated[
        str | None, typer.Option("--position", help=tr("Columna de su orden.", "Column of their order."))
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help=tr("Columna para filtrar.", "Column to filter by."))
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help=tr("SQL que cumple lo que se busca.", "SQL that what is found meets.")),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help=tr("Enlace: https://…/{id}", "Link: https://…/{id}"))] = None,
    poll: Annotated[bool, typer.Option("--poll", help=tr("Sin triggers.", "Without triggers."))] = False,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help=tr("Columna que crece al cambiar.", "Column that grows."))
    ] = None,
    vector: Annotated[
        str | None, typer.Option("--vector", help=tr("Columna de vectores hechos.", "Column of vectors it has."))
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help=tr("De qué modelo: openai/…", "Of which model: openai/…"))
    ] = None,
    trust_vectors: Annotated[
        bool, typer.Option("--trust-vectors", help=tr("Sin comprobar que lo son.", "Without checking that."))
    ] = False,
    html: Annotated[bool, typer.Option("--html", help=tr("El texto es HTML.", "The text is HTML."))] = False,
    collection: Annotated[
        str | None, typer.Option("--collection", help=tr("De langchain, una.", "Of langchain's, one."))
    ] = None,
    yes: Yes = False,
) -> int | None:
    if kind not in (_TABLE, *KINDS):
        kinds = ", ".join((_TABLE, *KINDS))
        raise typer.BadParameter(tr(f"{kind} no es de estos: {kinds}", f"{kind} is none of these: {kinds}"))
    if kind == _TABLE and table is None:
        raise typer.BadParameter(tr("falta la tabla", "the table is missing"))
    chosen: dict[str, Any] = {
        "key": key and tuple(key),
        "tenant": tenant,
        "empresa_id": empresa_id,
        "text": text and tuple(text),
        "title": title,
        "document": document,
        "position": position,
        "metadata": metadata and tuple(one for one in metadata if one),
        "condition": where,
        "url": url,
        "cursor": cursor,
        "vector": vector,
        "model": model,
        "html": html or None,
    }
    given = {field: value for field, value in chosen.items() if value is not None}
    async with _service() as sources:
        if kind == _TABLE:
            draft = await sources.draft(table or "", name=name, poll=poll, **given)
        else:
            draft = await sources.draft_of(kind, table, name=name, collection=collection, **given)
            draft = replace(draft, follow="poll") if poll else draft
        found = await sources.preview(draft)
        show_draft(draft, found, await sources.estimate(found), checked=not trust_vectors)
        if not yes and not confirmed(tr("¿Agregarla?", "Add it?")):
            err.print(tr("No se cambió nada.", "Nothing was changed."))
            return 1
        await sources.add(draft, trust_vectors=trust_vectors)
        await _sync(sources, draft.name)
    if draft.mapping.vector:
        say(tr("`ateneo worker` la mantiene al día, y hace los vectores que falten.",
               "`ateneo worker` keeps it up to date, and makes the vectors that are missing."))  # fmt: skip
    else:
        say(tr("Sus vectores los hace `ateneo worker`, que además la mantiene al día.",
               "`ateneo worker` makes its vectors, and keeps it up to date."))  # fmt: skip
    return None


@app.command("list", help=tr("Las fuentes que hay.", "The sources there are."))
async def list_(as_json: AsJson = False) -> None:
    async with _service() as sources:
        found = await sources.listed()
    columns: list[Column[Source]] = [
        Column(tr("fuente", "source"), lambda one: one.name),
        Column(tr("tabla", "table"), lambda one: one.relation),
        Column(tr("filas", "rows"), lambda one: number(one.rows), right=True, whole=True),
        Column(tr("por hacer", "to do"), lambda one: number(one.pending), right=True, whole=True),
        Column(tr("estado", "state"), _state),
    ]
    show_rows(found, columns, as_json=as_json, empty=tr("No hay fuentes.", "There are no sources."))


@app.command(help=tr("Una fuente, entera.", "One source, the whole."))
async def show(name: _Name, as_json: AsJson = False) -> None:
    async with _service() as sources:
        found = await sources.show(name)
    if as_json:
        print_json(found)
        return
    out.print(
        facts(
            {
                tr("fuente", "source"): found.name,
                tr("tabla", "table"): found.relation,
                tr("filas", "rows"): number(found.rows),
                tr("por hacer", "to do"): number(found.pending),
                tr("estado", "state"): _state(found),
                **mapping_facts(found.mapping),
            }
        )
    )


@app.command(help=tr("Compara la tabla con lo guardado, y lo corrige.", "Compares the table with what is stored."))
async def check(name: _Name, as_json: AsJson = False) -> None:
    async with _service() as sources:
        found = await sources.check(name)
        await _sync(sources, name, quiet=as_json)
    if as_json:
        print_json(found)
    else:
        _show_check(found)


@app.command(help=tr("Guarda ya lo que espera.", "Stores now what waits."))
async def sync(name: _Name) -> None:
    async with _service() as sources:
        await _sync(sources, name)


@app.command(
    help=tr(
        "Desde ahora embebe Ateneo sus textos: deja de tomar los vectores de la tabla.",
        "From now on Ateneo embeds its texts: the table's vectors are no longer taken over.",
    )
)
async def embed(name: _Name) -> None:
    async with _service() as sources:
        await sources.embed(name)
    say(tr("Lo guardado queda como está hasta que cambie su fila.", "What is stored stays until its row changes."))


@app.command(help=tr("La saca, con sus triggers; la tabla queda como está.", "Removes it; the table stays."))
async def remove(name: _Name, yes: Yes = False) -> int | None:
    async with _service() as sources:
        found = await sources.show(name)
        rows = count(found.rows, tr("fila", "row"), tr("filas", "rows"))
        if not yes and not confirmed(tr(f"¿Sacar «{name}», con {rows}?", f"Remove “{name}”, with {rows}?")):
            err.print(tr("No se cambió nada.", "Nothing was changed."))
            return 1
        with step(tr("Sacando", "Removing")) as tell:
            await sources.remove(name, tell)
    say(tr(f"«{name}» ya no es una fuente; {found.relation} quedó como estaba.",
           f"“{name}” is a source no more; {found.relation} is as it was."))  # fmt: skip
    return None


async def _sync(sources: SourceService, name: str, *, quiet: bool = False) -> None:
    with step(tr("Copiando", "Copying"), quiet=quiet) as tell:
        done = await sources.sync(name, tell)
    if not quiet:
        _show_progress(done)


def _show_progress(done: SourceProgress) -> None:
    stored = tr(count(done.stored, "fila guardada", "filas guardadas"), count(done.stored, "row stored", "rows stored"))
    gone = tr(count(done.removed, "quitada", "quitadas"), count(done.removed, "removed", "removed"))
    own = tr(f" ({number(done.vectors)} con su vector)", f" ({number(done.vectors)} with their vector)")
    say(f"{stored}{own if done.vectors else ''}, {gone}.")
    if done.failed:
        rows = count(done.failed, tr("fila", "row"), tr("filas", "rows"))
        warn(tr(f"{rows}: la condición falla con ellas, y no se encuentran.",
                f"{rows}: the condition fails on them, and they are not found."))  # fmt: skip


def _show_check(found: SourceCheck) -> None:
    rows = count(found.differences, tr("fila distinta", "row differed"), tr("filas distintas", "rows differed"))
    say(f"{rows}.")
    if found.triggers:
        made = count(
            found.triggers,
            tr("trigger repuesto", "trigger made again"),
            tr("triggers repuestos", "triggers made again"),
        )
        say(f"{made}.")
    if found.without_company:
        left = count(found.without_company, tr("fila", "row"), tr("filas", "rows"))
        keys = "; ".join(", ".join(key) for key in found.keys)
        warn(tr(f"{left} sin empresa, que no se buscan: {keys}", f"{left} without a company, not searched: {keys}"))


def _state(source: Source) -> str:
    if source.error:
        return source.error
    return tr("triggers", "triggers") if source.follow == "triggers" else tr("se consulta", "polled")
