"""How things stand, for those who operate Ateneo: companies, queue, workers, generations, what embedding costs."""

from dataclasses import dataclass

from ateneo.db import dead_letters, generations, usage, workers
from ateneo.db.dead_letters import Figures
from ateneo.db.pool import Database
from ateneo.db.usage import Budget
from ateneo.db.workers import WorkerRow


@dataclass(frozen=True, slots=True)
class CompanyStatus:
    """`chunks` = `embedded` + `pending` + `dead` + `dropped` + `without` (too short for a vector, or not queued yet);
    `over_budget`: its pending ones wait for the next month, or a larger budget."""

    empresa_id: str
    chunks: int
    embedded: int
    pending: int
    dead: int
    dropped: int
    without: int
    over_budget: bool


@dataclass(frozen=True, slots=True)
class GenerationStatus:
    """`vectors` it has; `pending` chunks wait for one."""

    number: int
    model: str
    state: str
    vectors: int
    pending: int


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """`eta_s`: seconds until the queue is empty at the workers' present rate, None where nothing moves."""

    queue: Figures
    eta_s: float | None
    companies: tuple[CompanyStatus, ...]
    generations: tuple[GenerationStatus, ...]
    workers: tuple[WorkerRow, ...]
    budgets: tuple[Budget, ...]
    tokens_month: int
    usd_month: float


async def system_status(db: Database) -> SystemStatus:
    """All of it. Counts every chunk and vector once."""
    now = await dead_letters.figures(db)
    depths = await dead_letters.depths(db)
    known = await generations.all_generations(db)
    counts = {one.number: await dead_letters.chunks_by_company(db, one.number) for one in known}
    active = next((one.number for one in known if one.active), None)
    chunks = counts[active] if active is not None else await dead_letters.chunks_by_company(db, None)
    queued = {one.empresa_id: one for one in depths if one.generation == active}
    spent = await usage.month(db)
    companies = []
    for empresa_id, (total, embedded) in chunks.items():
        row = queued.get(empresa_id)
        waits = (row.pending, row.dead, row.dropped) if row else (0, 0, 0)
        without = max(0, total - embedded - sum(waits))
        companies.append(CompanyStatus(empresa_id, total, embedded, *waits, without, bool(row and row.over_budget)))
    return SystemStatus(
        queue=now,
        eta_s=(now.pending - now.over_budget) / now.rate if now.rate > 0 else None,
        companies=tuple(companies),
        generations=tuple(
            GenerationStatus(
                number=one.number,
                model=one.label,
                state=one.state,
                vectors=sum(vectors for _, vectors in counts[one.number].values()),
                pending=sum(depth.pending for depth in depths if depth.generation == one.number),
            )
            for one in known
        ),
        workers=tuple(await workers.alive(db)),
        budgets=tuple(await usage.budgets(db)),
        tokens_month=sum(one.tokens for one in spent),
        usd_month=sum(one.usd for one in spent),
    )
