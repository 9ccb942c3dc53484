"""`ateneo models`: list, describe, verify and add, as a person reads them in 80 columns."""

import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from tests.cli.run import ateneo
from tests.providers import tiny_exports
from tests.providers.tiny_encoder import write


def test_from_the_bundled_one_to_another(tmp_path: Path) -> None:
    here = {"ATENEO_MODELS_DIR": str(tmp_path / "models")}
    shown = ateneo("models", "describe", url=None, **here)
    assert shown.returncode == 0
    assert "384" in shown.stdout and "32,6 MiB" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80 or len(str(Path.cwd())) > 60
    source = write(tmp_path / "letras")
    added = ateneo("models", "add", str(source), "--query-prefix", "p: ", "--dense-weight", "0.5", url=None, **here)
    assert added.returncode == 0, added.stderr
    assert "pregunta «p: »" in added.stdout
    assert "apenas entiende español" in added.stderr
    folder = tmp_path / "models" / "letras"
    assert f"ATENEO_MODEL_DIR={folder}" in added.stdout
    listed = json.loads(ateneo("models", "list", "--json", url=None, ATENEO_MODEL_DIR=str(folder), **here).stdout)
    assert [(one["name"], one["in_use"]) for one in listed][2:] == [("letras", True)]
    assert all(one["bundled"] and not one["in_use"] for one in listed[:2])
    assert "OpenAI" in ateneo("models", "list", url=None, OPENAI_API_KEY="k", **here).stdout
    assert "Voyage" in ateneo("models", "list", url=None, ATENEO_EMBEDDING_PROVIDER="voyage", **here).stdout
    good = ateneo("models", "verify", url=None, **here)
    assert good.returncode == 0
    assert good.stdout.count("✓") == 3
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"x")
    bad = ateneo("models", "verify", url=None, **here)
    assert bad.returncode == 1
    assert "✗ letras: model.onnx" in bad.stdout


def test_what_cannot_be_added_says_why(tmp_path: Path) -> None:
    (tmp_path / "vacía").mkdir()
    refused = ateneo("models", "add", str(tmp_path / "vacía"), url=None, ATENEO_MODELS_DIR=str(tmp_path / "models"))
    assert refused.returncode == 2
    assert "falta onnx/model.onnx" in refused.stderr
    assert "docs/how-to/models.md" in refused.stderr
    assert ateneo("models", "describe", "nada", url=None).returncode == 2


async def test_the_next_model_of_a_database_in_use(database_url: str, tmp_path: Path) -> None:
    """From the bundled model's 384 dimensions to another's 32, while the settings still name the bundled one."""
    here = {"ATENEO_MODELS_DIR": str(tmp_path / "models")}
    connection = await asyncpg.connect(database_url)
    texts = ["La licencia dura diez días.", "El depósito cierra a las seis.", "La canción de la mañana."]
    await connection.executemany(
        "INSERT INTO knowledge_chunks (id, empresa_id, contenido) VALUES ($1, 'acme', $2)", list(enumerate_ids(texts))
    )
    assert ateneo("backfill", "--yes", url=database_url, **here).returncode == 0
    source = tiny_exports.bge_m3(tmp_path / "bge-m3")
    assert ateneo("models", "add", str(source), url=None, **here).returncode == 0
    switch = ("embeddings", "switch", "--provider", "local", "--model", "bge-m3", "--yes", "--force", "--sample", "3")
    done = ateneo(*switch, url=database_url, **here)
    assert done.returncode == 0, done.stderr
    dims = "SELECT DISTINCT vector_dims(embedding) FROM knowledge_chunks"
    assert [row[0] for row in await connection.fetch(dims)] == [32]
    await connection.close()
    found = ateneo("search", texts[2], "--empresa-id", "acme", "--mode", "dense", "--json", url=database_url, **here)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["hits"][0]["contenido"] == texts[2]


def enumerate_ids(texts: list[str]) -> Iterator[tuple[str, str]]:
    return ((f"c{number}", text) for number, text in enumerate(texts))
