"""The guide's column, `knowledge_chunks.embedding`, after a change of model: refilled from the active generation.

By the command that switches; by a worker where that has gone (docs/adr/0015-switch-of-model.md).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ateneo.db import advisory_lock, generations, health
from ateneo.db import switch as store
from ateneo.db.pool import Database
from ateneo.errors import SwitchRefused
from ateneo.i18n import tr
from ateneo.types import Generation

Tell = Callable[[int, int], None]
"""Is told (done, of how many)."""
LOCK = "ateneo.column"
_PAGE = 500
_PASSES = 20
_BETWEEN_PASSES_S = 0.5
SETTLE_S = 60.0
"""How long those are waited for who write by the mark that was there, in seconds."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """`busy`: rows that a writer held to the end; the next call sees to them."""

    changed: int
    busy: int


async def refill(db: Database, on_page: Tell | None = None, *, wait: bool = True) -> Refilled:
    """Makes the guide's column true to the active generation, a page at a time, and moves its mark there. One process
    does it: others wait for it, or leave it to that one, and go on where it ends early.

    Nothing to do where it has the mark. Raises SwitchRefused where the column cannot hold vectors of this length.
    """
    while True:
        active = await generations.active(db)
        if active is None or active.legacy:
            return Refilled(0, 0)
        await _refuse_fixed(db, active)
        async with advisory_lock.locked(db, LOCK) as mine:
            done = await _refill(db, active, on_page) if mine else None
        if done is not None:
            return done
        if not wait:
            return Refilled(0, 0)
        await asyncio.sleep(_BETWEEN_PASSES_S)


async def _refill(db: Database, active: Generation, on_page: Tell | None) -> Refilled | None:
    """None where another generation has become the active one meanwhile."""
    await store.mark_column(db, None)
    await store.settled(db, SETTLE_S)
    changed, busy, passes = 0, 1, 0
    while busy and passes < _PASSES:
        page_changed, busy = await _pass(db, active, on_page)
        changed, passes = changed + page_changed, passes + 1
        if not await _still(db, active):
            return None
        if busy:
            await asyncio.sleep(_BETWEEN_PASSES_S)
    if busy:
        return Refilled(changed, busy)
    await store.mark_column(db, active.number)
    # chunks embedded after their page was done; from now on every write updates both
    late, busy = await _pass(db, active, None)
    return Refilled(changed + late, busy)


async def _pass(db: Database, active: Generation, on_page: Tell | None) -> tuple[int, int]:
    total = next(one.chunks for one in await store.filled(db) if one.generation.number == active.number)
    changed, busy, seen, after = 0, 0, 0, None
    while (page := await store.refill_page(db, active.number, after, _PAGE)) is not None:
        if not await _still(db, active):
            break
        changed, busy, seen, after = changed + page.changed, busy + page.busy, seen + _PAGE, page.last_id
        if on_page is not None:
            on_page(min(seen, total), total)
    return changed, busy


async def _still(db: Database, active: Generation) -> bool:
    found = await generations.active(db)
    return found is not None and found.number == active.number


async def _refuse_fixed(db: Database, active: Generation) -> None:
    fixed = await health.guide_column(db)
    if fixed not in (None, "vector", f"vector({active.dims})"):
        raise SwitchRefused(
            detail=tr(
                f"knowledge_chunks.embedding es {fixed}, y los vectores de {active.label} no caben.",
                f"knowledge_chunks.embedding is {fixed}, and vectors of {active.label} do not fit.",
            ),
            remedy=tr(
                "La búsqueda ya usa el modelo nuevo, y la columna puede quedar como está. Para llenarla también, si tu "
                "aplicación no busca en ella ni tiene índices ahí: SELECT ateneo.widen_column(); y seguí con `ateneo "
                "embeddings switch`.",
                "Searches use the new model already, and the column may stay as it is. To fill it, too, where your "
                "application neither searches it nor has indexes on it: SELECT ateneo.widen_column(); and go on with "
                "`ateneo embeddings switch`.",
            ),
        )
