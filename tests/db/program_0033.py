# mypy: disable-error-code="import-not-found,attr-defined"
"""The program before versions were recorded (commit 512155c: store/ and what it imports), as a process of its own.

`tests/files/ateneo-0033.tar.xz` is what `git archive` makes of 512155c's backend/ateneo/store and of __init__, errors,
label, lang and types beside it. Run as a script: `upgrade URL`, `plan URL` (the titles of what it would do; its /ready
was: none), or `search URL EMPRESA WORD`, which searches and tells how many it found, until its input ends.
"""

import asyncio
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parents[1] / "files" / "ateneo-0033.tar.xz"


def unpack(folder: Path) -> Path:
    """What PYTHONPATH takes."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "backend"


def command(backend: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """What subprocess takes: the arguments, and the environment."""
    return [sys.executable, __file__, *arguments], os.environ | {"PYTHONPATH": str(backend), "ATENEO_LANG": "es"}


def run(backend: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    line, environment = command(backend, *arguments)
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, cwd=backend)


async def _main(what: str, url: str, *more: str) -> None:
    from ateneo.store import migrate, search
    from ateneo.store.pool import Database

    assert not hasattr(migrate, "versions"), "the old program must be the one that is imported"
    async with await Database.open(url, guarded=what == "search") as db:
        if what != "search":
            steps = await (migrate.plan(db) if what == "plan" else migrate.upgrade(db))
            print("\n".join(step.title for step in steps))
            return
        for _ in iter(sys.stdin.readline, ""):
            found = await search.search(db, search.Query(more[0], more[1]), schema="public")
            print(len(found.hits), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
