"""`ateneo doctor`: checks the installation from the settings to the model, and says what to do."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import typer

from ateneo.cli import reader_findings, schema_screen, settings_findings
from ateneo.cli.finding import Finding, show
from ateneo.cli.logins import remedy_of
from ateneo.cli.runtime import out
from ateneo.db import adopt, generations, health, pgvector, sources
from ateneo.db.pool import Database
from ateneo.embedding import switch
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import AteneoError, GenerationMismatch
from ateneo.factories.databases import model_difference, open_database
from ateneo.factories.embedders import make_embedding_service, make_models
from ateneo.i18n import count, number, tr
from ateneo.indexing import maintenance
from ateneo.operations.readiness import check_ready
from ateneo.settings import Settings, load
from ateneo.types import Generation
from ateneo.types.sources import SourceFault

_GOOD_RECALL = 0.99


async def doctor(
    recall: Annotated[
        bool,
        typer.Option("--recall", help=tr("Mide también el recall, por empresa.", "Measures recall too, by company.")),
    ] = False,
) -> int:
    broken, remarks = False, 0
    async for finding in examine(recall=recall):
        show(finding)
        broken |= finding.ok is False
        remarks += finding.ok is None
    if broken:
        return 1
    if remarks:
        noticed = count(remarks, tr("cosa", "thing"), tr("cosas", "things"))
        out.print(tr(f"Funciona; {noticed} para tener en cuenta (!).", f"It works; {noticed} to bear in mind (!)."))
        return 0
    out.print(tr("Todo en orden.", "All is well."), style="green")
    return 0


async def examine(*, recall: bool = False) -> AsyncIterator[Finding]:
    """The checks, in the order in which a new user meets them; with `recall` also how true each company's index is."""
    settings = load()
    yield Finding(True, settings_findings.settings_file())
    for finding in settings_findings.unknown():
        yield finding
    yield await reader_findings.confinement()
    embedding: EmbeddingService | None = None
    try:
        embedding = make_embedding_service(settings)
        made = await embedding.generate_embedding("¿Funciona el modelo?")
        name = f"{embedding.provider}/{embedding.model}"
        dims = count(len(made.embedding), tr("dimensión", "dimension"), tr("dimensiones", "dimensions"))
        yield Finding(True, f"Embeddings: {name}, {dims}.")
    except AteneoError as error:
        yield Finding(False, f"Embeddings: {error.message}", error.remedy)
    yield await settings_findings.chat(settings, embedding)
    try:
        async with await open_database(settings) as db:
            models = None if embedding is None else make_models(settings, embedding)
            for finding in settings_findings.others(settings, db):
                yield finding
            async for finding in _database(settings, db, models):
                yield finding
            if embedding is not None and await schema_screen.is_upgraded(db):
                async for finding in _model_in_use(db, settings, embedding):
                    yield finding
            if await schema_screen.is_upgraded(db):
                for fault in await sources.lacking(db):
                    yield _of_source(fault)
            if recall:
                async for finding in _recall(db):
                    yield finding
    except AteneoError as error:
        yield Finding(False, error.message, remedy_of(error))
    if embedding is not None:
        await embedding.close()


def _of_pgvector(version: tuple[int, ...]) -> str:
    """What an older pgvector is not fit for, and what Ateneo does about it; "" for one that is fit for all."""
    if version < pgvector.PARALLEL_BUILDS:
        return tr(
            f"pgvector {pgvector.written(version)} puede dañar memoria al armar un índice HNSW con varios procesos "
            "(CVE-2026-3172): Ateneo los arma con uno solo.",
            f"pgvector {pgvector.written(version)} may damage memory where several processes build an HNSW index "
            "(CVE-2026-3172): Ateneo builds them with one.",
        )
    if version < pgvector.SAFE_VACUUM:
        return tr(
            f"pgvector {pgvector.written(version)} puede perder vecinos de un índice HNSW en un VACUUM: medilo con "
            "`ateneo index status --recall`.",
            f"pgvector {pgvector.written(version)} may lose neighbours of an HNSW index in a VACUUM: measure it with "
            "`ateneo index status --recall`.",
        )
    return ""


def _of_source(fault: SourceFault) -> Finding:
    """Whether a table of the product's is followed."""
    name = tr(f"Fuente «{fault.name}»", f"Source “{fault.name}”")
    if fault.gone:
        return Finding(False, tr(f"{name}: su tabla ya no está.", f"{name}: its table is gone."),
                       f"ateneo sources remove {fault.name}")  # fmt: skip
    if fault.triggers:
        missing = count(fault.triggers, "trigger", "triggers")
        return Finding(False, tr(f"{name}: faltan {missing}.", f"{name}: {missing} missing."),
                       f"ateneo sources check {fault.name}")  # fmt: skip
    if fault.error:
        return Finding(False, f"{name}: {fault.error}", f"ateneo sources check {fault.name}")
    return Finding(True, tr(f"{name}: al día con su tabla.", f"{name}: follows its table."))


