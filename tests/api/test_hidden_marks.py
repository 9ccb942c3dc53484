"""What a stranger sends drives no terminal: the log that the request leaves, and the pages, have no mark that hides."""

import io
import time
from urllib.parse import quote

import httpx
from tests.api.conftest import Api
from tests.api.endpoint_matrix import CONTROLS, EVIL

from ateneo.api import docs_page
from ateneo.cli.runtime import _shown


def test_the_log_of_a_strangers_address(api: Api, log: io.StringIO) -> None:
    answer = httpx.get(f"{api.url}/documents/{quote(EVIL + chr(10))}x-forged", timeout=60)
    assert answer.status_code == 401
    for _ in range(1000):  # its line is written once the answer is out
        written = log.getvalue()
        if "oser" in written:
            break
        time.sleep(0.01)
    assert "oser" in written and not CONTROLS.search(written)
    assert not any(line.startswith("x-forged") for line in written.splitlines())


def test_every_value_of_a_commands_log() -> None:
    event = _shown(None, "", {"event": EVIL, "name": f"a\n{EVIL}", "count": 7})
    assert not CONTROLS.search(str(event["event"]) + str(event["name"])) and event["count"] == 7


def test_the_docs_page() -> None:
    told = {"info": {"title": EVIL, "version": EVIL, "description": EVIL}, "paths": {}}
    assert not CONTROLS.search(docs_page.render(told))
