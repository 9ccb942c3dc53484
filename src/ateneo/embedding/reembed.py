"""The vectors that a generation lacks: the queue's engine, run to the end for that generation."""

from collections.abc import Callable
from dataclasses import dataclass

from ateneo.db import queue
from ateneo.db.pool import Database
from ateneo.embedding.heartbeat import seen_working
from ateneo.embedding.queue import LEASE_S, Batch, EmbeddingQueue, new_name
from ateneo.embedding.service import EmbeddingService
from ateneo.types import Generation

_BATCH = 500
_LOCAL_BATCH, _LOCAL_CONCURRENCY = 64, 2
"""As in the backfill: the local model fills the cores with one batch, and small ones let Ctrl-C end soon."""


@dataclass(slots=True)
class Fill:
    """Chunks so far: stored (of them `copied`, whose text was embedded already), and refused by the provider. `tokens`
    as billed."""

    stored: int = 0
    copied: int = 0
    refused: int = 0
    tokens: int = 0


async def fill(
    db: Database,
    embedding: EmbeddingService,
    generation: Generation,
    *,
    concurrency: int = 4,
    lease_s: float = LEASE_S,
    revive: bool = False,
    on_progress: Callable[[Fill], None] | None = None,
) -> Fill:
    """Queues what the generation lacks and embeds it, beside whatever workers there are. `revive`: refused texts are
    tried again.

    Raises ProviderError, DatabaseError; what was stored until then stays.
    """
    done = Fill()
    name = new_name()

    def add(batch: Batch) -> None:
        rate.add(batch.processed)
        done.stored += batch.processed
        done.copied += batch.copied
        done.refused += sum(one.dead for one in batch.failed)
        done.tokens += batch.tokens
        if on_progress is not None:
            on_progress(done)

    await queue.fill(db, generation.number, revive=revive)
    local = embedding.provider == "local"
    engine = EmbeddingQueue(
        db,
        embedding,
        generation,
        batch_size=_LOCAL_BATCH if local else _BATCH,
        concurrency=_LOCAL_CONCURRENCY if local else concurrency,
        on_batch=add,
        worker=name,
        lease_s=lease_s,
    )
    async with seen_working(db, name, lambda: embedding.concurrency) as rate:
        await engine.drain(to_the_end=True)
    if engine.outage is not None:
        raise engine.outage
    return done
