"""The worker: keeps every generation's vectors up to date with the chunks table, for as long as it runs.

    worker = Worker(db, models)
    await worker.run()                # until worker.stop()

A lane a generation, each an EmbeddingQueue; one process may have several, while a switch of model is under way. A hint
by NOTIFY wakes it at once, a look every second anyway. What fails for all texts pauses a lane, and is tried again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from ateneo.db import generations, query_log, queue, workers
from ateneo.db.pool import Database
from ateneo.embedding import legacy_column
from ateneo.embedding.current_model import Models
from ateneo.embedding.generation import gives_way, mismatch, own_generation
from ateneo.embedding.heartbeat import BEAT_S, Rate, report
from ateneo.embedding.locks import ReadWriteLock
from ateneo.embedding.queue import LEASE_S, Batch, EmbeddingQueue, new_name
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

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 300.0
_LONGEST_ASKED_S = 3600.0
"""A provider that asks for a longer pause is asked again after this one."""
_LOOK_FOR_GENERATIONS_S = 2.0
_WHERE = "worker"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a worker has done since it began; `rate` in chunks a second over the last minute."""

    processed: int
    copied: int
    failed: int
    tokens: int
    rate: float


@dataclass(slots=True)
class _Lane:
    queue: EmbeddingQueue
    state: str = "working"
    note: str | None = None
    stopped: bool = False
    failure: AteneoError | None = None
    task: "asyncio.Task[None] | None" = None
    failures: int = field(default=0)


