"""What `ateneo embeddings` shows: results on stdout in 80 columns, progress on stderr."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ateneo.cli.output import Column, facts, say, table, warn
from ateneo.cli.runtime import err, out
from ateneo.db.switch import Filled
from ateneo.embedding.batch import Totals
from ateneo.embedding.legacy_column import Refilled
from ateneo.embedding.switch import Plan, Status
from ateneo.evaluation.side_by_side import Pair, SideBySide
from ateneo.evaluation.significance import Difference
from ateneo.i18n import count, dollars, number, percent, size, tr
from ateneo.indexing.maintenance import Tuned
from ateneo.providers.prices import PRICES_AS_OF
from ateneo.types import Generation, Hit

_NOT_ALL = 3
_SHOWN = 3
_PREVIEW = 34
_AGAIN = "ateneo embeddings switch"
_STATES = {
    "filling": lambda: tr("llenándose", "filling"),
    "active": lambda: tr("activo", "active"),
    "previous": lambda: tr("anterior", "previous"),
}


@asynccontextmanager
async def resumable() -> AsyncIterator[None]:
    """Says how to go on to whoever interrupts."""
    try:
        yield
    except asyncio.CancelledError:
        err.print(
            tr(f"\nInterrumpido; lo hecho queda. Para seguir: {_AGAIN}",
               f"\nInterrupted; what was done is kept. To go on: {_AGAIN}"),
            soft_wrap=True,
        )  # fmt: skip
        raise


# --- plan and steps -----------------------------------------------------------------------------------------------


def plan(found: Plan, *, yes: bool) -> None:
    new = f"{found.provider}/{found.model} ({found.dims})"
    if found.done:
        say(tr(f"{new} ya es el modelo activo.", f"{new} is the active model already."))
        return
    left, total = number(found.chunks), number(found.total)
    disk, column_size = size(found.disk.table_bytes + found.disk.index_bytes), size(found.disk.column_bytes)
    rows = {
        tr("modelo actual", "present model"): found.active.label,
        tr("modelo nuevo", "new model"): new + (tr(", empezado", ", begun") if found.begun else ""),
        "chunks": tr(f"{left} por embeber, de {total}", f"{left} to embed, of {total}"),
        "tokens": "-" if found.tokens is None else number(found.tokens),
        tr("costo", "cost"): _cost(found),
        tr("tiempo", "time"): "~" + _duration(found.seconds),
        tr("disco", "disk"): tr(
            f"~{disk} hasta borrar el anterior; la columna, otra vez: ~{column_size}",
            f"~{disk} until the one before is pruned; the column, anew: ~{column_size}",
        ),
    }
    out.print(facts(rows))
    if found.column is not None:
        warn(
            tr(
                f"knowledge_chunks.embedding es {found.column}: se va a buscar con el modelo nuevo, pero la columna no"
                " puede guardar sus vectores hasta que sea «vector», sin largo fijo.",
                f"knowledge_chunks.embedding is {found.column}: searches will use the new model, but the column cannot"
                " hold its vectors until it is “vector”, without a fixed length.",
            )
        )
    if not yes:
        say(
            tr(
                "Mientras tanto se sigue buscando con el actual. Si un programa tuyo escribe\n"
                "embeddings, pasalo al modelo nuevo después del cambio.",
                "Meanwhile searches go on with the present one. If a program of yours writes\n"
                "embeddings, move it to the new model after the switch.",
            )
        )


def _cost(found: Plan) -> str:
    if found.usd is None:
        return tr(f"no sé el precio de {found.model}", f"no price known of {found.model}")
    if found.tokens is None:
        return tr("gratis (modelo local)", "free (local model)")
    return f"~${dollars(found.usd)} USD ({PRICES_AS_OF})"


def filled(done: Totals) -> None:
    es = count(done.processed, "chunk embebido", "chunks embebidos")
    en = count(done.processed, "chunk embedded", "chunks embedded")
    say(f"  ✓ {tr(es, en)}")
    if done.dead:
        warn(
            tr(
                count(done.dead, "texto", "textos") + " que el proveedor no acepta",
                count(done.dead, "text", "texts") + " that the provider refuses",
            )
        )


def indexed(tuned: Tuned) -> None:
    if tuned.action == "create":
        mark = "✓" if tuned.done else "!"
        say(f"  {mark} HNSW {tuned.empresa_id}: {number(tuned.vectors)} ({number(tuned.seconds, 1)} s)")


def prepared() -> None:
    say(tr(f"Todo listo para el cambio: {_AGAIN}", f"All is ready for the switch: {_AGAIN}"), "green")


def switched(generation: Generation, refilled: Refilled) -> int:
    say(tr(f"Se busca con {generation.label}.", f"Searches use {generation.label}."), "bold green")
    code = column(refilled)
    asked = f", ATENEO_EMBEDDING_DIMENSIONS={generation.asked_dims}" if generation.asked_dims else ""
    names = f"ATENEO_EMBEDDING_PROVIDER={generation.provider}, ATENEO_EMBEDDING_MODEL={generation.model}{asked}"
    say(
        tr(
            f"Los servidores en marcha que tengan su clave ya lo siguen.\nPonelo en la configuración:\n  {names}",
            f"Running servers that have its key follow already.\nPut it in the settings:\n  {names}",
        )
    )
    say(
        tr(
            "Volver al anterior:           ateneo embeddings rollback\n"
            "Dejar de guardar el anterior: ateneo embeddings prune",
            "Go back:                      ateneo embeddings rollback\n"
            "Stop keeping the one before:  ateneo embeddings prune",
        )
    )
    return code


def column(refilled: Refilled) -> int:
    if refilled.changed:
        es = count(refilled.changed, "fila al día", "filas al día")
        en = count(refilled.changed, "row brought up to date", "rows brought up to date")
        say(f"  ✓ knowledge_chunks.embedding: {tr(es, en)}")
    if refilled.busy:
        es = count(refilled.busy, "fila de knowledge_chunks está tomada", "filas de knowledge_chunks están tomadas")
        en = count(refilled.busy, "row of knowledge_chunks is held", "rows of knowledge_chunks are held")
        warn(
            tr(f"{es} por otra transacción; para seguir: {_AGAIN}", f"{en} by another transaction; to go on: {_AGAIN}")
        )
        return _NOT_ALL
    return 0


# --- what there is ------------------------------------------------------------------------------------------------


def status(found: Sequence[Status]) -> None:
    if not found:
        say(tr("Todavía no hay vectores.", "There are no vectors yet."))
        return
    columns: list[Column[Status]] = [
        Column("", lambda one: str(one.filled.generation.number)),
        Column(tr("modelo", "model"), lambda one: one.filled.generation.label),
        Column(tr("estado", "state"), lambda one: _STATES[one.filled.generation.state]()),
        Column(tr("vectores", "vectors"), lambda one: number(one.filled.vectors), right=True),
        Column(tr("faltan", "missing"), lambda one: number(one.filled.missing), right=True),
        Column(tr("tamaño", "size"), lambda one: size(one.filled.bytes), right=True),
    ]
    out.print(table(found, columns, padding=(0, 2, 0, 0)))
    _remarks(found)


def _remarks(found: Sequence[Status]) -> None:
    for one in found:
        generation = one.filled.generation
        if one.filled.dead:
            warn(
                tr(
                    count(one.filled.dead, "texto", "textos") + f" que {generation.model} no acepta: ateneo queue list",
                    count(one.filled.dead, "text", "texts") + f" that {generation.model} refuses: ateneo queue list",
                )
            )
        if not one.at_hand:
            warn(
                tr(
                    f"La configuración no tiene con qué usar {generation.label}: ver docs/how-to/switch-model.md.",
                    f"The settings have not what it takes to use {generation.label}: see docs/how-to/switch-model.md.",
                )
            )
        unpaid(one.over_budget, generation)
        if generation.state == "filling":
            going = tr(f"Un cambio a {generation.model}, en marcha.", f"A switch to {generation.model} is under way.")
            begun = tr(f"Un cambio sin terminar. Para seguir: {_AGAIN}", f"A switch not finished. To go on: {_AGAIN}")
            say(going if one.at_work else begun)
        if generation.active and not generation.legacy:
            say(_column_behind(one.at_work))


def unpaid(chunks: int, generation: Generation) -> None:
    """What budgets keep waiting, if anything."""
    if chunks:
        es = count(chunks, "chunk espera", "chunks esperan") + " presupuesto para"
        en = count(chunks, "chunk waits", "chunks wait") + " for a budget for"
        warn(f"{tr(es, en)} {generation.model}: ateneo budget show")


def _column_behind(at_work: bool) -> str:
    if at_work:
        return tr(
            "knowledge_chunks.embedding se está poniendo al día.",
            "knowledge_chunks.embedding is being brought up to date.",
        )
    return tr(
        f"knowledge_chunks.embedding no es del modelo activo: la pone al día un worker en\nmarcha, o {_AGAIN}",
        f"knowledge_chunks.embedding is not the active model's: a running worker brings it\nup to date, or {_AGAIN}",
    )


def back_question(left: Generation, returned: Generation) -> str:
    return tr(f"¿Volver de {left.label} a {returned.label}?", f"Go back from {left.label} to {returned.label}?")


def rolled_back(left: Generation, returned: Generation) -> None:
    text = tr(
        f"Se busca otra vez con {returned.label}; {left.label} queda guardado.",
        f"Searches use {returned.label} again; {left.label} is kept.",
    )
    say(text, "bold green")


def prunable(targets: Sequence[Filled]) -> None:
    for one in targets:
        say(f"  {one.generation.number}: {one.generation.label} · {number(one.vectors)} · {size(one.bytes)}")
    if any(one.generation.state == "previous" for one in targets):
        say(
            tr(
                "Sin ellos no hay rollback, y los servidores que solo tienen esa configuración dejan de buscar.",
                "Without them there is no rollback, and servers that have only those settings stop searching.",
            )
        )


def pruned(targets: Sequence[Filled], *, done: bool) -> int:
    if not done:
        warn(
            tr(
                "Una transacción abierta no deja borrar las tablas todavía: repetí el comando más tarde.",
                "An open transaction keeps the tables for now: run the command again later.",
            )
        )
        return _NOT_ALL
    freed = size(sum(one.bytes for one in targets))
    nothing = tr("No había nada que borrar.", "There was nothing to delete.")
    say(tr(f"Borrado; se liberan {freed}.", f"Deleted; {freed} are freed.") if targets else nothing, "green")
    return 0


# --- comparison ---------------------------------------------------------------------------------------------------


def comparison(found: Sequence[SideBySide], before: Generation, after: Generation) -> None:
    say(f"A: {before.label}   B: {after.label}", "bold")
    modes = {"hybrid": tr("híbrida", "hybrid"), "dense": tr("por significado", "by meaning")}
    asked = count(found[0].questions, tr("pregunta", "question"), tr("preguntas", "questions"))
    columns: list[Column[SideBySide]] = [
        Column(asked, lambda one: modes.get(one.mode, one.mode)),
        Column(f"recall@{found[0].k} A", lambda one: _share(one.before_recall), right=True),
        Column("B", lambda one: _share(one.after_recall), right=True),
        Column("B/A", lambda one: _share(one.ratio), right=True),
        Column(tr("en común", "in common"), lambda one: percent(one.overlap), right=True),
        Column(tr("MRR, B menos A", "MRR, B less A"), lambda one: _interval(one.difference), right=True),
    ]
    out.print(table(found, columns, padding=(0, 2, 0, 0)))
    say("  " + _origins(found[0]), "dim")
    if not any(one.judged for one in found):
        warn(
            tr(
                "Ninguna pregunta tiene respuesta conocida: no hay recall que comparar, mirá los casos.",
                "No question has a known answer: there is no recall to compare, look at the cases.",
            )
        )
    worst = next((one for one in found if one.worst), None)
    if worst is not None:
        _worst(worst.worst)


def _origins(found: SideBySide) -> str:
    names = {
        "file": tr("de tu archivo", "of your file"),
        "conversation": tr("hechas en conversaciones", "asked in conversations"),
        "search": tr("búsquedas guardadas", "searches that were kept"),
        "sentence": tr("frases de los chunks, al azar", "sentences of chunks, by chance"),
    }
    parts = [f"{number(times)} {names[origin]}" for origin, times in sorted(found.origins.items())]
    return "; ".join(parts) + tr(
        f" ({number(found.judged)} con respuesta conocida)", f" ({number(found.judged)} with a known answer)"
    )


def _worst(pairs: Sequence[Pair]) -> None:
    say(tr("\nLo que más cambia para peor (búsqueda híbrida), A y B:", "\nWhat changes most for the worse, A and B:"))
    for pair in pairs:
        moved = f"{_rank(pair.before_rank)} → {_rank(pair.after_rank)}"
        ranks = tr(f"puesto {moved}", f"rank {moved}")
        about = f"{ranks} · {percent(pair.overlap)}" if pair.asked.answers else percent(pair.overlap)
        out.print(f"\n«{pair.asked.text}»", style="bold")
        out.print(f"  {pair.asked.empresa_id} · {about}", style="dim", soft_wrap=True)
        for row in range(_SHOWN):
            left, right = (_passage(side, row, pair.asked.answers) for side in (pair.before, pair.after))
            if left.strip() or right.strip():
                out.print(f"  {left:<{_PREVIEW + 2}}  {right}", soft_wrap=True)


def _passage(hits: tuple[Hit, ...], row: int, answers: frozenset[str]) -> str:
    if row >= len(hits):
        return ""
    text = " ".join(hits[row].contenido.split("\n", 1)[-1].split())  # its heading says little
    cut = text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
    return ("✓ " if hits[row].chunk_id in answers else "  ") + cut


def _rank(rank: int | None) -> str:
    return "-" if rank is None else number(rank)


def _share(value: float | None) -> str:
    return "-" if value is None else number(value, 3)


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    mean, low, high = (number(one, 3, sign=True) for one in (difference.mean, difference.low, difference.high))
    return f"{mean} ({low}…{high})"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{number(seconds / 60)} min" if seconds < 5400 else f"{number(seconds / 3600, 1)} h"
