"""Files read in processes of their own: a hostile file may hang one, crash it or fill it, and nothing else.

A few processes, one a thread of a pool, are kept for the files that follow; one that was stopped or has crashed is
replaced. What they run, and the protocol, is in `reader.py`.
"""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from ateneo import errors, i18n
from ateneo.errors import AteneoError, DocumentCorrupt, DocumentTooLarge, DocumentTooSlow, ReaderUnavailable
from ateneo.i18n import tr
from ateneo.ingestion.parsing.extracted import LONGEST_FRAME, MOST_DATA, out_of_memory
from ateneo.ingestion.parsing.received import NoReader, Received
from ateneo.ports import TokenCounter
from ateneo.types import Box, Chunk, Document, MarkedPage, ReadingReport

log = structlog.get_logger(__name__)

_MOST_PROCESSES = 4
_SECONDS_TO_START = 60.0
_OCR_SHARE = 0.7
_COMMAND = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path += sys.argv[2:]\n"
    "from ateneo.ingestion.parsing.reader import main; main(int(sys.argv[1]))"
)


async def read_file(
    data: bytes,
    name: str,
    counter: TokenCounter,
    *,
    max_bytes: int,
    timeout_s: float,
    max_tokens: int,
    overlap: int,
    ocr: bool = True,
) -> tuple[Document, list[Chunk]]:
    """`parse`, `detect` and `chunk` in a process of their own, stopped after `timeout_s` seconds or on cancellation;
    OCR, unless it is off, ends before, and the report says which pages it did not read.

    The document comes without its sections; its metadata has the language. Raises what `parse` and `chunk` raise,
    DocumentTooSlow where the process was stopped, DocumentCorrupt where it crashed, ReaderUnavailable where none can be
    started.
    """
    if len(data) > max_bytes:
        raise DocumentTooLarge(name=name, size=i18n.size(len(data)), limit=i18n.size(max_bytes))
    request = {
        "name": name,
        "size": len(data),
        "max_bytes": max_bytes,
        "max_tokens": max_tokens,
        "overlap": overlap,
        "cpu_s": int(timeout_s) + 5,
        "ocr_s": timeout_s * _OCR_SHARE if ocr else 0.0,
        "lang": i18n.current(),
    }
    outcome = await _run(_Turn(request, data, counter, timeout_s))
    last = _last(name, timeout_s, outcome)
    return Document(sections=(), **last["document"], reading=ReadingReport.of(last["reading"])), outcome.chunks


async def locate_in_file(
    data: bytes, name: str, quote: str, page: int | None, *, max_bytes: int, timeout_s: float
) -> tuple[MarkedPage, ...]:
    """`pdf_locate.locate` in such a process. Raises as `read_file`."""
    request = {
        "name": name,
        "size": len(data),
        "max_bytes": max_bytes,
        "quote": quote,
        "page": page,
        "cpu_s": int(timeout_s) + 5,
        "lang": i18n.current(),
    }
    outcome = await _run(_Turn(request, data, None, timeout_s))
    return tuple(
        MarkedPage(**{**page, "boxes": tuple(Box(**box) for box in page["boxes"])})
        for page in _last(name, timeout_s, outcome)["marked"]
    )


async def confined_by() -> list[str]:
    """The names of what confines the readers on this machine (`confinement.py`). Raises ReaderUnavailable."""
    request = {"name": "-", "size": None, "cpu_s": int(_SECONDS_TO_START), "lang": i18n.current()}
    return await asyncio.wrap_future(_threads.submit(_Turn(request, b"", None, _SECONDS_TO_START).begin))


async def _run(turn: "_Turn") -> "_Outcome":
    reading = asyncio.wrap_future(_threads.submit(turn.run))
    try:
        return await reading
    except asyncio.CancelledError:
        turn.stop()
        raise


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a turn ended: `last` is the reader's last frame, None where it crashed or was stopped; `filled`: whether it
    crashed for want of memory."""

    last: Mapping[str, Any] | None
    chunks: list[Chunk]
    stopped: bool = False
    filled: bool = False


def _last(name: str, timeout_s: float, outcome: _Outcome) -> Mapping[str, Any]:
    """The reader's last frame. Raises what it failed with."""
    last = outcome.last
    if last is None and outcome.stopped:
        raise DocumentTooSlow(name=name, seconds=timeout_s)
    if last is None and outcome.filled:
        raise out_of_memory(name, i18n.size(MOST_DATA))
    if last is None or "failed" in last:
        log.warning("reader.failed", error=last["failed"] if last else "crash")
        detail = tr("el lector falló con este archivo.", "the reader crashed on this file.")
        raise DocumentCorrupt(name=name, detail=detail)
    if "error" in last:
        kind = getattr(errors, last["error"], None)
        assert isinstance(kind, type)
        assert issubclass(kind, AteneoError)
        raise kind(**last["fields"])
    return last


# --- a file's turn with a process ---------------------------------------------------------------------------------


