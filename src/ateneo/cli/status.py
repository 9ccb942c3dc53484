"""`ateneo status`: companies, queue, workers and generations on one screen."""

from contextlib import suppress
from dataclasses import asdict

from ateneo.cli.json_output import print_json
from ateneo.cli.options import AsJson
from ateneo.cli.output import Column, table
from ateneo.cli.runtime import out
from ateneo.embedding.model_in_use import Difference
from ateneo.errors import ModelError, SettingsError
from ateneo.factories.databases import model_difference, open_database
from ateneo.factories.embedders import make_embedding_service
from ateneo.i18n import count, dollars, number, tr
from ateneo.operations.status import CompanyStatus, GenerationStatus, SystemStatus, system_status
from ateneo.settings import load

_COMPANIES_SHOWN = 20
_SILENT_S = 12.0
"""Two beats of a worker, and some."""


async def status(as_json: AsJson = False) -> None:
    settings = load()
    different: Difference | None = None
    async with await open_database(settings) as db:
        found = await system_status(db)
        with suppress(SettingsError, ModelError):  # `ateneo doctor` tells
            different = await model_difference(db, settings, make_embedding_service(settings))
    if as_json:
        print_json(asdict(found) | {"model_difference": different and asdict(different)})
        return
    if different is not None:
        out.print(f"{different.what}\n{different.remedy}", style="yellow")
    _queue(found)
    _workers(found)
    _generations(found)
    _companies(found)


def _queue(found: SystemStatus) -> None:
    queue = found.queue
    line = tr("En cola", "Queued") + f": {number(queue.pending)}"
    if queue.pending:
        leased = number(queue.leased)
        line += tr(
            f" ({leased} en curso, " + count(queue.later, "espera un reintento)", "esperan un reintento)"),
            f" ({leased} in hand, " + count(queue.later, "waits for another try)", "wait for another try)"),
        )
        line += tr(f"; la más antigua, hace {age(queue.oldest_s)}", f"; the oldest for {age(queue.oldest_s)}")
    out.print(line + ".")
    if queue.rate:
        left = tr(f"; faltan {age(found.eta_s)}", f"; {age(found.eta_s)} left") if found.eta_s else ""
        out.print(tr("Ritmo", "Rate") + f": {number(queue.rate, 1)} chunks/s{left}.")
    if queue.over_budget:
        es = count(queue.over_budget, "chunk espera", "chunks esperan")
        en = count(queue.over_budget, "chunk waits", "chunks wait")
        text = tr(
            f"* Sin presupuesto este mes: {es}. `ateneo budget show`",
            f"* Out of budget this month: {en}. `ateneo budget show`",
        )
        out.print(text, style="yellow")
    if queue.suspects:
        text = tr(
            "De a pocos, porque murió el worker que los tenía", "A few at a time, because the worker that had them died"
        )
        out.print(f"{text}: {number(queue.suspects)}.", style="yellow")
    if queue.dead:
        text = tr(
            f"Apartados con error: {number(queue.dead)}. `ateneo queue list` dice por qué.",
            f"Dead letters: {number(queue.dead)}. `ateneo queue list` says why.",
        )
        out.print(text, style="yellow")
    if found.tokens_month:
        spent = f"{count(found.tokens_month, 'token', 'tokens')}, {dollars(found.usd_month)} USD"
        out.print(tr(f"Este mes: {spent}.", f"This month: {spent}."))


def _workers(found: SystemStatus) -> None:
    states = {
        "idle": tr("en espera", "idle"),
        "working": tr("trabajando", "working"),
        "paused": tr("en pausa", "paused"),
    }
    if not found.workers and found.queue.pending > found.queue.over_budget:
        text = tr("Ningún worker en marcha: `ateneo worker`", "No worker is running: `ateneo worker`")
        out.print(text, style="yellow")
    for one in found.workers:
        note = f": {one.note}" if one.note else ""
        if one.seen_s > _SILENT_S:
            silent = tr(f"sin señales hace {age(one.seen_s)}", f"not heard of for {age(one.seen_s)}")
            out.print(f"Worker {one.host}/{one.pid}: {silent}", style="yellow")
            continue
        out.print(
            f"Worker {one.host}/{one.pid}: {states[one.state]}, {number(one.rate, 1)} chunks/s, "
            + tr(f"desde hace {age(one.up_s)}{note}", f"up for {age(one.up_s)}{note}")
        )


def _generations(found: SystemStatus) -> None:
    names = {
        "active": tr("activa", "active"),
        "filling": tr("llenándose", "filling"),
        "previous": tr("anterior", "previous"),
    }
    if not found.generations and found.companies:
        text = tr("Todavía no hay vectores: los empieza `ateneo backfill` o `ateneo worker`.",
                  "There are no vectors yet: `ateneo backfill` or `ateneo worker` begins them.")  # fmt: skip
        out.print(text, style="yellow")
    columns: list[Column[GenerationStatus]] = [
        Column("gen", lambda one: str(one.number)),
        Column(tr("modelo", "model"), lambda one: one.model),
        Column(tr("estado", "state"), lambda one: names.get(one.state, one.state)),
        Column(tr("vectores", "vectors"), lambda one: number(one.vectors), right=True),
        Column(tr("en cola", "queued"), lambda one: number(one.pending), right=True),
    ]
    if found.generations:
        out.print(table(found.generations, columns, pad_edge=False))


def _companies(found: SystemStatus) -> None:
    columns: list[Column[CompanyStatus]] = [
        Column(tr("empresa", "company"), lambda one: one.empresa_id),
        Column("chunks", lambda one: number(one.chunks), right=True),
        Column(tr("con vector", "embedded"), lambda one: number(one.embedded), right=True),
        Column(
            tr("en cola", "queued"),
            lambda one: number(one.pending) + ("*" if one.over_budget and one.pending else ""),
            right=True,
        ),
        Column(tr("apartados", "dead"), lambda one: number(one.dead + one.dropped), right=True),
        Column(tr("sin vector", "without"), lambda one: number(one.without), right=True),
    ]
    if found.companies:
        out.print(table(found.companies[:_COMPANIES_SHOWN], columns, pad_edge=False))
    if any(one.without for one in found.companies):
        text = tr("sin vector: vacíos o de hasta 10 caracteres (se encuentran por palabras), o todavía sin encolar.",
                  "without: empty or of up to 10 characters (found by words), or not queued yet.")  # fmt: skip
        out.print(text, style="dim")
    more = len(found.companies) - _COMPANIES_SHOWN
    if more > 0:
        rest = number(more)
        out.print(tr(f"... y {rest} más; --json las da todas.", f"... and {rest} more; --json gives them all."))


def age(seconds: float) -> str:
    """A length of time for people: 12 s, 4 min, 3 h, 2 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"
