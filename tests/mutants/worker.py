"""Runs tests over and over, each time in a fork: libraries are loaded once, and nothing of Ateneo that a mutant may
be in.

In: lines of JSON, the arguments of `run`. Out: for each a line, the test that failed, or "", and those that passed.
"""

import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARIES = (
    "numpy", "asyncpg", "fastapi", "httpx2", "pydantic_settings", "structlog", "rich.progress", "typer", "uvicorn",
    "onnxruntime", "tokenizers", "mcp.server.mcpserver", "openpyxl", "kreuzberg", "pypdfium2", "selectolax.parser",
    "jwt", "snowballstemmer",
)  # fmt: skip
ATENEO = ("ateneo.api.app", "ateneo.cli.commands", "ateneo.mcp.transports", "ateneo.providers.login")
"""What is loaded once, too, where mutants are of SQL alone."""


OPTIONS = ("-x", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")


class Outcome:
    """A plugin of pytest: the first test that failed, or file that could not be imported, and those that passed.

    `until`: the last test that is run; all without."""

    def __init__(self, until: str) -> None:
        self.until = until
        self.failed = ""
        self.passed: list[str] = []

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid
        elif report.when == "teardown":
            self.passed.append(report.nodeid)
        if report.when == "teardown" and report.nodeid == self.until:
            self.session.shouldstop = "the last one asked for"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed = self.failed or f"{report.nodeid} (import)"


def run(tests: list[str], timeout_s: int, until: str) -> tuple[str, list[str]]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.alarm(0)
        os.dup2(os.open(os.environ.get("MUTANT_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        outcome = Outcome(until)
        code = pytest.main([*OPTIONS, *tests], [outcome])
        failed = outcome.failed or ("" if code in (0, 2) else f"pytest ended with {code}")
        with os.fdopen(writing, "w") as pipe:
            json.dump((failed, outcome.passed), pipe)
        os._exit(0)
    os.close(writing)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child, signal.SIGTERM))
    signal.alarm(timeout_s)
    with os.fdopen(reading) as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGTERM)
    failed, passed = json.loads(said) if said else ("", [])
    return failed or ("" if status == 0 else f"ended with {status}"), passed


def main() -> None:
    own = ATENEO if "--ateneo" in sys.argv else ()
    for name in (*LIBRARIES, *own):
        with suppress(ImportError):
            importlib.import_module(name)
    assert own or "ateneo" not in sys.modules
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pytest.main(
        [
            "--collect-only",
            "-qq",
            *OPTIONS,
            *(["tests/db/test_isolation_own_rows.py"] if own else ["tests/mutants/find.py"]),
        ]
    )
    for line in sys.stdin:
        out.write(json.dumps(run(**json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    main()
