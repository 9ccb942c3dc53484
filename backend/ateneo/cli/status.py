"""`ateneo status`: companies, queue, workers and generations on one screen."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ateneo.cli.runtime import out, print_json, run_or_exit
from ateneo.errors import ModelError, SettingsError
from ateneo.factories.databases import model_difference, open_database
from ateneo.factories.embedders import make_embedding_service
from ateneo.lang import tr
from ateneo.services.model_in_use import Difference
from ateneo.services.status import SystemStatus, system_status
from ateneo.settings import load

_COMPANIES_SHOWN = 20
_SILENT_S = 12.0
"""Two beats of a worker, and some."""


def status(
    as_json: Annotated[bool, typer.Option("--json", help=tr("Un documento JSON.", "One JSON document."))] = False,
) -> None:
    run_or_exit(_status(as_json), as_json=as_json)


async def _status(as_json: bool) -> None:
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
    line = tr(f"En cola: {queue.pending:,}", f"Queued: {queue.pending:,}")
    if queue.pending:
        line += tr(
            f" ({queue.leased:,} en curso, {queue.later:,} esperan un reintento)",
            f" ({queue.leased:,} in hand, {queue.later:,} wait for another try)",
        )
        line += tr(f"; la más antigua, hace {age(queue.oldest_s)}", f"; the oldest for {age(queue.oldest_s)}")
    out.print(line + ".")
    if queue.rate:
        left = tr(f"; faltan {age(found.eta_s)}", f"; {age(found.eta_s)} left") if found.eta_s else ""
        out.print(tr("Ritmo", "Rate") + f": {queue.rate:,.1f} chunks/s{left}.")
    if queue.over_budget:
        text = tr(
            f"* Sin presupuesto este mes: {queue.over_budget:,} chunks esperan. `ateneo budget show`",
            f"* Out of budget this month: {queue.over_budget:,} chunks wait. `ateneo budget show`",
        )
        out.print(text, style="yellow")
    if queue.suspects:
        text = tr(
            f"De a pocos, porque murió el worker que los tenía: {queue.suspects:,}.",
            f"A few at a time, because the worker that had them died: {queue.suspects:,}.",
        )
        out.print(text, style="yellow")
    if queue.dead:
        text = tr(
            f"Apartados con error: {queue.dead:,}. `ateneo queue list` dice por qué.",
            f"Dead letters: {queue.dead:,}. `ateneo queue list` says why.",
        )
        out.print(text, style="yellow")
    if found.tokens_month:
        out.print(
            tr(
                f"Este mes: {found.tokens_month:,} tokens, {found.usd_month:.2f} USD.",
                f"This month: {found.tokens_month:,} tokens, {found.usd_month:.2f} USD.",
            )
        )


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
            f"Worker {one.host}/{one.pid}: {states[one.state]}, {one.rate:.1f} chunks/s, "
            + tr(f"desde hace {age(one.up_s)}{note}", f"up for {age(one.up_s)}{note}")
        )


def _generations(found: SystemStatus) -> None:
    table = _table(
        "gen", tr("modelo", "model"), tr("estado", "state"), tr("vectores", "vectors"), tr("en cola", "queued")
    )
    names = {
        "active": tr("activa", "active"),
        "filling": tr("llenándose", "filling"),
        "previous": tr("anterior", "previous"),
    }
    if not found.generations and found.companies:
        text = tr("Todavía no hay vectores: los empieza `ateneo backfill` o `ateneo worker`.",
                  "There are no vectors yet: `ateneo backfill` or `ateneo worker` begins them.")  # fmt: skip
        out.print(text, style="yellow")
    for one in found.generations:
        table.add_row(
            str(one.number), one.model, names.get(one.state, one.state), f"{one.vectors:,}", f"{one.pending:,}"
        )
    if found.generations:
        out.print(table)


def _companies(found: SystemStatus) -> None:
    table = _table(
        tr("empresa", "company"),
        "chunks",
        tr("con vector", "embedded"),
        tr("en cola", "queued"),
        tr("apartados", "dead"),
        tr("sin vector", "without"),
    )
    for one in found.companies[:_COMPANIES_SHOWN]:
        unpaid = one.over_budget and one.pending
        pending = f"{one.pending:,}" + ("*" if unpaid else "")
        dead, without = one.dead + one.dropped, one.without
        table.add_row(one.empresa_id, f"{one.chunks:,}", f"{one.embedded:,}", pending, f"{dead:,}", f"{without:,}")
    if found.companies:
        out.print(table)
    if any(one.without for one in found.companies):
        text = tr("sin vector: vacíos o de hasta 10 caracteres (se encuentran por palabras), o todavía sin encolar.",
                  "without: empty or of up to 10 characters (found by words), or not queued yet.")  # fmt: skip
        out.print(text, style="dim")
    more = len(found.companies) - _COMPANIES_SHOWN
    if more > 0:
        out.print(tr(f"... y {more} más; --json las da todas.", f"... and {more} more; --json gives them all."))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        text = heading in (headings[0], tr("modelo", "model"), tr("estado", "state"))
        table.add_column(heading, justify="left" if text else "right", overflow="fold")
    return table


def age(seconds: float) -> str:
    """A length of time for people: 12 s, 4 min, 3 h, 2 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
