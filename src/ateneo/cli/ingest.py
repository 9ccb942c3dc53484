"""`ateneo ingest`: files and folders into one company's repository."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ateneo.cli.options import EmpresaId
from ateneo.cli.reading_screen import warnings
from ateneo.cli.runtime import entry, err, out, say_error
from ateneo.cli.settings_findings import settings_file
from ateneo.container import Container
from ateneo.db.identity import ReadFile, read_files
from ateneo.errors import (
    AteneoError,
    BadArgument,
    ChunksTableRefused,
    InputError,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    SettingsError,
    TooManyJobs,
    UnknownDocument,
)
from ateneo.i18n import count, number, tr
from ateneo.ingestion.job_in_hand import InHand
from ateneo.ingestion.regular_file import open_regular
from ateneo.ingestion.sources import Source, Sources, text
from ateneo.ingestion.upload import LONGEST_SOURCE
from ateneo.language import secrets_file
from ateneo.settings import load
from ateneo.text.clean import clean
from ateneo.types import NO_REPORT, Origin
from ateneo.types.jobs import JobState
from ateneo.validation_messages import unreadable

SOME_FAILED = 3
# what is taken from a folder; a file that is named is always tried
_TEXT = (".md", ".markdown", ".txt", ".rst", ".tex", ".html", ".htm", ".xml", ".json", ".csv", ".tsv")
_OFFICE = (".pdf", ".docx", ".doc", ".odt", ".rtf", ".xlsx", ".xlsm", ".xls", ".ods", ".pptx", ".ppt", ".odp", ".epub")
_CONTAINERS = (".eml", ".msg", ".mbox", ".mht", ".mhtml", ".zip")
SUFFIXES = frozenset(_TEXT + _OFFICE + _CONTAINERS)
_FAILURES_IN_A_ROW = 2
"""So many files in a row that the provider does not answer for are the provider's trouble, and not the files'."""
_SHOWN = 10


async def ingest(
    paths: Annotated[list[Path], typer.Argument(help=tr("Archivos o carpetas.", "Files or folders."))],
    empresa_id: EmpresaId,
    source: Annotated[
        str | None,
        typer.Option("--source", help=tr("Nombre de la fuente: el de la carpeta.", "The source's name: the folder's.")),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help=tr("Borra lo que ya no está en la carpeta.", "Deletes what the folder lost.")),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help=tr("Procesa también lo que no cambió.", "Also what has not changed."))
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help=tr("Nombra la configuración leída.", "Names the settings read."))
    ] = False,
) -> int:
    listings = [listing(path) for path in paths]
    _check_settings_file(listings)
    if verbose:
        say_error(settings_file())
    if source is not None and sum(one.whole for one in listings) > 1:
        rule = tr("vale para una sola carpeta", "it holds for one folder")
        raise BadArgument(name="--source", value=source, rule=rule)
    if source is not None and not 0 < len(source.strip()) <= LONGEST_SOURCE:
        rule = tr(
            f"tiene de 1 a {number(LONGEST_SOURCE)} caracteres", f"it has 1 to {number(LONGEST_SOURCE)} characters"
        )
        raise BadArgument(name="--source", value=source[:40], rule=rule)
    done = _Done()
    async with await Container.open(load()) as container:
        sources = Sources(await read_files(container.db, empresa_id), source)
        named = [(one, sources.of(one.folder)) for one in listings]
        for note in dict.fromkeys(one.note for _, one in named if one.note is not None):
            say_error(note)
        files = [(path, each.folder, sources.origin(one, path)) for each, one in named for path in each.files]
        try:
            await _read(container, empresa_id, files, done, force=force)
            await _gone(container, empresa_id, named, sources, done, prune=prune)
        except (asyncio.CancelledError, AteneoError):
            _summary(done, listings, prune=prune)
            say_error(_go_on())
            raise
        finally:
            if done.changed:
                await container.audit_log.write(entry(empresa_id, "ingest", results=done.changed))
    _summary(done, listings, prune=prune)
    return SOME_FAILED if done.failed or any(one.closed for one in listings) else 0


def _check_settings_file(listings: Sequence["Listing"]) -> None:
    """Raises SettingsError for a `.env` that comes with the files: whoever made it would choose where texts and keys
    are sent."""
    found = secrets_file()
    if "ATENEO_SECRETS_FILE" in os.environ or not found.exists():
        return
    places = {Path(os.path.abspath(found)), Path(os.path.realpath(found))}  # noqa: PTH100 (a link itself, too)
    for one in listings:
        folder = Path(os.path.realpath(one.folder))
        if one.whole and any(Path(os.path.realpath(place.parent)).is_relative_to(folder) for place in places):
            detail = tr(
                f"está en la carpeta que se carga ({one.folder}) y no se lee. Movelo a otra, o si es tuyo nombralo: "
                f"ATENEO_SECRETS_FILE={found}",
                f"it lies in the folder that is read ({one.folder}), and is not heeded. Move it elsewhere, or name it "
                f"if it is yours: ATENEO_SECRETS_FILE={found}",
            )
            raise SettingsError(name=str(min(places)), detail=detail)


# --- what there is to read ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Listing:
    """What one argument names: the files of `folder`, `whole` where all of it was listed and not one file named."""

    folder: Path
    files: list[Path]
    whole: bool
    others: list[Path] = field(default_factory=list)
    """Of kinds that are not read."""
    closed: list[str] = field(default_factory=list)
    """Folders that could not be looked into."""


def listing(path: Path) -> Listing:
    """The file named, or every visible document below the folder named. Raises BadArgument where there is nothing."""
    try:
        path.stat()
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise BadArgument(name=tr("RUTA", "PATH"), value=clean(str(path))[:200], rule=unreadable(error)) from error
    whole = Path(os.path.abspath(path))  # noqa: PTH100 (a link keeps its own name)
    if not is_folder:
        return Listing(whole.parent, [whole], whole=False)
    found = Listing(whole, [], whole=True)

    def note(error: OSError) -> None:
        found.closed.append(f"{error.filename}: {unreadable(error)}")

    for root, folders, names in os.walk(whole, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for one in (Path(root, name) for name in sorted(names) if not name.startswith(".")):
            if one.suffix.lower() in SUFFIXES:
                found.files.append(one)
            else:
                found.others.append(one)
    if not found.files and not found.closed:
        rule = tr("no tiene documentos que se puedan leer", "it has no documents that can be read")
        raise BadArgument(name=tr("RUTA", "PATH"), value=clean(str(path)), rule=f"{rule}{_some(_below(found), ': ')}")
    return found


def _below(found: Listing) -> list[str]:
    return [text(one.relative_to(found.folder)) for one in found.others]


def _some(names: Sequence[str], before: str = "") -> str:
    """The first of the names, and how many more."""
    more = len(names) - _SHOWN
    end = tr(f" y {number(more)} más", f" and {number(more)} more") if more > 0 else ""
    return f"{before}{', '.join(names[:_SHOWN])}{end}" if names else ""


# --- reading it ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Done:
    """What became of the files."""

    counts: Counter[str] = field(default_factory=Counter)
    chunks: int = 0
    failed: list[str] = field(default_factory=list)
    gone: list[tuple[Source, ReadFile]] = field(default_factory=list)
    pruned: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return self.counts["created"] + self.counts["replaced"] + self.counts["updated"]


def _go_on() -> str:
    return tr(
        "Lo hecho queda guardado; el mismo comando sigue con lo que falta.",
        "What was done is kept; the same command goes on with the rest.",
    )


async def _read(
    container: Container, empresa_id: str, files: Sequence[tuple[Path, Path, Origin]], done: _Done, *, force: bool
) -> None:
    """Raises what is no single file's trouble: the database's errors, and the provider's where it fails for all."""
    unanswered = 0
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task, one = bar.add_task("", total=len(files)), bar.add_task("", total=None, visible=False)
        for path, folder, origin in files:
            bar.update(task, description=origin.path[-28:])
            bar.update(one, total=None, completed=0, visible=False)
            hand = InHand(partial(_show, bar, one))
            try:
                with open_regular(path, folder) as file:
                    stored = await container.jobs.ingest(file, empresa_id, hand, origin=origin, force=force, bulk=True)
            except (InputError, ChunksTableRefused, ProviderError) as error:
                if _is_everybodys(error) or (unanswered := _unanswered(error, unanswered)) == _FAILURES_IN_A_ROW:
                    raise
                said = str(error)
                done.failed.append(said if origin.path in said else f"{origin.path}: {said}")
            else:
                unanswered = 0
                done.counts[stored.status] += 1
                if stored.status in ("created", "replaced"):
                    done.chunks += stored.chunks
                    done.warnings += [f"{origin.path}: {one}" for one in warnings(stored.reading or NO_REPORT)]
            bar.advance(task)


