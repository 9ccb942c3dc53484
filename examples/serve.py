"""`make serve` without a DATABASE_URL: the console and the API on a database of this folder, which begins with the
examples' two companies. What is in it stays; the keys that are shown are new with every start, and end after a day."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from demo import EMPRESAS, EXAMPLES, out
from rich.markup import escape

from ateneo.db import empresas, keys
from ateneo.db.pool import Database

ADDRESS = "embedded"
_SHOWN = 10
ATENEO = str(Path(sys.executable).with_name("ateneo"))


async def begin() -> None:
    """Loads the two companies into a database that has no others, and shows a key of each company."""
    async with await Database.open(ADDRESS, size=2) as db:
        if {one.empresa_id for one in await empresas.listed(db)} <= EMPRESAS.keys():
            for empresa_id in EMPRESAS:
                folders = [str(EXAMPLES / empresa_id / part) for part in ("existing", "files")]
                ateneo("ingest", "--empresa-id", empresa_id, *folders)
        out.print("\nClaves para entrar en la consola; valen un día:")
        for one in (await empresas.listed(db))[:_SHOWN]:
            made = await keys.create(db, one.empresa_id, "make serve", lifetime=timedelta(days=1))
            out.print(f"[cyan]{escape(EMPRESAS.get(one.empresa_id, one.empresa_id))}")
            out.print(made.secret, soft_wrap=True)
    out.print()


def ateneo(*command: str) -> None:
    subprocess.run([ATENEO, *command], check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    os.environ["DATABASE_URL"] = ADDRESS
    ateneo("db", "upgrade")
    asyncio.run(begin())
    os.execv(ATENEO, [ATENEO, "serve", *sys.argv[1:]])