async def _served(settings: Settings, direct: Database) -> AsyncIterator[Finding]:
    """What DATABASE_URL leads to, where the rest is looked at by ATENEO_DIRECT_URL."""
    if settings.direct_url is None or settings.database_url is None:
        return
    async with await open_database(settings, guarded=True) as db:
        for finding in _way(db):
            yield finding
        if not await health.same_database(db, direct):
            what = tr(
                f"ATENEO_DIRECT_URL ({direct.where}) y DATABASE_URL ({db.where}) no llevan a la misma base.",
                f"ATENEO_DIRECT_URL ({direct.where}) and DATABASE_URL ({db.where}) lead to different databases.",
            )
            yield Finding(False, what, "docs/how-to/database-url.md")


async def _database(settings: Settings, db: Database, models: Models | None) -> AsyncIterator[Finding]:
    async with db.acquire() as connection:
        await adopt.check_server(connection)
    server, extension = await health.versions(db)
    yield Finding(True, f"PostgreSQL {server}, pgvector {extension or '–'} ({db.where}).")
    if extension and (what := _of_pgvector(pgvector.numbers(extension))):
        remedy = tr("Actualizalo en el servidor y ejecutá: ALTER EXTENSION vector UPDATE;",
                    "Update it on the server, then run: ALTER EXTENSION vector UPDATE;")  # fmt: skip
        yield Finding(None, what, remedy)
    for finding in _way(db):
        yield finding
    async for finding in _served(settings, db):
        yield finding
    schema = await schema_screen.findings(db)
    for finding in schema:
        yield finding
    if any(finding.ok is False for finding in schema):
        return
    active = await generations.active(db)
    if active is not None and models is not None:
        try:
            found = await check_ready(db, models)
            if found is not None and found.generation != active:
                what = tr(f"Se busca con {found.generation.label}, y ya está activo {active.label}.",
                          f"Searches use {found.generation.label}, and {active.label} is active.")  # fmt: skip
                remedy = tr("Agregá su clave o dirección a la configuración: docs/how-to/switch-model.md.",
                            "Add its key or address to the settings: docs/how-to/switch-model.md.")  # fmt: skip
                yield Finding(None, what, remedy)
        except GenerationMismatch as error:
            yield Finding(False, error.message, error.remedy)
    if models is not None:
        for one in await switch.status(db, models):
            if one.filled.generation.state == "filling" and not one.at_work:
                yield _unfinished(one)
    async for finding in _record(db, models, active):
        yield finding


def _unfinished(one: switch.Status) -> Finding:
    generation, missing = one.filled.generation, one.filled.missing
    lacking = count(missing, tr("chunk sin su vector", "chunk without its vector"),
                    tr("chunks sin su vector", "chunks without their vector"))  # fmt: skip
    what = tr(f"Un cambio a {generation.label} quedó sin terminar: {lacking}.",
              f"A switch to {generation.label} was not finished: {lacking}.")  # fmt: skip
    drop = f"ateneo embeddings prune --generation {generation.number}"
    remedy = tr(f"Para seguir: ateneo embeddings switch · Para dejarlo: {drop}",
                f"To go on: ateneo embeddings switch · To leave it: {drop}")  # fmt: skip
    return Finding(None, what, remedy)


def _way(db: Database) -> Iterator[Finding]:
    """What stands between Ateneo and the server."""
    if db.shared:
        what = tr("Hay un pooler antes de la base: sus sesiones quedan limpias; los índices van por otra vía.",
                  "A pooler stands before the database: its sessions stay clean; indexes go another way.")  # fmt: skip
        yield Finding(None, what, "docs/how-to/database-url.md")
    for name in db.unheeded:
        what = tr(f"DATABASE_URL: el controlador no puede cumplir {name}=require, así que no protege.",
                  f"DATABASE_URL: the driver cannot honour {name}=require, so it does not protect.")  # fmt: skip
        yield Finding(None, what, "sslmode=verify-full&sslrootcert=… (docs/how-to/database-url.md)")


async def _model_in_use(db: Database, settings: Settings, embedding: EmbeddingService) -> AsyncIterator[Finding]:
    different = await model_difference(db, settings, embedding)
    if different is not None:
        yield Finding(None, different.what, different.remedy)