def _show(bar: Progress, task: TaskID, state: JobState, embedded: int, chunks: int | None) -> None:
    names: dict[str, str] = {
        "reading": tr("leyendo", "reading"),
        "chunking": tr("cortando", "chunking"),
        "embedding": tr("embeddings", "embedding"),
    }
    bar.update(task, description=f"  {names[state]}", completed=embedded, total=chunks, visible=True)


def _is_everybodys(error: AteneoError) -> bool:
    """Whether no other file would fare better."""
    return isinstance(error, ProviderRejected | TooManyJobs) or (
        isinstance(error, BadArgument) and error.fields.get("name") == "empresa_id"
    )


def _unanswered(error: AteneoError, before: int) -> int:
    return before + 1 if isinstance(error, ProviderError) and not isinstance(error, ProviderRefusedInput) else before


async def _gone(
    container: Container,
    empresa_id: str,
    named: Sequence[tuple[Listing, Source]],
    sources: Sources,
    done: _Done,
    *,
    prune: bool,
) -> None:
    """Documents of these folders whose files are gone; deleted with `prune`, where all of the folder could be seen."""
    for each, source in named:
        if not each.whole:
            continue
        missing = sources.gone(source, each.files + each.others)
        if prune and each.files and not each.closed:
            for one in missing:
                with suppress(UnknownDocument):  # somebody was quicker
                    await container.ingestion.delete_document(empresa_id, one.document_id)
                await container.audit_log.write(entry(empresa_id, "documents_delete", target=one.document_id))
                done.pruned += 1
        else:
            done.gone += [(source, one) for one in missing]


