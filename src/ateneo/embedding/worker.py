"""The worker: keeps every generation's vectors up to date with the chunks table, for as long as it runs.

    worker = Worker(db, models)
    await worker.run()                # until worker.stop()

A lane a generation, each an Engine; one process may have several, while a switch of model is under way. A hint
by NOTIFY wakes it at once, a look every second anyway. What fails for all texts pauses a lane, and is tried again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from ateneo.db import generations, kept_answers, query_log, queue, workers
from ateneo.db.pool import Database
from ateneo.embedding import legacy_column
from ateneo.embedding.batch import Batch, Totals
from ateneo.embedding.current_model import Models
from ateneo.embedding.engine import Engine, pause_s
from ateneo.embedding.generation import gives_way, mismatch, own_generation
from ateneo.embedding.heartbeat import BEAT_S, report
from ateneo.embedding.locks import ReadWriteLock
from ateneo.embedding.queue import LEASE_S, new_name
from ateneo.errors import (
    AteneoError,
    DatabaseError,
    DirectConnectionNeeded,
    MaintenanceRunning,
    NotUpgraded,
    RightsMissing,
    SwitchRefused,
)
from ateneo.i18n import tr
from ateneo.indexing import maintenance
from ateneo.types import Generation
from ateneo.unexpected import as_ours, log_unexpected

_LOOK_FOR_GENERATIONS_S = 2.0
_WHERE = "worker"

log = structlog.get_logger(__name__)


class _Lane(NamedTuple):
    engine: Engine
    task: "asyncio.Task[None]"


class Worker:
    """`db` must be a pool of at least `concurrency` + 5 connections."""

    def __init__(
        self,
        db: Database,
        models: Models,
        *,
        batch_size: int | None = None,
        concurrency: int = 4,
        lease_s: float = LEASE_S,
        maintenance_s: float = 3600.0,
        threshold: int = maintenance.THRESHOLD,
        bm25: tuple[float | None, float | None] = (None, None),
        lock: ReadWriteLock | None = None,
        on_batch: Callable[[Batch], None] = lambda _: None,
        on_pause: Callable[[AteneoError, float], None] | None = None,
    ) -> None:
        """`concurrency`: batches at a time in each lane; `lease_s`, `lock`: as of EmbeddingQueue; `maintenance_s`:
        seconds between runs of index maintenance, 0 for none; `on_pause` is called with the reason and the seconds."""
        self.name = new_name()
        self.totals = Totals()
        self._db, self._models = db, models
        self._batch_size, self._concurrency = batch_size, concurrency
        self._lease_s = lease_s
        self._maintenance_s, self._threshold, self._bm25 = maintenance_s, threshold, bm25
        self._on_batch, self._on_pause = on_batch, on_pause
        self._lanes: dict[int, _Lane] = {}
        self._lock = lock or ReadWriteLock()
        self._stopping = asyncio.Event()
        self._reported: tuple[object, ...] = ()
        self._column: asyncio.Task[None] | None = None
        self._column_refused = False
        self._out_of_reach: str | None = None

    def stop(self) -> None:
        """Claims no more, and ends after the batches in progress."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.engine.stop()

    async def run(self, *, once: bool = False) -> None:
        """Works until `stop`; with `once` until nothing can be done now.

        Raises what would keep it from ever working (settings, an upgrade that is due, rights); with `once` also the
        error that ended a lane early.
        """
        helpers = [self._beat] if once else [self._beat, self._listen, self._maintain]
        tasks = [asyncio.create_task(self._restarted(helper)) for helper in helpers]
        try:
            if once:
                await self._update_lanes(once=True)
                await asyncio.gather(*(lane.task for lane in self._lanes.values()))
                if self._column is not None:
                    await self._column
            else:
                await self._supervise()
        finally:
            for task in tasks:
                task.cancel()
            lanes = [lane.task for lane in self._lanes.values()] + ([self._column] if self._column else [])
            for task in lanes:
                task.cancel()
            await asyncio.gather(*tasks, *lanes, return_exceptions=True)
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(workers.leave(self._db, self.name))
        failure = next((lane.engine.failure for lane in self._lanes.values() if lane.engine.failure), None)
        if once and failure is not None:
            raise failure

    async def _supervise(self) -> None:
        """Begins the lane of each generation that appears, and ends that of each that goes."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._update_lanes(once=False)
                failures, pause = 0, _LOOK_FOR_GENERATIONS_S
            except (NotUpgraded, RightsMissing):
                raise
            except Exception as error:
                log_unexpected(error, _WHERE)
                problem = as_ours(error, _WHERE)
                if not isinstance(problem, DatabaseError) and not self._lanes and problem.exit_code == 2:
                    raise
                failures += 1
                pause = pause_s(failures, None)
                self._paused(problem, pause)
            await self._sleep(pause)
        await asyncio.gather(*(lane.task for lane in self._lanes.values()))

    async def _restarted(self, helper: Callable[[], Awaitable[None]]) -> None:
        """Runs it, again after an unexpected error."""
        while True:
            try:
                return await helper()
            except Exception as error:  # noqa: BLE001
                log_unexpected(error, _WHERE)
                await asyncio.sleep(BEAT_S)

    async def _update_lanes(self, *, once: bool) -> None:
        known = await generations.all_generations(self._db)
        if not known or await gives_way(self._db, known[0], self._models.main):
            known = [await own_generation(self._db, self._models.main)]
        reachable = {one.number: one for one in known if self._models.of(one) is not None}
        self._out_of_reach = next((one.label for one in known if one.active and one.number not in reachable), None)
        for number, lane in list(self._lanes.items()):
            if number not in reachable:
                lane.engine.stop()
            if lane.task.done():  # one that is still needed is created again
                del self._lanes[number]
        if not reachable:
            raise mismatch(known[0], self._models.main)
        for number in set(reachable) - set(self._lanes):
            await self._begin(reachable[number], once=once)
        if any(one.active and not one.legacy for one in known) and (self._column is None or self._column.done()):
            self._column = asyncio.create_task(self._refill_column())

    async def _begin(self, generation: Generation, *, once: bool) -> None:
        embedding = self._models.of(generation)
        assert embedding is not None
        engine = Engine(
            self._db,
            embedding,
            generation,
            batch_size=self._batch_size,
            concurrency=self._concurrency,
            lease_s=self._lease_s,
            on_batch=self._on_batch,
            totals=self.totals,
            worker=self.name,
            lock=self._lock,
        )
        await engine.fill()
        if self._stopping.is_set():
            engine.stop()
        work = engine.run_once() if once else engine.run(self._report, self._paused)
        self._lanes[generation.number] = _Lane(engine, asyncio.create_task(work))

    def _paused(self, error: AteneoError, pause_s: float) -> None:
        if self._on_pause is None:
            log.warning("worker.paused", reason=error.code, pause_s=round(pause_s, 1))
            return
        try:
            self._on_pause(error, pause_s)
        except Exception as problem:  # noqa: BLE001  nobody reads what we print any more: the work goes on
            log_unexpected(problem, _WHERE)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _refill_column(self) -> None:
        """Refills the guide's column after a change of model whose own process ended before that."""
        try:
            done = await legacy_column.refill(self._db, wait=False)
        except (SwitchRefused, RightsMissing) as error:  # logged once: it does not change by itself
            if not self._column_refused:
                log.warning("worker.column", detail=error.message, remedy="ateneo embeddings switch")
            self._column_refused = True
        except DatabaseError as error:
            log.warning("worker.column", reason=error.code, detail=error.loggable)
        except Exception as error:  # noqa: BLE001
            log_unexpected(error, _WHERE)
        else:
            if done.changed:
                log.info("worker.column", rows=done.changed)

    async def _beat(self) -> None:
        while True:
            await self._report(always=True)
            await asyncio.sleep(BEAT_S)

    async def _report(self, *, always: bool = False) -> None:
        """Tells the database what this worker does: at every beat, and when that changes."""
        engines = [lane.engine for lane in self._lanes.values()]
        paused = next((one for one in engines if one.state == "paused"), None)
        idle = bool(engines) and all(one.state == "idle" for one in engines)
        note = paused.failure.loggable if paused and paused.failure else None
        if note is None and self._out_of_reach is not None:
            note = tr(f"sin la clave o dirección de {self._out_of_reach}, el modelo activo",
                      f"without the key or address of {self._out_of_reach}, the active model")  # fmt: skip
        now = ("paused" if paused else "idle" if idle else "working", note)
        if now == self._reported and not always:
            return
        self._reported = now
        state, note = now
        concurrency = self._models.main.concurrency
        await report(self._db, self.name, state=state, note=note, concurrency=concurrency, rate=self.totals.rate.now)

    async def _listen(self) -> None:
        def wake() -> None:
            for lane in self._lanes.values():
                lane.engine.wake()

        while True:
            try:
                async with queue.listening(self._db, wake) as ended:
                    await ended.wait()
            except DirectConnectionNeeded as error:
                log.warning("worker.polls", reason=error.code, detail=error.loggable, remedy=error.remedy)
                return
            except DatabaseError:
                pass  # tried again after the pause
            await asyncio.sleep(BEAT_S)

    async def _maintain(self) -> None:
        """What `ateneo index tune` does, and what the triggers have not seen; one worker at a time."""
        while self._maintenance_s:
            await asyncio.sleep(self._maintenance_s)
            try:
                await query_log.forget_expired(self._db)
                await kept_answers.forget_expired(self._db)
                for number in list(self._lanes):
                    await queue.fill(self._db, number)
                async for tuned in maintenance.tune(self._db, threshold=self._threshold, bm25=self._bm25):
                    log.info("worker.tuned", action=tuned.action, target=tuned.target, seconds=round(tuned.seconds, 1))
            except MaintenanceRunning:
                pass
            except DatabaseError as error:
                log.warning("worker.maintenance", reason=error.code, detail=error.loggable)
            except Exception as error:  # noqa: BLE001
                log_unexpected(error, _WHERE)
