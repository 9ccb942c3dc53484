"""`ateneo jobs`, and an `ateneo ingest` that was killed: the same command does what is left, once."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.run import ATENEO, Ended, ateneo, environment
from tests.providers.server import ProviderServer


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer(dims=8) as server:
        yield server


@pytest.fixture
def more(provider: ProviderServer) -> dict[str, str]:
    key = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": provider.url, "ATENEO_EMBEDDING_MODEL": "m"}
    return key | {"ATENEO_LEASE_S": "2"}


@pytest.fixture
def run(database_url: str, more: dict[str, str]) -> Callable[..., Ended]:
    return lambda *arguments: ateneo(*arguments, "-e", "acme", url=database_url, **more)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_ingest_goes_on_where_it_was(
    database_url: str,
    run: Callable[..., Ended],
    more: dict[str, str],
    provider: ProviderServer,
    tmp_path: Path,
    how: signal.Signals,
) -> None:
    for number in range(3):
        (tmp_path / f"n{number}.md").write_text(f"# N\n\nEl texto número {number}.", encoding="utf-8")
    assert run("ingest", str(tmp_path / "n0.md")).returncode == 0
    provider.gate.clear()
    command = [ATENEO, "ingest", str(tmp_path), "-e", "acme"]
    process = subprocess.Popen(
        command, env=environment(database_url, **more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not provider.in_flight:
        threading.Event().wait(0.05)
    process.send_signal(how)
    process.wait(60)
    provider.gate.set()
    [open_] = json.loads(run("jobs", "list", "--state", "open", "--json").stdout)
    assert (open_["source"], open_["state"]) == ("n1.md", "embedding" if how == signal.SIGKILL else "queued")
    assert "2 nuevos, 0 actualizados, 1 sin cambios" in run("ingest", str(tmp_path)).stdout
    done = json.loads(run("jobs", "list", "--json").stdout)
    assert [one["source"] for one in done if one["state"] == "ready"] == ["n2.md", "n1.md", "n0.md"]
    assert len(done) == 3 and len(json.loads(run("documents", "list", "--json").stdout)) == 3


def test_what_failed_is_shown_and_tried_again(run: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "vacio.md").write_text(" ", encoding="utf-8")
    assert run("ingest", str(tmp_path)).returncode == 3
    [failed] = json.loads(run("jobs", "list", "--state", "failed", "--json").stdout)
    shown = run("jobs", "show", failed["job_id"]).stdout
    assert "falló" in shown and failed["error"]["remedy"] in shown
    assert "vuelve a la cola" in run("jobs", "retry", "--all").stdout
    assert "falló" not in run("jobs", "list").stdout
    assert "cancelada" in run("jobs", "cancel", failed["job_id"]).stdout
    again = run("jobs", "retry", failed["job_id"])
    assert again.returncode == 2 and "cancelled" in again.stderr
    assert run("jobs", "cancel").returncode == 2
