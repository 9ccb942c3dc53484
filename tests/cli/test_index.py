"""`ateneo index`, as a process."""

import json
from pathlib import Path

import asyncpg
from tests.cli.run import ateneo


async def _company(url: str, count: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT ateneo.create_generation('local', 'm', 4)")
    await connection.execute(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido, embedding)"
        " SELECT 'c' || i, 'acme', 'texto número ' || i, ARRAY[i, 1, 2, 3]::real[]::vector"
        " FROM generate_series(1, $1::int) i",
        count,
    )
    await connection.close()


async def test_status_tune_rebuild(database_url: str, tmp_path: Path) -> None:
    await _company(database_url, 60)
    before = ateneo("index", "status", url=database_url, ATENEO_HNSW_THRESHOLD="50")
    assert before.returncode == 0, before.stderr
    assert "acme" in before.stdout
    assert "exacta" in before.stdout
    assert "ateneo index tune" in before.stdout

    tuned = ateneo("index", "tune", url=database_url, ATENEO_HNSW_THRESHOLD="50")
    assert tuned.returncode == 0, tuned.stderr
    assert [line.split()[1] for line in tuned.stdout.splitlines()] == ["crear", "vacuum", "estadísticas"]
    assert "No había nada que hacer" in ateneo("index", "tune", url=database_url, ATENEO_HNSW_THRESHOLD="50").stdout

    shown = ateneo("index", "status", "--recall", "--json", url=database_url, ATENEO_HNSW_THRESHOLD="50")
    status = json.loads(shown.stdout)
    (company,) = status["companies"]
    assert (company["empresa_id"], company["chunks"], company["vectors"]) == ("acme", 60, 60)
    assert company["index_name"]
    assert company["recall"] == 1
    assert {"chunk_lex", "vec_g1"} <= {part["name"] for part in status["parts"]}
    assert status["tasks"] == []

    assert "Recall@10 acme: 1,000" in ateneo("doctor", "--recall", url=database_url).stdout

    rebuilt = ateneo("index", "rebuild", "--empresa-id", "acme", url=database_url)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "60 chunks" in rebuilt.stdout
    assert json.loads(ateneo("index", "rebuild", "--json", url=database_url).stdout)["chunks"] == 60


def test_an_unknown_company_is_named(database_url: str) -> None:
    run = ateneo("index", "rebuild", "--empresa-id", "nadie", url=database_url)
    assert run.returncode == 2
    assert "nadie" in run.stderr
