"""`ateneo gaps`: a table of 80 columns, JSON, and the remedy where searches are not kept."""

import json

from tests.cli.run import ateneo

from ateneo.db import query_log
from ateneo.db.pool import Database
from ateneo.db.query_log import KeptQuery

LONG = "¿me pueden decir si el jardín para los chicos del personal sigue funcionando los sábados a la mañana?"


async def test_the_list(database: Database, database_url: str) -> None:
    kept = [KeptQuery(LONG, 12, 0), KeptQuery("repuestos", 1, 3, 0.02), KeptQuery("mudanza", 40, 3, 0.9)]
    await query_log.keep(database, "acme", kept, 7)
    shown = ateneo("gaps", "-e", "acme", url=database_url)
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "12" in shown.stdout and "sin resultados" in shown.stdout and "nada parecido" in shown.stdout
    assert "mudanza" not in shown.stdout
    assert "ATENEO_KEEP_QUERIES" in shown.stderr
    told = json.loads(ateneo("gaps", "-e", "acme", "--json", url=database_url, ATENEO_KEEP_QUERIES="7").stdout)
    assert [(one["question"], one["times"], one["reasons"]) for one in told["gaps"]] == [
        (LONG, 12, ["nothing_found"]),
        ("repuestos", 1, ["weak_match"]),
    ]
    assert told["warnings"] == []
    joined = ateneo("gaps", "-e", "acme", "--near=-1", "--json", url=database_url)
    assert len(json.loads(joined.stdout)["gaps"]) == 1


async def test_nothing(database_url: str) -> None:
    shown = ateneo("gaps", "-e", "nadie", url=database_url, ATENEO_KEEP_QUERIES="7", ATENEO_LANG="en")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "No question" in shown.stderr
