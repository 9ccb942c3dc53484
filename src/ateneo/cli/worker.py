"""`ateneo worker`: keeps the embeddings up to date, until Ctrl-C or SIGTERM."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from ateneo.cli.runtime import err, finishing, out, run_or_exit
from ateneo.db.pool import Database
from ateneo.embedding.batch import Batch
from ateneo.embedding.locks import ReadWriteLock
from ateneo.embedding.queue import usual_concurrency
from ateneo.embedding.worker import Worker
from ateneo.errors import AteneoError, DatabaseUnavailable
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_embedding_service, make_models
from ateneo.factories.ingestion import chunk_sizes, ingestion_options, make_job_engine
from ateneo.i18n import count, number, tr
from ateneo.ingestion.job_engine import JobEngine
from ateneo.ingestion.service import IngestionService
from ateneo.settings import Settings, load
from ateneo.sources.service import SourceService
from ateneo.sources.worker import SourceWorker

_LINE_EVERY_S = 10.0
_SPARE_CONNECTIONS = 6


def worker(
    once: Annotated[
        bool, typer.Option("--once", help=tr("Termina cuando no queda nada por hacer.", "Ends when nothing is left."))
    ] = False,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=64, help=tr("Tandas a la vez.", "Batches at a time."))
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, max=5000, help=tr("Chunks por tanda.", "Chunks a batch."))
    ] = None,
) -> None:
    run_or_exit(_run(once, concurrency, batch_size), logged=True)


async def _run(once: bool, concurrency: int | None, batch_size: int | None) -> None:
    settings = load()
    batches = concurrency or usual_concurrency(make_embedding_service(settings), settings.embedding_concurrency)
    settings = settings.model_copy(
        update={
            "embedding_concurrency": max(batches, settings.embedding_concurrency if concurrency is None else batches),
            "pool_size": max(settings.pool_size, batches + 3 * settings.worker_jobs + _SPARE_CONNECTIONS),
        }
    )
    models = make_models(settings)
    screen = _Screen(models.main.model)
    async with await _database(settings, screen, once) as db:
        lock = ReadWriteLock()
        uploads = make_job_engine(settings, IngestionService(db, models, **ingestion_options(settings)), lock)
        work = Worker(
            db,
            models,
            batch_size=batch_size,
            concurrency=batches,
            lease_s=settings.lease_s,
            lock=lock,
            maintenance_s=settings.maintenance_interval_s,
            threshold=settings.hnsw_threshold,
            bm25=(settings.bm25_k1, settings.bm25_b),
            on_batch=screen.batch,
            on_pause=screen.pause,
        )
        sources = SourceWorker(SourceService(db, models, **chunk_sizes(settings)))

        def stop() -> None:
            sources.stop()
            work.stop()

        try:
            with finishing(stop):
                screen.begin()  # from here on a signal ends it in peace
                if once:
                    await sources.run_once()
                    if settings.worker_jobs:
                        await uploads.run_once(db, settings.worker_jobs)
                    await work.run(once=True)
                else:
                    async with sources.running(), _reading(uploads, db, settings.worker_jobs):
                        await work.run()
        finally:
            await models.close()
    screen.end(work)


@asynccontextmanager
async def _reading(uploads: JobEngine, db: Database, concurrency: int) -> AsyncIterator[None]:
    if not concurrency:
        yield
        return
    async with uploads.running(db, concurrency):
        yield


async def _database(settings: Settings, screen: "_Screen", once: bool) -> Database:
    """A worker that is started before its database waits for it."""
    pause_s = 1.0
    while True:
        try:
            return await open_database(settings)
        except DatabaseUnavailable as error:
            if once:
                raise
            pause_s = min(2 * pause_s, 60.0)
            screen.pause(error, pause_s)
        await asyncio.sleep(pause_s)


class _Screen:
    """A line at the start, one every ten seconds while there is work, one for every pause and dead letter."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._last = time.monotonic()
        self._count = 0

    def begin(self) -> None:
        self._last = time.monotonic()
        out.print(
            tr(
                f"Worker en marcha con {self._model}. Ctrl-C para terminar.",
                f"Worker running with {self._model}. Ctrl-C ends it.",
            )
        )

    def batch(self, batch: Batch) -> None:
        for failed in batch.failed:
            later = "" if failed.dead else tr(" (se reintenta)", " (tried again later)")
            quotes = failed.loggable != failed.reason  # what a provider said may repeat the text: not for a log
            show = f"ateneo queue show {failed.chunk_id} -e {failed.empresa_id}"
            reason = tr(f"el proveedor no lo toma; dice por qué: {show}", f"the provider does not take it; why: {show}")
            name = f"{failed.empresa_id}/{failed.chunk_id}{later}"
            err.print(f"❌ {name}: {reason if quotes else failed.reason}", soft_wrap=True)
        self._count += batch.processed
        now = time.monotonic()
        if self._count and now - self._last >= _LINE_EVERY_S:
            rate = self._count / (now - self._last)
            out.print(f"{time.strftime('%H:%M:%S')}  +{count(self._count, 'chunk', 'chunks')}, {number(rate, 1)}/s")
            self._count, self._last = 0, now

    def pause(self, error: AteneoError, seconds: float) -> None:
        err.print(f"⏸️  {error.loggable} {error.remedy}".rstrip(), style="yellow", soft_wrap=True)
        err.print(tr(f"   Pruebo de nuevo en {number(seconds)} s.", f"   Trying again in {number(seconds)} s."))

    def end(self, work: Worker) -> None:
        done = work.totals
        chunks, tokens = count(done.processed, "chunk", "chunks"), count(done.tokens, "token", "tokens")
        known, failed = number(done.copied), count(done.failed, tr("fallido", "failed"), tr("fallidos", "failed"))
        out.print(
            tr(
                f"Terminado: {chunks} ({known} de textos ya conocidos), {failed}, {tokens}.",
                f"Ended: {chunks} ({known} of texts known already), {failed}, {tokens}.",
            ),
            soft_wrap=True,
        )
