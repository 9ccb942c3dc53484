"""The vectors that a generation lacks, embedded and stored until there is nothing left to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ateneo.errors import ProviderRefusedInput
from ateneo.services.embedding import EmbeddingService
from ateneo.services.generation import refuse_other_model
from ateneo.store import chunks, switch
from ateneo.store.pool import Database
from ateneo.types import Generation, Pending

_PAGE, _LOCAL_PAGE = 500, 64


@dataclass(slots=True)
class Fill:
    """Chunks so far: stored, and refused by the provider; `tokens` that the stored ones took."""

    stored: int = 0
    refused: int = 0
    tokens: int = 0


async def fill(
    db: Database,
    embedding: EmbeddingService,
    generation: Generation,
    concurrency: int,
    on_progress: Callable[[Fill], None] | None = None,
) -> Fill:
    """Goes over the record until a round finds nothing, so that what is edited meanwhile is embedded, too.

    Raises ProviderError, DatabaseError; what was stored until then stays.
    """
    done = Fill()
    tell = on_progress or (lambda _: None)
    size = _LOCAL_PAGE if embedding.provider == "local" else _PAGE
    while True:
        before, after = done.stored, None
        while page := await switch.missing_page(db, generation.number, after, size):
            after = (page[-1].chunk_id, page[-1].empresa_id)
            await _store(db, embedding, generation, page, done)
            tell(done)
        if done.stored == before:
            return done


async def _store(
    db: Database, embedding: EmbeddingService, generation: Generation, page: Sequence[Pending], done: Fill
) -> None:
    try:
        made = await embedding.embed_matrix([one.contenido for one in page])
    except ProviderRefusedInput:
        if len(page) == 1:
            done.refused += 1
            return
        half = len(page) // 2
        await _store(db, embedding, generation, page[:half], done)
        await _store(db, embedding, generation, page[half:], done)
        return
    refuse_other_model(generation, embedding)
    done.stored += await chunks.store_embeddings(db, generation.number, page, made.vectors)
    done.tokens += sum(made.tokens)
