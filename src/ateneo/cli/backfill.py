"""`ateneo backfill`, and the guide's script `python -m scripts.migrate_embeddings`: the same command."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ateneo.cli import backfill_screen as screen
from ateneo.cli.json_output import print_json
from ateneo.cli.runtime import (
    INTERRUPTED,
    answered,
    described,
    err,
    finishing,
    means_yes,
    nobody_answers,
    out,
    prepare,
)
from ateneo.cli.usage import Commands, run
from ateneo.db.pool import Database
from ateneo.embedding.backfill import Backfill, BackfillPlan, BackfillReport
from ateneo.embedding.service import EmbeddingService
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models
from ateneo.i18n import tr
from ateneo.settings import Settings, load

SOME_FAILED = 3
GUIDE = "python -m scripts.migrate_embeddings"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked on the command line. `program` is how the user called us."""

    program: str
    empresa_id: str | None
    limit: int | None
    dry_run: bool
    yes: bool
    as_json: bool
    batch_size: int | None
    concurrency: int | None

    @property
    def again(self) -> str:
        """The command that goes on where this one ended."""
        only = f" --empresa-id {shlex.quote(self.empresa_id)}" if self.empresa_id is not None else ""
        return self.program + only


def command(program: str) -> Callable[..., Coroutine[Any, Any, int]]:
    """The command for typer. Made in a function because its help is text: it needs the language to be known."""
    from ateneo.cli.options import AsJson, OneEmpresa, Yes

    async def backfill(
        empresa_id: OneEmpresa = None,
        limit: Annotated[
            int | None, typer.Option("--limit", help=tr("Máximo de chunks a procesar.", "At most this many chunks."))
        ] = None,
        dry_run: Annotated[
            bool,
            typer.Option("--dry-run", help=tr("Solo muestra qué haría y qué costaría.", "Only shows what and cost.")),
        ] = False,
        yes: Yes = False,
        as_json: AsJson = False,
        batch_size: Annotated[
            int | None,
            typer.Option("--batch-size", help=tr("Chunks por tanda, 1 a 5000.", "Chunks a page, 1 to 5000.")),
        ] = None,
        concurrency: Annotated[
            int | None, typer.Option("--concurrency", help=tr("Tandas a la vez, 1 a 64.", "Pages at a time, 1 to 64."))
        ] = None,
    ) -> int:
        options = Options(program, empresa_id, limit, dry_run, yes, as_json, batch_size, concurrency)
        return await _run(options)

    return backfill


backfill = command("ateneo backfill")


def main(argv: Sequence[str] | None = None) -> None:
    """The guide's script. Leaves the process with 0, 1, 2, 3 (some chunks failed) or 130 (interrupted)."""
    prepare()
    app = Commands()
    app.command(help=tr("Genera los embeddings que faltan.", "Makes the missing embeddings."))(command(GUIDE))
    run(app, argv, GUIDE)


async def _run(options: Options) -> int:
    settings = load()
    if options.concurrency is not None:
        settings = settings.model_copy(update={"embedding_concurrency": max(1, options.concurrency)})
    if not options.as_json:
        screen.banner()
    async with await open_database(settings) as db, make_models(settings) as models:
        embedding = await models.present(db)
        work = _backfill(db, embedding, settings, options)
        if not options.as_json:
            screen.model(embedding.provider, embedding.model)
        plan = await _plan(work, embedding, options)
        if options.dry_run:
            return _show_plan(plan, embedding, options)
        if not options.as_json:
            if plan.chunks == 0:
                screen.nothing_to_do()
                return 0
            screen.estimate(plan, embedding)
        if not options.yes and not _confirmed(options):
            return 1
        on_index = None if options.as_json else screen.index_news
        with finishing(work.stop), screen.progress(plan.chunks, quiet=options.as_json) as on_progress:
            report = await work.run(options.empresa_id, options.limit, on_progress, on_index)
    return _show_report(report, embedding, options)


def _backfill(db: Database, embedding: EmbeddingService, settings: Settings, options: Options) -> Backfill:
    return Backfill(
        db,
        embedding,
        batch_size=options.batch_size,
        concurrency=options.concurrency,
        lease_s=settings.lease_s,
        threshold=settings.hnsw_threshold,
    )


async def _plan(work: Backfill, embedding: EmbeddingService, options: Options) -> BackfillPlan:
    """Tokens are counted where somebody is shown them, and what they cost is in question."""
    count = options.dry_run or (not options.yes and embedding.price != 0)
    waiting = tr("Contando...", "Counting...")
    with err.status(waiting):
        plan = await work.plan(options.empresa_id, options.limit, count_tokens=count)
    if not options.as_json:
        screen.pending(plan, options.empresa_id)
    return plan


def _show_plan(plan: BackfillPlan, embedding: EmbeddingService, options: Options) -> int:
    if not options.as_json:
        screen.dry_run(plan, embedding)
        return 0
    sample = [
        {"chunk_id": chunk.chunk_id, "empresa_id": chunk.empresa_id, "preview": screen.preview(chunk.contenido)}
        for chunk in plan.sample
    ]
    print_json(_head(embedding, options) | dataclasses.asdict(plan) | {"sample": sample})
    return 0


def _head(embedding: EmbeddingService, options: Options) -> dict[str, object]:
    return {
        "empresa_id": options.empresa_id,
        "dry_run": options.dry_run,
        "provider": embedding.provider,
        "model": embedding.model,
    }


def _confirmed(options: Options) -> bool:
    """Asks. An answer may also come through a pipe; none at all is an error, not a no."""
    if options.as_json:
        raise nobody_answers()
    agreed = means_yes(answered(tr("\n¿Continuar? [y/N]: ", "\nContinue? [y/N]: "), out))
    if not agreed:
        out.print(tr("❌ Migración cancelada", "❌ Migration cancelled"))
    return agreed


def _show_report(report: BackfillReport, embedding: EmbeddingService, options: Options) -> int:
    if options.as_json:
        fields = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
        fields["failed"] = [dataclasses.asdict(chunk) for chunk in report.failed]
        fields["stopped"] = None if report.stopped is None else described(report.stopped)
        print_json(_head(embedding, options) | fields | {"rate": report.rate, "resume": options.again})
    else:
        sys.stdout.flush()
        screen.summary(report, embedding, options.again)
    if report.stopped is not None:
        return report.stopped.exit_code
    if report.interrupted:
        return INTERRUPTED
    return SOME_FAILED if report.failed else 0
