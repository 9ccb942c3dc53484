"""A reader process gives up what it does not need, before it sees a file: see ADR 53.

What its imports need stays: a process opens what it has not imported yet when a file asks for it.
"""

import ctypes
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ateneo.ingestion.parsing import landlock, system_calls

FILES, CALLS, USER = "landlock", "seccomp", "uid"
"""What may hold, by the names that a reader reports."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_NOBODY = 65534
_NICENESS = 5
_MOST_OPEN_FILES = 256
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store")
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/usr/share/locale",
    "/dev/null",
    "/sys/devices/system/cpu",
)


@dataclass(frozen=True, slots=True)
class Confined:
    """`holds`: the names of what holds. What cannot be opened any more: `frames`, the pipe to the parent, and `statm`,
    /proc/self/statm where there is one."""

    holds: list[str]
    frames: int
    statm: int | None = None


def confine(parent: int) -> Confined:
    """Gives up what can be given up here, in a process of one thread. It ends with `parent`."""
    os.nice(_NICENESS)
    _lower_for_good()
    frames = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a library that prints must not write between the frames
    confined = _confine_on_linux(frames) if sys.platform == "linux" else Confined([], frames)
    if os.getppid() != parent:
        sys.exit()
    return confined


def _confine_on_linux(frames: int) -> Confined:
    library = ctypes.CDLL(None)
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    # where memory ends, this process and not its parent
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    readable = _readable()
    holds = [USER] if _become_nobody(readable) else []
    library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after the change of user, which clears it
    alone = len(list(Path("/proc/self/task").iterdir())) == 1  # Landlock holds for a thread and those it starts
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        holds += [FILES] if landlock.restrict(readable) and alone else []
        holds += [CALLS] if system_calls.install() else []
    return Confined(holds, frames, statm)


def hide_memory() -> None:
    """Closes this process's memory, environment and descriptors (/proc/<pid>) to other processes of its user, readers
    among them: for a process that holds secrets. No debugger or profiler of that user attaches any more, and it leaves
    no core."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _readable() -> list[Path]:
    """Python's own folders, those that this process imports from, and the system's libraries."""
    python = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *sys.path]
    own = [Path(one) for one in python if one and Path(one).is_absolute()]
    return [one for one in (*own, *map(Path, _LIBRARIES), *map(Path, _SYSTEM_FILES)) if one.exists()]


def _become_nobody(readable: Sequence[Path]) -> bool:
    """Takes root's rights away, where the user nobody may read what is still to be imported."""
    if os.geteuid() != 0:
        return False
    try:
        os.setgroups([])
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
        may = all(os.access(one, os.R_OK, effective_ids=True) for one in readable)
        os.seteuid(0)
        os.setegid(0)
        if may:
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:  # a container without that right
        return False
    return may


def _lower_for_good() -> None:
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MOST_OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))
