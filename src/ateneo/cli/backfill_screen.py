"""What the backfill shows: the guide's lines, with a progress bar where there is a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ateneo.cli.runtime import err, out, report
from ateneo.embedding.backfill import BackfillPlan, BackfillReport, IndexNews, Outgrown
from ateneo.embedding.batch import Totals
from ateneo.embedding.service import EmbeddingService
from ateneo.i18n import count, dollars, number, percent, tr
from ateneo.providers.prices import PRICES_AS_OF

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
        chunks = number(plan.chunks)
        say(tr(f"   Total chunks a procesar: {chunks}", f"   Chunks to process: {chunks}"))
    if plan.chunks < plan.pending:
        waiting = number(plan.pending)
        say(tr(f"   De un total pendiente de: {waiting}", f"   Out of those pending: {waiting}"))
    if plan.skipped:
        short = tr("Omitidos por cortos (hasta 10 caracteres)", "Skipped as too short (up to 10 characters)")
        say(f"   {short}: {number(plan.skipped)}")
    if empresa_id is not None:
        say(tr(f"   Filtrado por empresa: {empresa_id}", f"   Only the company: {empresa_id}"))


def nothing_to_do() -> None:
    say(tr("✅ No hay chunks pendientes de procesar!", "✅ No chunks are waiting to be processed!"))


def dry_run(plan: BackfillPlan, embedding: EmbeddingService) -> None:
    if plan.chunks == 0:
        nothing_to_do()
        return
    say(tr("\n🔍 DRY RUN - No se guardarán cambios", "\n🔍 DRY RUN - No changes will be stored"))
    chunks = count(plan.chunks, "chunk", "chunks")
    would = "procesaría" if plan.chunks == 1 else "procesarían"
    say(tr(f"   Se {would} {chunks}", f"   {chunks} would be processed"))
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
    chunks, will = count(plan.chunks, "chunk", "chunks"), "va" if plan.chunks == 1 else "van"
    say(tr(f"\n⚠️  Se {will} a procesar {chunks}", f"\n⚠️  {chunks} will be processed"))
    if plan.tokens is not None or embedding.price == 0:
        say(_cost(plan.cost_usd, plan.tokens, embedding))


def _cost(cost: float | None, tokens: int | None, embedding: EmbeddingService, *, paid: bool = False) -> str:
    label = tr("Costo según los tokens", "Cost by the tokens") if paid else tr("Costo estimado", "Estimated cost")
    counted = "" if tokens is None else ", " + count(tokens, "token", "tokens")
    if cost is None:
        unknown = tr(f"desconocido (no sé el precio de {embedding.model}", f"unknown (no price of {embedding.model}")
        return f"   {label}: {unknown}{counted})"
    if embedding.price == 0:
        why = tr("modelo local, gratis", "local model, free") + counted
    else:
        why = f"{embedding.model}{counted}, " + tr(f"precio de {PRICES_AS_OF}", f"price of {PRICES_AS_OF}")
    return f"   {label}: ~${dollars(cost)} USD ({why})"


@contextmanager
def progress(total: int, *, quiet: bool) -> Iterator[Callable[[Totals], None]]:
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
        TextColumn("{task.fields[done]}"),
        TextColumn(f"{errors} {{task.fields[failed]}} · {{task.fields[rate]}} chunks/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    with Progress(*columns, console=console, expand=True) as bar:
        task = bar.add_task("", total=total, done=_of(0, total), failed=number(0), rate=number(0, 1))

        def tell(now: Totals) -> None:
            seen, rate = _seen(now), now.processed / max(time.monotonic() - begun, 1e-3)
            done = f"{_of(seen, total)} {_share(seen, total)}"
            bar.update(task, completed=seen, done=done, failed=number(now.failed), rate=number(rate, 1))

        yield tell


def index_news(news: IndexNews) -> None:
    """An index that goes before a large load, or comes back behind it."""
    if isinstance(news, Outgrown):
        waiting, vectors = number(news.waiting), news.task.vectors
        say(
            tr(
                f"📦 {news.empresa_id}: pendientes {waiting}; en su índice "
                + count(vectors, "vector", "vectores")
                + ".\n"
                "   Lo quito y lo rehago al final: es más rápido. Mientras tanto sus búsquedas\n"
                "   leen todos los vectores: más lentas, igual de exactas.",
                f"📦 {news.empresa_id}: {waiting} pending, and in its index "
                + count(vectors, "vector", "vectors")
                + ".\n"
                "   It is dropped and built anew at the end, which is faster. Until then its\n"
                "   searches read all vectors: slower, and exact.",
            )
        )
    elif news.action == "create" and news.done:
        vectors = news.vectors
        es, en = count(vectors, "vector", "vectores"), count(vectors, "vector", "vectors")
        took = f"{number(news.seconds, 1)} s"
        say(
            tr(
                f"🧱 Índice de {news.empresa_id} rehecho con {es} en {took}",
                f"🧱 Index of {news.empresa_id} built anew with {en} in {took}",
            )
        )


class _Lines:
    """Progress for logs and pipes: the guide's line, at most every ten seconds and at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._begun = self._last = time.monotonic()

    def tell(self, now: Totals) -> None:
        clock = time.monotonic()
        if _seen(now) < self._total and clock - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = clock
        elapsed = clock - self._begun
        done = f"{_of(_seen(now), self._total)} ({_share(_seen(now), self._total)})"
        failed, rate, took = number(now.failed), number(now.processed / max(elapsed, 1e-3), 1), number(elapsed)
        say(
            tr(
                f"⏳ Progreso: {done} | Errores: {failed} | Velocidad: {rate} chunks/s | Tiempo: {took} s",
                f"⏳ Progress: {done} | Errors: {failed} | Speed: {rate} chunks/s | Time: {took} s",
            )
        )


