"""The embedded server ends with the last process that uses it, however that one ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.cli.run import ATENEO, ateneo_process

from ateneo.db import embedded


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # not pytest's own folder: every run closes that to the server's user anew
    with tempfile.TemporaryDirectory(prefix="ateneo-pg-", ignore_cleanup_errors=True) as place:
        made = Path(place) / "pg#1%20"
        upgraded = ateneo_process("db", "upgrade", url=f"embedded:{made}")
        assert upgraded.returncode == 0, upgraded.stderr
        assert servers(made) == []
        yield made


def servers(folder: Path) -> list[int]:
    """The postmasters that have it for their data."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "ppid"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and str(folder) in words:
            found.append(process.pid)
    return found


@contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [ATENEO, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"DATABASE_URL": f"embedded:{folder}", "ATENEO_SECRETS_FILE": "/nonexistent"} | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def until_served(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("it does not serve")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_serve(folder: Path, number: signal.Signals) -> None:
    port = free_port()
    with running(folder, "serve", "--port", str(port)) as process:
        until_served(port)
        assert len(servers(folder)) == 1
        process.send_signal(number)
        ended = process.wait(60)
    assert ended in (0, -number), "as a supervisor expects"
    assert servers(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_worker(folder: Path, number: signal.Signals) -> None:
    with running(folder, "worker", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        assert "en marcha" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) in (0, -number)
    assert servers(folder) == []


def test_an_agents_server_on_stdin(folder: Path) -> None:
    created = ateneo_process("keys", "create", "--empresa-id", "acme", url=f"embedded:{folder}")
    [key] = [word for word in created.stdout.split() if word.startswith("ateneo_")]
    with running(folder, "mcp", ATENEO_API_KEY=key) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n")
        process.stdin.flush()
        assert "serverInfo" in process.stdout.readline()
        process.terminate()
        process.wait(60)
    assert servers(folder) == []


def test_who_is_killed_counts_for_nothing(folder: Path) -> None:
    with running(folder, "worker", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        process.stdout.readline()
    assert len(servers(folder)) == 1, "nobody could stop it"
    assert ateneo_process("status", url=f"embedded:{folder}").returncode == 0
    assert servers(folder) == [], "the next one does"


def test_who_comes_while_another_works_stops_nothing(folder: Path) -> None:
    with running(folder, "worker", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        [server] = servers(folder)
        assert ateneo_process("status", url=f"embedded:{folder}").returncode == 0
        assert servers(folder) == [server]
        process.terminate()
        process.wait(60)
    assert servers(folder) == []


def test_a_number_that_another_program_has_now_is_no_server(folder: Path) -> None:
    """As after a container's restart: the numbers begin again."""
    with running(folder, "worker", PYTHONUNBUFFERED="1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        [server] = servers(folder)
        psutil.Process(server).kill()
        left = (folder / "postmaster.pid").read_text(encoding="utf-8")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as stranger:
        for _ in range(100):
            if not servers(folder) and not psutil.pid_exists(server):  # a zombie still holds its socket's lock file
                break
            time.sleep(0.1)
        (folder / "postmaster.pid").write_text(f"{stranger.pid}\n{left.partition(chr(10))[2]}", encoding="utf-8")
        done = ateneo_process("status", url=f"embedded:{folder}")
        stranger.kill()
    assert done.returncode == 0, done.stderr
    assert servers(folder) == []


def test_a_path_that_the_package_cannot_take_is_refused_with_the_remedy(tmp_path: Path) -> None:
    refused = ateneo_process("status", url=f"embedded:{tmp_path}/mis datos/pg")
    assert refused.returncode == 2
    assert "embedded:OTRA_CARPETA" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_starts_again_in_the_same_process(folder: Path) -> None:
    url = f"embedded:{folder}"
    for _ in range(2):
        first = embedded.start(url)
        assert embedded.start(url) == first
        assert len(servers(folder)) == 1
        embedded.stop(url)
        assert servers(folder) == []
    embedded.stop(url)
