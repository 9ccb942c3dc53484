"""What a reader process can do: each rule asked of the kernel, from within a confined process or from beside it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.ingestion.test_sandbox import read, readers

from ateneo.ingestion.parsing import landlock
from ateneo.ingestion.parsing.confinement import CALLS, FILES, USER
from ateneo.ingestion.parsing.sandbox import confined_by

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the rules are Linux's")

PR_SET_NO_NEW_PRIVS = 38
PROBES = {335, 336}
"""uretprobe and uprobe of x86_64, which no filter sees; the kernel ends who calls them himself."""
REFUSED = {1, 17, 38}  # EPERM; EEXIST of mkdir; ENOSYS, of what libraries ask for in another way

WITHIN = f"""
import ctypes, errno, json, os, socket, sys
sys.path[:0] = {[one for one in sys.path if one]!r}
sys.dont_write_bytecode = True
from ateneo.ingestion.parsing import landlock, system_calls
from pathlib import Path

library = ctypes.CDLL(None, use_errno=True)

def refused(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode[error.errno]
    return None
"""


def within(code: str) -> Any:
    """What the code, which begins unconfined, puts into `told`."""
    end = "\nprint(json.dumps(told)); sys.stdout.flush(); os._exit(0)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHIN + code + end], stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def seccomp_works() -> bool:
    return bool(within(f"library.prctl({PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0)\ntold = system_calls.install()"))


needs_seccomp = pytest.mark.skipif(sys.platform != "linux" or not seccomp_works(), reason="no seccomp here")
needs_landlock = pytest.mark.skipif(sys.platform != "linux" or not landlock.version(), reason="no Landlock here")


@needs_seccomp
def test_every_system_call_that_is_not_listed_is_refused() -> None:
    code = f"""
library.prctl({PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0)
system_calls.install()
told = {{}}
for number in sorted(set(range(600)) - {PROBES} - system_calls.allowed_numbers()):
    ctypes.set_errno(0)
    answer = library.syscall(number, 0, 0, 0, 0, 0, 0)
    told[number] = ctypes.get_errno() if answer == -1 else 0
"""
    told = within(code)
    assert len(told) > 400
    assert {number for number, error in told.items() if error not in REFUSED} == set()


@needs_seccomp
def test_what_a_listed_call_may_not_do_is_refused(tmp_path: Path) -> None:
    here = tmp_path / "a.txt"
    here.write_text("a", encoding="ascii")
    code = f"""
library.prctl({PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0)
system_calls.install()
told = {{
    "read": refused(lambda: os.close(os.open({str(here)!r}, os.O_RDONLY))),
    "write": refused(lambda: os.open({str(here)!r}, os.O_WRONLY)),
    "both": refused(lambda: os.open({str(here)!r}, os.O_RDWR)),
    "truncate": refused(lambda: os.open({str(here)!r}, os.O_RDONLY | os.O_TRUNC)),
    "create": refused(lambda: os.open({str(tmp_path / "b")!r}, os.O_RDONLY | os.O_CREAT)),
    "fork": refused(os.fork),
    "run": refused(lambda: os.execv("/bin/true", ["true"])),
    "connect": refused(socket.socket),
    "internet pair": refused(lambda: socket.socketpair(socket.AF_INET)),
    "signal": refused(lambda: os.kill(os.getppid(), 0)),
    "another's limits": refused(lambda: __import__("resource").prlimit(os.getppid(), 7)),
    "dumpable": library.prctl(4, 1, 0, 0, 0),
}}
"""
    told = within(code)
    assert told.pop("read") is None
    assert told.pop("dumpable") == -1
    assert set(told.values()) == {"EPERM"}


@needs_landlock
def test_what_is_not_listed_cannot_be_read(tmp_path: Path) -> None:
    open_, closed = tmp_path / "open", tmp_path / "closed"
    for folder in (open_, closed):
        folder.mkdir()
        (folder / "a.txt").write_text("a", encoding="ascii")
    (open_ / "link").symlink_to(closed / "a.txt")
    code = f"""
library.prctl({PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0)
held = landlock.restrict([Path({str(open_)!r})])
told = {{
    "held": held,
    "below": refused(lambda: open({str(open_ / "a.txt")!r}).read()),
    "beside": refused(lambda: open({str(closed / "a.txt")!r}).read()),
    "above": refused(lambda: os.listdir({str(tmp_path)!r})),
    "by a link": refused(lambda: open({str(open_ / "link")!r}).read()),
    "by ..": refused(lambda: open({str(open_ / ".." / "closed" / "a.txt")!r}).read()),
    "its parent": refused(lambda: open(f"/proc/{{os.getppid()}}/environ").read()),
    "itself": refused(lambda: open("/proc/self/environ").read()),
    "write": refused(lambda: open({str(open_ / "a.txt")!r}, "w")),
    "remove": refused(lambda: os.unlink({str(open_ / "a.txt")!r})),
}}
"""
    told = within(code)
    assert told.pop("held") is True
    assert told.pop("below") is None
    assert set(told.values()) == {"EACCES"}


@pytest.mark.skipif(sys.platform != "linux" or landlock.version() < 4, reason="Landlock knows no networks here")
def test_no_address_can_be_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"""
library.prctl({PR_SET_NO_NEW_PRIVS}, 1, 0, 0, 0)
landlock.restrict([])
told = refused(lambda: socket.create_connection(("127.0.0.1", {server.getsockname()[1]})))
"""
        assert within(code) == "EACCES"


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_the_readers_are_confined_as_they_say() -> None:
    held = await confined_by()
    await read()
    for pid in readers():
        told = status(pid)
        assert told["NoNewPrivs"] == "1"
        assert (told["Seccomp"] == "2") == (CALLS in held)
        assert (told["Uid"].split()[0] == "65534") == (USER in held)
        assert USER not in held or int(told["CapEff"], 16) == 0
    if sys.platform == "linux" and landlock.version():
        assert FILES in held
    if os.geteuid() == 0 and _nobody_may_import():
        assert USER in held


def _nobody_may_import() -> bool:
    within = f"import sys; sys.path[:0] = {[one for one in sys.path if one]!r}; import ateneo.ingestion.parsing.reader"
    command = [sys.executable, "-c", within]
    try:
        return not subprocess.run(command, user="nobody", extra_groups=[], cwd="/", check=False, stderr=-3).returncode
    except OSError:  # Python itself lies where root alone may look
        return False


async def test_the_kernel_holds_readers_to_their_limits() -> None:
    await read()
    for pid in readers():
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()[1:]
        limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
        assert int(limits["Max address space"][0]) <= 4 * 1024**3
        assert int(limits["Max data size"][0]) <= 900 * 1024**2
        assert int(limits["Max cpu time"][0]) < 600
        assert limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
        assert int(limits["Max open files"][1]) <= 1024


async def test_a_reader_has_no_descriptor_and_no_variable_of_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secreto")
    before = readers()
    for pid in before:
        os.kill(pid, 9)
    with (tmp_path / "abierto").open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        await read()
    [pid] = readers() - before
    links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
    assert all(one.startswith(("pipe:", "/dev/null")) or one.endswith("/statm") for one in links), links
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    known = {b"LD_LIBRARY_PATH", b"TMPDIR", b"OPENBLAS_NUM_THREADS", b"KREUZBERG_CACHE_DIR", b""}
    assert {one.partition(b"=")[0] for one in environ} <= known
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")


def test_a_process_that_hides_its_memory_is_not_read_by_others_of_its_user() -> None:
    code = """
from ateneo.ingestion.parsing.confinement import hide_memory
before = library.prctl(3, 0, 0, 0, 0)
hide_memory()
told = [before, library.prctl(3, 0, 0, 0, 0), os.stat("/proc/self/environ").st_uid]
"""
    assert within(code) == [1, 0, 0]
