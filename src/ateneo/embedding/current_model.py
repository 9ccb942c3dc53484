"""The embedding models of this process, and which of them searches: it follows the active generation by itself."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import structlog

from ateneo.db import chunks, generations
from ateneo.db.pool import Database
from ateneo.embedding.generation import gives_way, is_of, mismatch, own_generation
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ForeignVectors
from ateneo.types import Generation
from ateneo.unexpected import as_ours, log_unexpected

FRESH_S = 2.0
"""How long a process goes on with the generation that it saw last: a switch is followed within this time."""
_TRY_AGAIN_S = 30.0

log = structlog.get_logger(__name__)


class Models:
    """The settings' own model, and others that the settings can reach: those of generations that are not its.

    `others` makes the service for a generation, None where nothing is known of its model.
    """

    def __init__(
        self, main: EmbeddingService, others: Callable[[Generation], EmbeddingService | None] = lambda _: None
    ) -> None:
        self.main = main
        self._others = others
        self._made: dict[tuple[str, str, int], EmbeddingService | None] = {}

    @classmethod
    def wrap(cls, given: "EmbeddingService | Models") -> "Models":
        return given if isinstance(given, Models) else cls(given)

    def of(self, generation: Generation) -> EmbeddingService | None:
        """The service whose vectors are this generation's; None where the settings know nothing of its model."""
        if is_of(generation, self.main):
            return self.main
        key = (generation.provider, generation.model, generation.dims)
        if key not in self._made:
            self._made[key] = self._others(generation)
        return self._made[key]

    async def present(self, db: Database) -> EmbeddingService:
        """The active generation's service; the settings' own where that is out of reach, or nothing has vectors yet."""
        active = await generations.active(db)
        if active is None or await gives_way(db, active, self.main):
            return self.main
        return self.of(active) or self.main

    async def close(self) -> None:
        """Closes all of them, the settings' own included; a later call opens them again."""
        for service in (self.main, *self._made.values()):
            if service is not None:
                await service.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@dataclass(frozen=True, slots=True)
class Model:
    """A generation, and the service that embeds its queries and passages."""

    generation: Generation
    embedding: EmbeddingService


class CurrentModel:
    """The generation that this process searches and writes to: the active one, looked up again every two seconds.

    Where its model is out of reach (not in the settings, or its provider does not answer) it is the latest of the
    earlier ones that is kept and whose model is at hand. A model that is new to this process answers one text before
    it is trusted with searches; meanwhile the one before goes on.
    """

    def __init__(self, db: Database, models: Models, *, fresh_s: float = FRESH_S) -> None:
        self._db = db
        self.models = models
        self._fresh_s = fresh_s
        self._model: Model | None = None
        self._until = 0.0
        self._trials: dict[int, asyncio.Task[bool]] = {}
        self._failed_until: dict[int, float] = {}
        self.foreign: ForeignVectors | None = None
        """Why there is no model though there are vectors, since the last look-up."""

    async def get(self, *, fresh: bool = False) -> Model | None:
        """None in a database without vectors. Vectors that other programs wrote there get their generation here.

        Raises GenerationMismatch where no generation is of a model at hand.
        """
        now = time.monotonic()
        if self._model is None or fresh or now >= self._until:
            # set before the look-up, so that only one of many concurrent searches does it
            self._until = now + self._fresh_s
            self._follow(await self._chosen())
        return self._model

    async def to_write(self) -> Model:
        """As `get`, and the first generation is made where there is none, or none with a vector in it.

        Raises ForeignVectors, too.
        """
        found, main = await self.get(fresh=True), self.models.main
        if found is not None and not await gives_way(self._db, found.generation, main):
            return found
        return Model(await own_generation(self._db, main), main)

    def forget(self) -> None:
        """To be called where the generation turned out to be gone: the next `get` looks for another."""
        self._model = None

    def close(self) -> None:
        """Ends what is under way. To be called on the loop that it runs on, if any."""
        for trial in self._trials.values():
            trial.cancel()
        self._trials.clear()

    def _follow(self, model: Model | None) -> None:
        before, self._model = self._model, model
        if model is None or (before and before.generation.number == model.generation.number):
            return
        if before is not None:
            log.info("generation.followed", generation=model.generation.number, model=model.embedding.model)

    async def _chosen(self) -> Model | None:
        kept = await generations.searchable(self._db)
        if not kept:
            return await self._taken_over()
        current = next((g for g in kept if self._model and g.number == self._model.generation.number), None)
        last_resort: Model | None = None
        for generation in kept:
            embedding = self.models.of(generation)
            if embedding is None:
                continue
            found = Model(generation, embedding)
            if generation == current or await self._trusted(found, wait=current is None):
                return found
            last_resort = last_resort or found
        if last_resort is None and not await gives_way(self._db, kept[0], self.models.main):
            raise mismatch(kept[0], self.models.main)
        return last_resort

    async def _taken_over(self) -> Model | None:
        """The vectors that other programs left in the guide's column, if they are as long as our model's."""
        self.foreign = None
        if not await chunks.any_embedding(self._db):
            return None
        try:
            return Model(await own_generation(self._db, self.models.main), self.models.main)
        except ForeignVectors as error:
            self.foreign = error
            return None

    async def _trusted(self, model: Model, *, wait: bool) -> bool:
        """Whether the model has answered. With `wait` it is waited for; without, it is asked meanwhile."""
        number = model.generation.number
        if model.embedding is self.models.main and wait:
            return True  # there is no other model: a search raises the provider's error
        if time.monotonic() < self._failed_until.get(number, 0.0):
            return False
        trial = self._trials.get(number)
        if trial is None or trial.get_loop() is not asyncio.get_running_loop():
            trial = self._trials[number] = asyncio.create_task(self._answers(model))
        if wait:
            await asyncio.wait([trial])
        if not trial.done():
            return False
        if self._trials.get(number) is trial:  # only the first of the tasks that waited for it
            del self._trials[number]
        if not trial.cancelled() and trial.result():
            return True
        self._failed_until[number] = time.monotonic() + _TRY_AGAIN_S
        return False

    async def _answers(self, model: Model) -> bool:
        try:
            vector = await model.embedding.embed_query("prueba")
        except Exception as error:  # noqa: BLE001
            log_unexpected(error, "current_model")
            code = as_ours(error, "current_model").code
            log.warning("generation.unreachable", generation=model.generation.number, reason=code)
            return False
        return len(vector) == model.generation.dims
