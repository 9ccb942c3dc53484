"""What outlives a transaction is left to whoever gets the session next, behind a pooler: it has its few places."""

import re
from pathlib import Path

import pytest

STORE = Path(__file__).parents[2] / "src" / "ateneo" / "db"
LASTING = re.compile(
    r"set_config\([^)]*,\s*false\s*\)|\"SET (?!LOCAL\b)|; SET (?!LOCAL\b)|pg_(?:try_)?advisory_lock|\bLISTEN "
    r"|add_listener\(|\.prepare\(|\.cursor\(|CREATE TEMP(?!.*ON COMMIT DROP)"
)
PLACES = {
    "connection.py": "the role, on a connection that no pooler shares",
    "advisory_lock.py": "the lock, likewise",
    "indexes.py": "an index build, in Database.session",
    "queue.py": "LISTEN, in Database.session",
}
SOURCES = sorted([*STORE.rglob("*.py"), *STORE.rglob("*.sql")])


def test_nothing_is_left_in_a_session() -> None:
    found = {path.name for path in SOURCES if LASTING.search(path.read_text(encoding="utf-8"))}
    assert found == set(PLACES), "SET LOCAL, set_config(…, true), pg_advisory_xact_lock; or a place on the list"


@pytest.mark.parametrize("text", ['"SET ROLE x"', "set_config('a', $1, false)", "pg_try_advisory_lock(1)"])
def test_the_pattern_finds_it(text: str) -> None:
    assert LASTING.search(text)