# --- what is said of it -------------------------------------------------------------------------------------------


def _summary(done: _Done, listings: Sequence[Listing], *, prune: bool) -> None:
    new, kept = done.counts["created"], number(done.counts["unchanged"])
    again = done.counts["replaced"] + done.counts["updated"]
    parts = [
        tr(
            f"{count(new, 'nuevo', 'nuevos')}, {count(again, 'actualizado', 'actualizados')}, {kept} sin cambios",
            f"{number(new)} new, {number(again)} updated, {kept} unchanged",
        )
    ]
    if late := done.counts["superseded"]:
        parts.append(
            tr(f"{number(late)} que otra carga posterior reemplazó", f"{number(late)} superseded by a later upload")
        )
    if done.pruned:
        parts.append(tr(count(done.pruned, "borrado", "borrados"), f"{number(done.pruned)} deleted"))
    chunks = count(done.chunks, "chunk", "chunks")
    out.print(", ".join(parts) + " · " + tr(f"{chunks} con su embedding", f"{chunks} with their embedding"))
    others = [name for one in listings for name in _below(one)]
    if others:
        kinds = tr("Sin leer, por su tipo", "Not read, for their kind")
        err.print(Text(f"{kinds} ({number(len(others))}): {_some(others)}"), soft_wrap=True)
    if done.gone:
        names = _some([f"{source.name}: {one.external_id}" for source, one in done.gone])
        how = (
            ""
            if prune
            else tr(f" `--prune` {'lo' if len(done.gone) == 1 else 'los'} borra.", " `--prune` deletes them.")
        )
        gone = count(len(done.gone), "documento", "documentos")
        line = tr(f"{gone} cuyo archivo ya no está: {names}.{how}",
                  f"Documents whose files are gone ({number(len(done.gone))}): {names}.{how}")  # fmt: skip
        err.print(Text(line), soft_wrap=True)
    for line in done.warnings:
        err.print(Text(f"! {clean(line)}"), soft_wrap=True)
    for line in [*done.failed, *(name for one in listings for name in one.closed)]:
        say_error(f"✗ {line}", style="red")
