"""Commands for tests: in this process, or as one of their own where signals, terminals or its end are the subject."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import structlog

from ateneo.cli import commands, runtime, usage

ATENEO = str(Path(sys.executable).with_name("ateneo"))
Ended = subprocess.CompletedProcess[str]


def environment(url: str | None, **more: str) -> dict[str, str]:
    """What a command finds: nothing of the developer's."""
    own = ("ATENEO_", "OPENAI_", "ANTHROPIC_", "HF_", "DATABASE_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    database = {"DATABASE_URL": url} if url else {}
    return clean | {"COLUMNS": "80", "ATENEO_SECRETS_FILE": "/nonexistent"} | database | more


def ateneo_process(*arguments: str, url: str | None, **more: str) -> Ended:
    """A command as a process of its own."""
    return subprocess.run(
        [ATENEO, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(url, **more),
    )


def ateneo(*arguments: str, url: str | None, **more: str) -> Ended:
    """A command in this process."""

    def main() -> None:
        runtime.prepare()
        usage.run(commands.build(), arguments)

    return in_this_process(main, environment(url, **more))


def in_this_process(main: Callable[[], None], env: dict[str, str], typed: str = "") -> Ended:
    """Its exit code and what it says, without the second that a process takes to import and to load the model. It has
    a thread, since the test may have an event loop, and so leaves signals alone."""
    out, err = io.BytesIO(), io.BytesIO()
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    codes: list[int] = []

    def run() -> None:
        try:
            main()
            codes.append(0)
        except SystemExit as end:
            codes.append(int(end.code or 0))

    thread = threading.Thread(target=run, daemon=True)
    logging = structlog.get_config()
    with (
        patch.dict(os.environ, env, clear=True),
        patch.object(signal, "signal", lambda *_: None),
        patch.object(asyncio.SelectorEventLoop, "add_signal_handler", lambda *_: None),
        patch.object(asyncio.SelectorEventLoop, "remove_signal_handler", lambda *_: False),
        patch.object(sys, "stdin", io.StringIO(typed)),
        redirect_stdout(io.TextIOWrapper(out, encoding, write_through=True)),
        redirect_stderr(io.TextIOWrapper(err, encoding, write_through=True)),
    ):
        thread.start()
        thread.join(120)
        said = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
    structlog.configure(**logging)
    assert codes, said
    return Ended([], codes[0], *said)