class _Turn:
    """One file's turn. `run` works in a thread of the pool; `stop` may come from any other."""

    def __init__(self, request: Mapping[str, Any], data: bytes, counter: TokenCounter | None, timeout_s: float) -> None:
        self._request = request
        self._data = data
        self._counter = counter
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._stopped = False

    def run(self) -> _Outcome:
        self.begin()
        process = _Process.of_this_thread()
        received = Received()
        last = None
        try:
            with self._at_most(self._timeout_s):
                last = process.read(self._data, self._counter, received)
        except (NoReader, OSError):
            pass
        finally:
            with self._lock:
                self._process = None
            filled = last is None and process.end()
        return _Outcome(last, received.chunks, self._stopped, filled)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def begin(self) -> list[str]:
        """Gets this thread's process ready for the file, and returns what confines it. It may have ended since the last
        one; then it is replaced."""
        for _ in range(2):
            process = _Process.of_this_thread()
            with self._lock:
                self._process = process
            try:
                with self._at_most(_SECONDS_TO_START):
                    return process.ask(self._request)
            except (NoReader, OSError):
                process.end()
            if self._stopped:
                break
        raise ReaderUnavailable(name=self._request["name"])

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self.stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class _Process:
    """A reader process and its pipes. It belongs to the thread that started it and ends with it: Linux ties the
    signal at the parent's death (`reader.py`) to that thread."""

    def __init__(self) -> None:
        command = [sys.executable, "-IB", "-c", _COMMAND, str(os.getpid()), *_import_paths()]
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd=os.sep,
        )

    @classmethod
    def of_this_thread(cls) -> "_Process":
        process: _Process | None = getattr(_own, "process", None)
        if process is None:
            try:
                process = _own.process = cls()
            except OSError as error:
                raise NoReader from error
        return process

    def ask(self, request: Mapping[str, Any]) -> list[str]:
        """Sends what is wanted of the next file, waits until the reader is ready for it, and returns what confines it.
        Raises NoReader."""
        self._send(request)
        frame = self._receive()
        if "ready" not in frame:
            raise NoReader
        return list(frame["ready"])

    def read(self, data: bytes, counter: TokenCounter | None, received: Received) -> Mapping[str, Any]:
        """Sends the file, counts the tokens that the reader asks for, collects the chunks; returns the last frame."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()
        while True:
            frame = self._receive()
            if "count" in frame and counter is not None:
                self._send({"tokens": counter.count_tokens(received.texts(frame))})
            elif "chunks" in frame:
                received.add(frame)
            else:
                return frame

    def kill(self) -> None:
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> bool:
        """Kills the process and waits for its end; the thread's next file gets another. Returns whether it had ended
        for want of memory."""
        if getattr(_own, "process", None) is self:
            del _own.process
        filled = _crashed_full(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was still to be written to it
                continue
        return filled

    def __del__(self) -> None:
        if hasattr(self, "_process") and self._owner == os.getpid():  # and not a fork of the process that started it
            self.end()

    def _send(self, frame: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(frame).encode() + b"\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline(LONGEST_FRAME)
        try:
            frame = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            raise NoReader
        return frame


def _crashed_full(process: "subprocess.Popen[bytes]") -> bool:
    """Ends the process; whether the kernel had ended it, or it had crashed with much of its memory taken. What its
    parent took when it was started counts as its own: one that took less than this process does not tell."""
    if process.returncode is not None or sys.platform != "linux":
        process.kill()
        process.wait()
        return False
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    os.kill(process.pid, signal.SIGKILL)  # Popen's would take its end away
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == -signal.SIGKILL:
        return ended is not None
    least = max(MOST_DATA // 2048, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return process.returncode != 0 and used.ru_maxrss > least


def _environment() -> dict[str, str]:
    """What the loader of Python's own library may need, and where the language model may be unpacked; nothing else that
    this process was given. numpy may start no thread, since a reader has one when it confines itself; OCR finds its
    (unused) cache where it cannot make one."""
    names = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "KREUZBERG_CACHE_DIR": str(Path(__file__).with_name("tessdata"))}


def _import_paths() -> list[str]:
    """Where Ateneo and the packages that it needs are installed, for the end of the reader's sys.path, which has
    Python's own folders already. The working folder is none of them, unless Ateneo itself lies in it."""
    own = [str(Path(__file__).parents[3])]
    here = Path.cwd()
    others = [path for path in sys.path if Path(path).is_absolute() and Path(path) != here]
    return [*own, *(path for path in others if next(Path(path).glob("*.dist-info"), None))]


# --- the processes ------------------------------------------------------------------------------------------------


def _pool() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(min(cores, _MOST_PROCESSES), thread_name_prefix="ateneo-reader")


def _after_fork() -> None:
    """A forked process has none of the threads, and must not write to its parent's readers."""
    global _threads, _own
    _threads, _own = _pool(), threading.local()


_own = threading.local()
_threads = _pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
