"""Embedded texts into the database: a batch at once or, where one of its rows is refused, all but that."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ateneo.db import queue, usage
from ateneo.db.pool import Database
from ateneo.db.usage import Share
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ChunksTableRefused, ConstraintViolated, DatabaseError, DatabaseUnavailable, GenerationMismatch
from ateneo.types import Generation, Matrix, Pending


@dataclass(frozen=True, slots=True)
class Stored:
    """`kept`: how many were stored; `refused`: those that a rule of the user's table (trigger, constraint) refuses."""

    kept: int
    refused: tuple[tuple[Pending, DatabaseError], ...] = ()


@dataclass(frozen=True, slots=True)
class VectorStore:
    """Into one generation. Raises the DatabaseErrors that are of no row, and one that every row of several meets."""

    db: Database
    generation: Generation
    embedding: EmbeddingService

    async def store(self, chunks: Sequence[Pending], vectors: Matrix, shares: Mapping[str, Share]) -> Stored:
        """Stores the vectors (n, dims) and what they cost; that is charged whatever becomes of the rows."""
        try:
            return Stored(await self._store(chunks, vectors, shares))
        except DatabaseError as error:
            if type(error) not in (ConstraintViolated, DatabaseError, ChunksTableRefused):
                raise
            problem = error
        if shares:
            await usage.charge_now(self.db, self.embedding.provider, self.embedding.model, shares)
        done = await self._store_halves(chunks, vectors, problem)
        if len(done.refused) == len(chunks) > 1:
            raise problem
        return done

    async def _store_halves(self, chunks: Sequence[Pending], vectors: Matrix, problem: DatabaseError) -> Stored:
        if len(chunks) == 1:
            return Stored(0, ((chunks[0], problem),))
        half = len(chunks) // 2
        kept = 0
        refused: list[tuple[Pending, DatabaseError]] = []
        for part in (slice(None, half), slice(half, None)):
            try:
                kept += await self._store(chunks[part], vectors[part], {})
            except (DatabaseUnavailable, GenerationMismatch):
                raise
            except DatabaseError as error:
                inner = await self._store_halves(chunks[part], vectors[part], error)
                kept += inner.kept
                refused += inner.refused
        return Stored(kept, tuple(refused))

    async def _store(self, chunks: Sequence[Pending], vectors: Matrix, shares: Mapping[str, Share]) -> int:
        return await queue.store(
            self.db,
            self.generation.number,
            chunks,
            vectors,
            provider=self.embedding.provider,
            model=self.embedding.model,
            shares=shares,
        )


def split_bill(chunks: Sequence[Pending], tokens: Sequence[int], billed: int, price: float | None) -> dict[str, Share]:
    """Each company's share of a request that was billed at `billed` tokens: by the tokens of its texts, in whole tokens
    that add up to the bill (largest remainders). `price` in US dollars a million tokens."""
    counted: dict[str, int] = defaultdict(int)
    texts: dict[str, int] = defaultdict(int)
    for chunk, count in zip(chunks, tokens, strict=True):
        counted[chunk.empresa_id] += count
        texts[chunk.empresa_id] += 1
    total = sum(counted.values()) or 1
    share = {one: billed * count // total for one, count in counted.items()}
    by_remainder = sorted(counted, key=lambda one: (-(billed * counted[one] % total), one))
    for one in by_remainder[: billed - sum(share.values())]:
        share[one] += 1
    return {one: Share(texts[one], share[one], share[one] * (price or 0.0) / 1e6) for one in counted}