class Worker:
    """`db` must be a pool of at least `concurrency` + 5 connections."""

    def __init__(
        self,
        db: Database,
        models: Models,
        *,
        batch_size: int = 500,
        concurrency: int = 4,
        lease_s: float = LEASE_S,
        maintenance_s: float = 3600.0,
        threshold: int = maintenance.THRESHOLD,
        bm25: tuple[float | None, float | None] = (None, None),
        on_batch: Callable[[Batch], None] | None = None,
        on_pause: Callable[[AteneoError, float], None] | None = None,
    ) -> None:
        """`concurrency`: batches at a time in each lane; `lease_s`: as of EmbeddingQueue; `maintenance_s`: seconds
        between runs of index maintenance, 0 for none; `on_pause` is called with the reason and the seconds."""
        self.name = new_name()
        self._db, self._models = db, models
        self._batch_size, self._concurrency = batch_size, concurrency
        self._lease_s = lease_s
        self._maintenance_s, self._threshold, self._bm25 = maintenance_s, threshold, bm25
        self._on_batch, self._on_pause = on_batch, on_pause
        self._lanes: dict[int, _Lane] = {}
        self._lock = ReadWriteLock()
        self._stopping = asyncio.Event()
        self._rate = Rate()
        self._processed = self._copied = self._failed = self._tokens = 0
        self._reported: tuple[object, ...] = ()
        self._column: asyncio.Task[None] | None = None
        self._column_refused = False
        self._out_of_reach: str | None = None

    @property
    def totals(self) -> Totals:
        return Totals(self._processed, self._copied, self._failed, self._tokens, self._rate.now)

    def stop(self) -> None:
        """Claims no more, and ends after the batches in progress."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.queue.stop()

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
                await asyncio.gather(*(lane.task for lane in self._lanes.values() if lane.task))
                if self._column is not None:
                    await self._column
            else:
                await self._supervise()
        finally:
            for task in tasks:
                task.cancel()
            lanes = [task for task in (self._column, *(lane.task for lane in self._lanes.values())) if task]
            for task in lanes:
                task.cancel()
            await asyncio.gather(*tasks, *lanes, return_exceptions=True)
            with contextlib.suppress(DatabaseError):
                await asyncio.shield(workers.leave(self._db, self.name))
        failure = next((lane.failure for lane in self._lanes.values() if lane.failure), None)
        if once and failure is not None:
            raise failure

    async def _supervise(self) -> None:
        """Begins the lane of each generation that appears, and ends that of each that goes."""
        pause = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                await self._update_lanes(once=False)
                pause = _LOOK_FOR_GENERATIONS_S
            except (NotUpgraded, RightsMissing):
                raise
            except Exception as error:
                log_unexpected(error, _WHERE)
                problem = as_ours(error, _WHERE)
                if not isinstance(problem, DatabaseError) and not self._lanes and problem.exit_code == 2:
                    raise
                pause = min(pause * 2, _LONGEST_PAUSE_S)
                self._paused(problem, pause)
            await self._sleep(pause)
        await asyncio.gather(*(lane.task for lane in self._lanes.values() if lane.task))

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
                lane.queue.stop()
                lane.stopped = True
            if lane.task is not None and lane.task.done():  # one that is still needed is created again
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
        await queue.fill(self._db, generation.number)
        lane = _Lane(
            EmbeddingQueue(
                self._db,
                embedding,
                generation,
                batch_size=self._batch_size,
                concurrency=self._concurrency,
                on_batch=self._count,
                worker=self.name,
                lease_s=self._lease_s,
                lock=self._lock,
            )
        )
        self._lanes[generation.number] = lane
        if self._stopping.is_set():
            lane.queue.stop()
        lane.task = asyncio.create_task(self._work(lane, once=once))

    async def _work(self, lane: _Lane, *, once: bool) -> None:
        """As long as the worker runs: whatever ends a turn pauses the lane, and is tried again."""
        while not self._stopping.is_set() and not lane.stopped:
            try:
                going_on = await self._drain(lane, once=once)
            except Exception as error:  # noqa: BLE001
                log_unexpected(error, _WHERE)
                going_on = await self._handle(lane, as_ours(error, _WHERE), once=once)
            if not going_on:
                return

    async def _drain(self, lane: _Lane, *, once: bool) -> bool:
        """What can be done now; False where the lane has come to its end."""
        did = False
        try:
            did = await lane.queue.drain()
            failure = lane.queue.outage
        except DatabaseError as error:
            failure = error
        if isinstance(failure, NotUpgraded) and await self._pruned(lane):
            return False
        if failure is not None:
            return await self._handle(lane, failure, once=once)
        if did:
            lane.failure, lane.failures = None, 0
        elif once:
            return False
        else:
            lane.state, lane.note = "idle", None
            await self._report()
            await lane.queue.wait()
            lane.state = "working"
        return True

    async def _handle(self, lane: _Lane, failure: AteneoError, *, once: bool) -> bool:
        """Returns whether the lane goes on."""
        lane.failure = failure
        if not once:
            await self._pause(lane, failure)
        return not once

    async def _pruned(self, lane: _Lane) -> bool:
        """Whether the lane's generation was dropped meanwhile, with its tables."""
        known = await generations.all_generations(self._db)
        return lane.queue.generation.number not in {one.number for one in known}

    async def _pause(self, lane: _Lane, failure: AteneoError) -> None:
        lane.failures += 1
        pause = pause_s(lane.failures, failure.fields.get("retry_after"))
        lane.state, lane.note = "paused", failure.loggable
        self._paused(failure, pause)
        await self._report()
        await self._sleep(pause)
        lane.state, lane.note = "working", None

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

    def _count(self, batch: Batch) -> None:
        self._rate.add(batch.processed)
        self._processed += batch.processed
        self._copied += batch.copied
        self._failed += len(batch.failed)
        self._tokens += batch.tokens
        if self._on_batch is not None:
            self._on_batch(batch)

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
        lanes = self._lanes.values()
        paused = next((lane for lane in lanes if lane.state == "paused"), None)
        idle = bool(lanes) and all(lane.state == "idle" for lane in lanes)
        note = paused.note if paused else None
        if note is None and self._out_of_reach is not None:
            note = tr(f"sin la clave o dirección de {self._out_of_reach}, el modelo activo",
                      f"without the key or address of {self._out_of_reach}, the active model")  # fmt: skip
        now = ("paused" if paused else "idle" if idle else "working", note)
        if now == self._reported and not always:
            return
        self._reported = now
        state, note = now
        concurrency = self._models.main.concurrency
        await report(self._db, self.name, state=state, note=note, concurrency=concurrency, rate=self._rate.now)

    async def _listen(self) -> None:
        def wake() -> None:
            for lane in self._lanes.values():
                lane.queue.wake()

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


def pause_s(failures: int, asked: object) -> float:
    """Seconds after so many failures in a row: what the provider asks for, else doubled with every one."""
    if isinstance(asked, float):
        return min(max(asked, _FIRST_PAUSE_S), _LONGEST_ASKED_S)
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
