"""`ateneo keys` and `ateneo serve`, as a user runs them."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

MAIN = [sys.executable, "-c", "from ateneo.cli.main import main; main()"]


def _ateneo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAIN, *arguments], capture_output=True, text=True, check=False, timeout=60)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_keys_are_made_used_and_revoked(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    made = _ateneo("keys", "create", "--empresa-id", "acme", "--name", "backend [x]")
    key = made.stdout.strip()
    assert re.fullmatch(r"ateneo_[0-9a-f]{16}_[0-9a-f]{72}", key), made.stderr
    assert key not in made.stderr
    assert "acme" in made.stderr

    listed = _ateneo("keys", "list", "--json").stdout
    assert key.rsplit("_", 1)[1] not in listed
    (entry,) = json.loads(listed)
    assert (entry["empresa_id"], entry["name"], entry["revoked"]) == ("acme", "backend [x]", False)
    assert "ateneo_" + key.split("_")[1] in _ateneo("keys", "list", "-e", "acme").stdout

    port = _free_port()
    server = subprocess.Popen(
        [*MAIN, "serve", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        url = f"http://127.0.0.1:{port}"
        assert _answers(f"{url}/ready", server) == 200
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/documents?limit=7", headers=headers).status_code == 200
        assert _ateneo("keys", "revoke", entry["key_id"]).returncode == 0
        assert httpx.get(f"{url}/documents", headers=headers).status_code == 401
    finally:
        server.send_signal(signal.SIGINT)
        written, _ = server.communicate(timeout=30)
    assert server.returncode in (0, 130), written
    assert "Traceback" not in written
    assert key not in written
    assert "path=/documents" in written
    assert "limit=7" not in written


def _answers(url: str, server: subprocess.Popen[str]) -> int:
    while server.poll() is None:
        try:
            return httpx.get(url).status_code
        except httpx.ConnectError:
            time.sleep(0.05)
    raise AssertionError(server.communicate()[0])


def test_revoking_an_unknown_key_fails(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    done = _ateneo("keys", "revoke", "nada")
    assert done.returncode == 2
    assert "nada" in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_does_not_start_on_a_database_that_is_not_upgraded(
    bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", bare_url)
    done = _ateneo("serve", "--port", str(_free_port()))
    assert done.returncode == 1
    assert "ateneo db upgrade" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "word"),
    [("postgresql://u:clave-secreta@127.0.0.1:1/x", "127.0.0.1"), ("", "DATABASE_URL"), ("mysql://x", "DATABASE_URL")],
)
def test_serve_without_a_database(monkeypatch: pytest.MonkeyPatch, url: str, word: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    done = _ateneo("serve", "--port", str(_free_port()))
    assert done.returncode in (1, 2)
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert "clave-secreta" not in done.stderr
