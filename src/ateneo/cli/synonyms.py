"""`ateneo synonyms`: words that a company uses for the same thing."""

import asyncio
import csv
from pathlib import Path
from typing import Annotated

import typer

from ateneo.cli.options import EmpresaId
from ateneo.cli.runtime import database, err, note, out
from ateneo.cli.usage import Commands
from ateneo.db import synonyms
from ateneo.errors import BadArgument
from ateneo.i18n import count, tr
from ateneo.search import regional_synonyms
from ateneo.validation_messages import unreadable

app = Commands()
Words = Annotated[list[str], typer.Argument(help=tr("Palabras que valen lo mismo.", "Words for the same thing."))]
_File = Annotated[Path, typer.Argument(help=tr("Archivo CSV.", "CSV file."))]


@app.command("add", help=tr("celular móvil: cada una encuentra a las otras.", "cell mobile: each finds the others."))
async def add(words: Words, empresa_id: EmpresaId) -> None:
    if len(words) < 2:
        rule = tr("hacen falta al menos dos palabras", "at least two words are needed")
        raise typer.BadParameter(rule)
    await _add(empresa_id, [words])


@app.command("import", help=tr("CSV: una línea por grupo de palabras.", "CSV: a line for each group of words."))
async def import_(
    file: Annotated[Path, typer.Argument(help=tr("Archivo CSV.", "CSV file."))], empresa_id: EmpresaId
) -> None:
    await _add(empresa_id, await asyncio.to_thread(_groups, file))


def _groups(file: Path) -> list[list[str]]:
    try:
        return list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise BadArgument(name=tr("ARCHIVO", "FILE"), value=file, rule=unreadable(error)) from error


async def _add(empresa_id: str, groups: list[list[str]]) -> None:
    async with database() as db:
        new = sum([await synonyms.add(db, empresa_id, group) for group in groups])
        await note(db, empresa_id, "synonyms_add", results=new)
    out.print(tr(count(new, "par nuevo.", "pares nuevos."), count(new, "new pair.", "new pairs.")))


@app.command(
    "regional", help=tr("Las palabras de un país: zapallo, calabaza.", "The words of a country: zapallo, calabaza.")
)
async def regional_(
    country: Annotated[str, typer.Argument(help=tr("Código ISO: AR, MX, CO…", "ISO code: AR, MX, CO…"))],
    empresa_id: EmpresaId,
    show: Annotated[bool, typer.Option("--show", help=tr("Solo las muestra.", "Only shows them."))] = False,
) -> None:
    groups = regional_synonyms.groups(country.upper())
    if not groups:
        known = ", ".join(regional_synonyms.countries())
        raise typer.BadParameter(tr(f"no conozco ese país; hay: {known}", f"unknown country; there are: {known}"))
    if show:
        for group in groups:
            out.print(", ".join(group))
    else:
        await _add(empresa_id, groups)


@app.command("list", help=tr("Las que hay.", "Those there are."))
async def list_(empresa_id: EmpresaId) -> None:
    async with database() as db:
        found = await synonyms.listed(db, empresa_id)
        await note(db, empresa_id, "synonyms_list", results=len(found))
    if not found:
        err.print(tr("No hay sinónimos.", "There are no synonyms."))
    for word, others in found.items():
        out.print(f"{word}: {', '.join(others)}")


@app.command("remove", help=tr("Olvida una palabra.", "Forgets a word."))
async def remove(word: str, empresa_id: EmpresaId) -> None:
    async with database() as db:
        gone = await synonyms.remove(db, empresa_id, word)
        await note(db, empresa_id, "synonyms_remove", results=gone)
    out.print(tr(count(gone, "par olvidado.", "pares olvidados."), count(gone, "pair forgotten.", "pairs forgotten.")))
