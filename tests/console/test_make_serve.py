"""`make serve` as somebody types it who has just run the demo."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from tests.cli.run import environment

SCRIPT = Path(__file__).parents[2] / "examples" / "serve.py"


@pytest.mark.long
def test_the_examples_companies_are_there_with_keys() -> None:
    with tempfile.TemporaryDirectory(prefix="ateneo-serve-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # as root the server is another user's
        _check(Path(folder))
        assert not list(Path(folder).rglob("postmaster.pid")), "the server was left running"


def _check(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        command = [sys.executable, "-u", str(SCRIPT), "--port", str(free.getsockname()[1])]
    with subprocess.Popen(
        command, cwd=folder, env=environment(None), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        assert server.stdout is not None
        said = ""
        for line in server.stdout:
            said += line
            if found := re.search(r"running on (http://127.0.0.1:\d+)", line):
                break
        try:
            assert found is not None, said
            keys = re.findall(r"^ateneo_\w+$", said, re.MULTILINE)
            assert len(keys) == 2
            for key in keys:
                with httpx.Client(base_url=found[1], timeout=60) as client:
                    assert client.post("/entrar", data={"key": key}).status_code == 303
                    assert ".md" in client.get("/documentos").text
        finally:
            os.kill(server.pid, signal.SIGINT)
            server.communicate(timeout=60)
