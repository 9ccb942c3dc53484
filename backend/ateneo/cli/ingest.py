"""`ateneo ingest`: files and folders into one company's repository."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ateneo import wiring
from ateneo.cli.runtime import count, entry, err, out, run_or_exit
from ateneo.cli.search import EmpresaId
from ateneo.errors import BadArgument, DocumentError
from ateneo.lang import tr
from ateneo.settings import load

SOME_FAILED = 3
# what is taken from a folder; a file that is named is always tried
_TEXT = (".md", ".markdown", ".txt", ".rst", ".tex", ".html", ".htm", ".xml", ".json", ".csv", ".tsv", ".eml", ".msg")
_OFFICE = (".pdf", ".docx", ".doc", ".odt", ".rtf", ".xlsx", ".xls", ".ods", ".pptx", ".ppt", ".odp", ".epub")
SUFFIXES = frozenset(_TEXT + _OFFICE)


def ingest(
    paths: Annotated[list[Path], typer.Argument(help=tr("Archivos o carpetas.", "Files or folders."))],
    empresa_id: EmpresaId,
    force: Annotated[
        bool, typer.Option("--force", help=tr("Procesa también lo que no cambió.", "Also what has not changed."))
    ] = False,
) -> None:
    run_or_exit(_ingest(paths, empresa_id, force))


def files_in(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Every file named, and every visible document under the folders named, in order, each with its document's name.

    The name of a file in a folder is its path from there, so that equal file names in two folders stay two documents.
    """
    found: list[tuple[Path, str]] = []
    for path in paths:
        if not path.exists():
            rule = tr("no existe ese archivo o carpeta", "there is no such file or folder")
            raise BadArgument(name="PATH", value=path, rule=rule)
        if path.is_dir():
            every = (p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES)
            inside = sorted((p.relative_to(path), p) for p in every)
            found += [(p, n.as_posix()) for n, p in inside if not any(part.startswith(".") for part in n.parts)]
        else:
            found.append((path, path.name))
    return found


async def _ingest(paths: list[Path], empresa_id: str, force: bool) -> int:
    files = files_in(paths)
    failed: list[str] = []
    counts: Counter[str] = Counter()
    chunks = 0
    async with await wiring.House.open(load()) as house:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
        ) as bar:
            task = bar.add_task("", total=len(files))
            for path, name in files:
                bar.update(task, description=escape(name[-28:]))
                try:
                    stored = await house.ingestion.process_document(path, empresa_id, name=name, force=force)
                except DocumentError as error:
                    failed.append(str(error))
                else:
                    counts[stored.status] += 1
                    chunks += stored.chunks if stored.status != "unchanged" else 0
                bar.advance(task)
        if counts["created"] + counts["replaced"]:
            await house.trail.write(entry(empresa_id, "ingest", results=counts["created"] + counts["replaced"]))
    _summary(counts, chunks, failed)
    return SOME_FAILED if failed else 0


def _summary(counts: Counter[str], chunks: int, failed: list[str]) -> None:
    new, again, same = counts["created"], counts["replaced"], counts["unchanged"]
    out.print(
        tr(
            f"{count(new, 'nuevo', 'nuevos')}, {count(again, 'actualizado', 'actualizados')}, {same} sin cambios · "
            f"{count(chunks, 'chunk', 'chunks')} con su embedding",
            f"{new} new, {again} updated, {same} unchanged · {count(chunks, 'chunk', 'chunks')} with their embedding",
        )
    )
    for line in failed:
        err.print(f"✗ {line}", style="red")
