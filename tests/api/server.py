"""The API on a real uvicorn in a thread, as `ateneo serve` runs it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from ateneo.api.app import create_app
from ateneo.cli.serve import LONGEST_HEAD
from ateneo.settings import Settings, load


def settings(url: str, **variables: str) -> Settings:
    """Settings of the test's own, whatever the developer's environment holds."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(("ATENEO_", "OPENAI_", "ANTHROPIC_")):
                environment.delenv(name)
        for name, value in {"DATABASE_URL": url, "ATENEO_THREADS": "1", **variables}.items():
            environment.setenv(name, value)
        return load(Path(os.devnull))


@contextmanager
def serving(chosen: Settings | FastAPI) -> Iterator[str]:
    """Runs the API; gives its address."""
    app = create_app(chosen) if isinstance(chosen, Settings) else chosen
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        ws="none",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