async def _recall(db: Database) -> AsyncIterator[Finding]:
    async for measured in maintenance.measure_all(db):
        how = "HNSW" if measured.index_name else tr("exacta", "exact")
        what = f"Recall@{measured.k} {measured.empresa_id}: {number(measured.recall, 3)} ({how})."
        good = measured.recall >= _GOOD_RECALL
        yield Finding(good or None, what, "" if good else "ateneo index rebuild --empresa-id " + measured.empresa_id)


async def _record(db: Database, models: Models | None, active: Generation | None) -> AsyncIterator[Finding]:
    fixed = await health.guide_column(db)
    dims = models.main.dims if models else None
    unfit = fixed not in (None, "vector") and dims is not None and fixed != f"vector({dims})"
    if unfit and await generations.column_dims(db) is None:
        what = tr(f"knowledge_chunks.embedding es {fixed} y los vectores del modelo son vector({dims}).",
                  f"knowledge_chunks.embedding is {fixed} and the model's vectors are vector({dims}).")  # fmt: skip
        yield Finding(False, what, "SELECT ateneo.widen_column(); · ateneo backfill")
    else:
        yield Finding(True, f"knowledge_chunks.embedding: {fixed}.")
    census = await health.census(db)
    vectors = await health.indexed_vectors(db, active.number) if active else 0
    index = tr(f"Índice: {count(census.words, 'chunk', 'chunks')} por palabras, {number(vectors)} por significado.",
               f"Index: {count(census.words, 'chunk', 'chunks')} by words, {number(vectors)} by meaning.")  # fmt: skip
    short = await health.words_missing(db)
    named = ", ".join(f"{one.empresa_id} {number(one.words)}/{number(one.chunks)}" for one in short)
    lacking = tr(f" Le faltan chunks de: {named}.", f" It lacks chunks of: {named}.") if short else ""
    yield Finding(not short, index + lacking, "ateneo db upgrade" if short else "")
    async for finding in _index_faults(db):
        yield finding
    counts = tr(
        f"{count(census.companies, 'empresa', 'empresas')}, {count(census.documents, 'documento', 'documentos')}, "
        f"{count(census.chunks, 'chunk', 'chunks')}.",
        f"{count(census.companies, 'company', 'companies')}, {count(census.documents, 'document', 'documents')}, "
        f"{count(census.chunks, 'chunk', 'chunks')}.",
    )
    yield Finding(True, counts)
    if census.empty:
        what = count(census.empty, "chunk ", "chunks ") + tr("sin texto en la columna contenido: no se encuentran.",
                                                             "without text in contenido: not to be found.")  # fmt: skip
        remedy = tr("Si tu texto está en otra columna, que tu aplicación lo escriba también en contenido.",
                    "If your text is in another column, have your application write it to contenido, too.")  # fmt: skip
        yield Finding(None, what, remedy)
    if census.pending:
        what = count(census.pending, "chunk ", "chunks ") + tr("sin embedding.", "without an embedding.")
        remedy = tr("Los hace `ateneo backfill` o `ateneo worker`; los rechazados: `ateneo queue list`.",
                    "`ateneo backfill` or `ateneo worker` makes them; those refused: `ateneo queue list`.")  # fmt: skip
        yield Finding(None, what, remedy)


async def _index_faults(db: Database) -> AsyncIterator[Finding]:
    faults = await health.index_faults(db)
    chunk, document = ("chunk ", "chunks "), (tr("documento ", "document "), tr("documentos ", "documents "))
    upgrade = "ateneo db upgrade"
    for found, names, ok, what, remedy in (
        (faults.unindexed, chunk, False,
         tr("cuyas palabras faltan en el índice, o están dañadas.", "whose words the index lacks, or has damaged."),
         upgrade),
        (faults.orphans, chunk, False,
         tr("que ya no están, con restos en el índice.", "that are gone, with remains in the index."), upgrade),
        (faults.emptied, document, None,
         tr("sin ningún chunk en knowledge_chunks.", "without a chunk in knowledge_chunks."),
         tr("Si se borraron a mano, ingerí sus archivos de nuevo.",
            "If they were deleted by hand, ingest their files again.")),
        (faults.unkeyed, chunk, None,
         tr("con id y empresa_id de más de 2000 bytes: no se indexan.",
            "with id and empresa_id of over 2,000 bytes: not indexed."),
         tr("Acortá esos id.", "Shorten those ids.")),
        (faults.cut, chunk, None,
         tr("demasiado largos: se buscan solo su comienzo y sus palabras más frecuentes.",
            "too long: only their beginning and their most frequent words are searched."),
         tr("Dividí esos textos en chunks más cortos.", "Divide those texts into shorter chunks.")),
    ):  # fmt: skip
        if found:
            yield Finding(ok, count(found, *names) + what, remedy)
