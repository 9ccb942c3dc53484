"""What the backfill shows: the guide's lines, with a progress bar where there is a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ateneo.cli.runtime import err, out, report
from ateneo.lang import tr
from ateneo.providers.prices import PRICES_AS_OF
from ateneo.services.backfill import BackfillPlan, BackfillReport, IndexNews, Outgrown, Progress
from ateneo.services.embedding import EmbeddingService

_RULE = "=" * 60
_SECONDS_BETWEEN_LINES = 10.0
_FAILURES_SHOWN = 20


def say(text: str) -> None:
    out.print(text, soft_wrap=True)


def banner() -> None:
    say(_RULE)
    say(tr("🚀 MIGRACIÓN DE EMBEDDINGS PARA KNOWLEDGE CHUNKS", "🚀 MIGRATION OF EMBEDDINGS FOR KNOWLEDGE CHUNKS"))
    say(_RULE)
    say(tr("\n📡 Conectando a la base de datos...", "\n📡 Connecting to the database..."))


def model(provider: str, name: str) -> None:
    say(tr("🤖 Inicializando servicio de embeddings...", "🤖 Starting the embedding service..."))
    say(f"   Provider: {provider}")
    say(f"   Model: {name}")
    say(tr("\n📊 Obteniendo chunks sin embeddings...", "\n📊 Looking for chunks without embeddings..."))


def pending(plan: BackfillPlan, empresa_id: str | None) -> None:
    if plan.chunks:
        say(tr(f"   Total chunks a procesar: {plan.chunks}", f"   Chunks to process: {plan.chunks}"))
    if plan.chunks < plan.pending:
        say(tr(f"   De un total pendiente de: {plan.pending}", f"   Out of those pending: {plan.pending}"))
    if plan.skipped:
        say(
            tr(
                f"   Omitidos por cortos (hasta 10 caracteres): {plan.skipped}",
                f"   Skipped as too short (up to 10 characters): {plan.skipped}",
            )
        )
    if empresa_id is not None:
        say(tr(f"   Filtrado por empresa: {empresa_id}", f"   Only the company: {empresa_id}"))


def nothing_to_do() -> None:
    say(tr("✅ No hay chunks pendientes de procesar!", "✅ No chunks are waiting to be processed!"))


def dry_run(plan: BackfillPlan, embedding: EmbeddingService) -> None:
    if plan.chunks == 0:
        nothing_to_do()
        return
    say(tr("\n🔍 DRY RUN - No se guardarán cambios", "\n🔍 DRY RUN - No changes will be stored"))
    say(tr(f"   Se procesarían {plan.chunks} chunks", f"   {plan.chunks} chunks would be processed"))
    say(_cost(plan.cost_usd, plan.tokens, embedding))
    say(tr("\n   Muestra de chunks:", "\n   Sample of chunks:"))
    for chunk in plan.sample:
        out.print(
            f"   - [{chunk.chunk_id[:8]}...] {preview(chunk.contenido)}...",
            no_wrap=True,
            overflow="ellipsis",
            crop=True,
        )


def preview(contenido: str) -> str:
    """The beginning of a text on one line."""
    return " ".join(contenido[:100].split())


def estimate(plan: BackfillPlan, embedding: EmbeddingService) -> None:
    say(tr(f"\n⚠️  Se van a procesar {plan.chunks} chunks", f"\n⚠️  {plan.chunks} chunks will be processed"))
    if plan.tokens is not None or embedding.price == 0:
        say(_cost(plan.cost_usd, plan.tokens, embedding))


def _cost(cost: float | None, tokens: int | None, embedding: EmbeddingService, *, paid: bool = False) -> str:
    label = tr("Costo según los tokens", "Cost by the tokens") if paid else tr("Costo estimado", "Estimated cost")
    counted = "" if tokens is None else f", {tokens} tokens"
    if cost is None:
        unknown = tr(f"desconocido (no sé el precio de {embedding.model}", f"unknown (no price of {embedding.model}")
        return f"   {label}: {unknown}{counted})"
    if embedding.price == 0:
        why = tr("modelo local, gratis", "local model, free") + counted
    else:
        why = f"{embedding.model}{counted}, " + tr(f"precio de {PRICES_AS_OF}", f"price of {PRICES_AS_OF}")
    return f"   {label}: ~${cost:.{2 if cost >= 0.01 or cost == 0 else 6}f} USD ({why})"


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Gives what is to be told of every page: a bar on a terminal, a line now and then elsewhere."""
    console = err if quiet else out
    if not quiet:
        say(tr("\n🔄 Iniciando migración...\n", "\n🔄 Starting the migration...\n"))
    if not console.is_terminal:
        yield (lambda _: None) if quiet else _Lines(total).tell
        return
    errors = tr("errores", "errors")
    columns = (
        TextColumn("⏳"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total} {task.percentage:.1f}%"),
        TextColumn(f"{errors} {{task.fields[failed]}} · {{task.fields[rate]:.1f}} chunks/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    with Bar(*columns, console=console, expand=True) as bar:
        task = bar.add_task("", total=total, failed=0, rate=0.0)

        def tell(now: Progress) -> None:
            rate = now.processed / max(time.monotonic() - begun, 1e-3)
            bar.update(task, completed=_seen(now), failed=now.failed, rate=rate)

        yield tell


def index_news(news: IndexNews) -> None:
    """An index that goes before a large load, or comes back behind it."""
    if isinstance(news, Outgrown):
        say(
            tr(
                f"📦 {news.empresa_id}: {news.waiting} pendientes y {news.task.vectors} vectores en su índice.\n"
                "   Lo quito y lo rehago al final: es más rápido. Mientras tanto sus búsquedas\n"
                "   leen todos los vectores: más lentas, igual de exactas.",
                f"📦 {news.empresa_id}: {news.waiting} pending and {news.task.vectors} vectors in its index.\n"
                "   It is dropped and built anew at the end, which is faster. Until then its\n"
                "   searches read all vectors: slower, and exact.",
            )
        )
    elif news.action == "create" and news.done:
        say(
            tr(
                f"🧱 Índice de {news.empresa_id} rehecho con {news.vectors} vectores en {news.seconds:.1f}s",
                f"🧱 Index of {news.empresa_id} built anew with {news.vectors} vectors in {news.seconds:.1f}s",
            )
        )


class _Lines:
    """Progress for logs and pipes: the guide's line, at most every ten seconds and at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = self._last = time.monotonic()

    def tell(self, now: Progress) -> None:
        clock = time.monotonic()
        if _seen(now) < self._total and clock - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = clock
        elapsed = clock - self._begun
        done, share = _seen(now), 100 * _seen(now) / max(self._total, 1)
        rate = now.processed / max(elapsed, 1e-3)
        say(
            tr(
                f"⏳ Progreso: {done}/{self._total} ({share:.1f}%) | Errores: {now.failed} | "
                f"Velocidad: {rate:.1f} chunks/s | Tiempo: {elapsed:.0f}s",
                f"⏳ Progress: {done}/{self._total} ({share:.1f}%) | Errors: {now.failed} | "
                f"Speed: {rate:.1f} chunks/s | Time: {elapsed:.0f}s",
            )
        )


def _seen(now: Progress) -> int:
    return now.processed + now.failed + now.changed


def summary(done: BackfillReport, embedding: EmbeddingService, again: str) -> None:
    """The guide's summary; then, where something is left, why and how to go on."""
    say("\n" + _RULE)
    say(tr("📈 RESUMEN DE MIGRACIÓN", "📈 SUMMARY OF THE MIGRATION"))
    say(_RULE)
    say(tr(f"   ✅ Procesados exitosamente: {done.processed}", f"   ✅ Processed successfully: {done.processed}"))
    say(tr(f"   ❌ Errores: {len(done.failed)}", f"   ❌ Errors: {len(done.failed)}"))
    if done.copied:
        say(
            tr(
                f"   ♻️  De textos ya conocidos, sin costo: {done.copied}",
                f"   ♻️  Of texts known already, at no cost: {done.copied}",
            )
        )
    if done.changed:
        say(
            tr(
                f"   ✏️  Editados mientras se procesaban: {done.changed}",
                f"   ✏️  Edited while they were processed: {done.changed}",
            )
        )
    say(tr(f"   ⏱️  Tiempo total: {done.seconds:.1f}s", f"   ⏱️  Total time: {done.seconds:.1f}s"))
    say(tr(f"   📊 Velocidad promedio: {done.rate:.1f} chunks/s", f"   📊 Average speed: {done.rate:.1f} chunks/s"))
    if done.cost_usd:
        say(_cost(done.cost_usd, done.tokens, embedding, paid=True))
    left = "?" if done.remaining is None else done.remaining
    say(tr(f"\n   📋 Chunks aún sin embedding: {left}", f"\n   📋 Chunks still without embedding: {left}"))
    _failures(done)
    _ending(done, again)


def _failures(done: BackfillReport) -> None:
    for chunk in done.failed[:_FAILURES_SHOWN]:
        err.print(f"   ❌ {chunk.chunk_id} ({chunk.empresa_id}): {chunk.reason}", soft_wrap=True)
    more = len(done.failed) - _FAILURES_SHOWN
    if more > 0:
        err.print(tr(f"   ... y {more} más; --json los da todos.", f"   ... and {more} more; --json gives them all."))


def _ending(done: BackfillReport, again: str) -> None:
    if done.set_aside:
        text = tr(
            f"   🧱 Índices que faltan rehacer: {len(done.set_aside)}. Los hace `ateneo index tune`.",
            f"   🧱 Indexes still to be built: {len(done.set_aside)}. `ateneo index tune` does it.",
        )
        say(text)
    for empresa_id in done.over_budget:
        text = tr(
            f"   ⏸️  «{empresa_id}» gastó su presupuesto del mes: `ateneo budget show`",
            f"   ⏸️  “{empresa_id}” has spent its budget of the month: `ateneo budget show`",
        )
        say(text)
    go_on = tr(f"Para seguir: {again}", f"To go on: {again}")
    if done.stopped is not None:
        report(done.stopped)
        at = (
            "" if done.stopped_at is None else tr(f" en el chunk {done.stopped_at}", f" at the chunk {done.stopped_at}")
        )
        err.print(
            tr(
                f"   Se detuvo{at}. Quedaron guardados {done.processed} embeddings. {go_on}",
                f"   It stopped{at}. {done.processed} embeddings are stored. {go_on}",
            ),
            soft_wrap=True,
        )
    elif done.interrupted:
        err.print(
            tr(f"⏸️  Interrumpida; lo hecho quedó guardado. {go_on}", f"⏸️  Interrupted; what was done is kept. {go_on}"),
            soft_wrap=True,
        )
    elif done.failed:
        say(
            tr(
                f"\n⚠️  Migración completada, con errores. Para reintentarlos: {again}",
                f"\n⚠️  Migration completed, with errors. To try them again: {again}",
            )
        )
    else:
        say(tr("\n✅ Migración completada!", "\n✅ Migration completed!"))