def _of(seen: int, total: int) -> str:
    return f"{number(seen)}/{number(total)}"


def _share(seen: int, total: int) -> str:
    return percent(seen / max(total, 1), 1)


def _seen(now: Totals) -> int:
    return now.processed + now.failed + now.changed


def summary(done: BackfillReport, embedding: EmbeddingService, again: str) -> None:
    """The guide's summary; then, where something is left, why and how to go on."""
    say("\n" + _RULE)
    say(tr("📈 RESUMEN DE MIGRACIÓN", "📈 SUMMARY OF THE MIGRATION"))
    say(_RULE)
    _line("✅", tr("Procesados exitosamente", "Processed successfully"), number(done.processed))
    _line("❌", tr("Errores", "Errors"), number(len(done.failed)))
    if done.copied:
        _line("♻️ ", tr("De textos ya conocidos, sin costo", "Of texts known already, at no cost"), number(done.copied))
    if done.changed:
        _line("✏️ ", tr("Editados mientras se procesaban", "Edited while they were processed"), number(done.changed))
    _line("⏱️ ", tr("Tiempo total", "Total time"), f"{number(done.seconds, 1)} s")
    _line("📊", tr("Velocidad promedio", "Average speed"), f"{number(done.rate, 1)} chunks/s")
    if done.cost_usd:
        say(_cost(done.cost_usd, done.tokens, embedding, paid=True))
    left = "?" if done.remaining is None else number(done.remaining)
    say("")
    _line("📋", tr("Chunks aún sin embedding", "Chunks still without embedding"), left)
    _failures(done)
    _ending(done, again)


def _line(mark: str, what: str, value: str) -> None:
    say(f"   {mark} {what}: {value}")


def _failures(done: BackfillReport) -> None:
    for chunk in done.failed[:_FAILURES_SHOWN]:
        err.print(f"   ❌ {chunk.chunk_id} ({chunk.empresa_id}): {chunk.reason}", soft_wrap=True)
    more = len(done.failed) - _FAILURES_SHOWN
    if more > 0:
        rest = number(more)
        err.print(tr(f"   ... y {rest} más; --json los da todos.", f"   ... and {rest} more; --json gives them all."))


def _ending(done: BackfillReport, again: str) -> None:
    if done.set_aside:
        text = tr(
            f"   🧱 Índices por rehacer: {number(len(done.set_aside))}. Los hace `ateneo index tune`.",
            f"   🧱 Indexes still to be built: {number(len(done.set_aside))}. `ateneo index tune` does it.",
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
                f"   Se detuvo{at}. Embeddings guardados: {number(done.processed)}. {go_on}",
                f"   It stopped{at}. Embeddings stored: {number(done.processed)}. {go_on}",
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
