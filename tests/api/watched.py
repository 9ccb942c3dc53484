"""The API in a process of its own that watches its event loop: run by `test_hostile_uploads.py`.

A delay that this process causes costs processor time (a call that holds Python's lock) and is as long as it; one that
other processes cause, on a busy machine, costs time only. The lesser of both is what the loop itself stood still.
"""

import asyncio
import json
import sys
import time

import structlog
import uvicorn

from ateneo.api.app import create_app
from ateneo.settings import load

EVERY_S = 0.005


class Watch:
    """The longest delay of the loop, in seconds, and when it was."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.ticks = 0

    async def run(self) -> None:
        while True:
            before, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(EVERY_S)
            self.longest = max(self.longest, min(time.perf_counter() - before - EVERY_S, time.process_time() - used))
            self.ticks += 1


async def burn() -> None:
    """Holds the loop up, so that the watch has something to see."""
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    await asyncio.sleep(2 * EVERY_S)


async def serve() -> None:
    """Serves until stdin ends. Prints its address, then for each line of stdin the longest delay since the last."""
    server = uvicorn.Server(uvicorn.Config(create_app(load()), port=0, log_config=None, access_log=False))
    watch = Watch()
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    watching = asyncio.create_task(watch.run())
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "burn":
            await burn()
        print(json.dumps({"longest": watch.longest, "ticks": watch.ticks}), flush=True)
        watch.longest, watch.ticks = 0.0, 0
    watching.cancel()
    server.should_exit = True
    await serving


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(serve())
