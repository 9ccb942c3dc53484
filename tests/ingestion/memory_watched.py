"""A process that stands for the server and says how much memory reading a file takes: run by `test_memory.py`."""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from ateneo.errors import AteneoError
from ateneo.ingestion.parsing.sandbox import read_file


class Words:
    """A token counter that costs nothing."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text) // 4 + 2 for text in texts]


def status(pid: int | str, field: str) -> int:
    """Megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) // 1024


def readers() -> list[int]:
    listed = [path.read_text(encoding="ascii") for path in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for pids in listed for pid in pids.split()]


@contextlib.contextmanager
def largest_reader() -> Iterator[list[int]]:
    """The peaks of the readers' memory, in megabytes, looked at while they run."""
    peaks, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            for pid in readers():
                with contextlib.suppress(OSError, StopIteration):
                    peaks[0] = max(peaks[0], status(pid, "VmHWM"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        time.sleep(0.02)
        done.set()
        thread.join()


async def read(data: bytes, name: str, timeout_s: float) -> dict[str, object]:
    try:
        _, chunks = await read_file(
            data, name, Words(), max_bytes=50 * 1024**2, timeout_s=timeout_s, max_tokens=200, overlap=32
        )
    except AteneoError as error:
        return {"code": error.code, "remedy": error.remedy, "message": error.message}
    return {"chunks": len(chunks), "characters": sum(len(one.contenido) for one in chunks)}


def measured(data: bytes, name: str, timeout_s: float) -> dict[str, object]:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    idle, began = status("self", "VmRSS"), time.monotonic()
    with largest_reader() as peaks:
        found = asyncio.run(read(data, name, timeout_s))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    taken = {"parent_mb": status("self", "VmHWM") - idle, "child_mb": peaks[0], "ended_mb": ended}
    return {"name": name, "bytes": len(data), "s": round(time.monotonic() - began, 1), **taken, **found}


def main(timeout_s: float) -> None:
    """Reads the files whose paths come in, a line each; says a line of JSON of each."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(read(b"Hola.", "a.md", 60))
    for line in sys.stdin:
        path = Path(line.strip())
        print(json.dumps(measured(path.read_bytes(), path.name, timeout_s)), flush=True)
        asyncio.run(end())


async def end() -> None:
    """Ends the reader, so that the next file has a fresh one."""
    for pid in readers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


if __name__ == "__main__":
    main(float(sys.argv[1]))
