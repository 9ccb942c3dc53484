"""`ateneo models`: list, describe, verify and add, as a person reads them in 80 columns."""

import json
from pathlib import Path

from tests.cli.test_cli import ateneo
from tests.providers.tiny_encoder import write


def test_from_the_bundled_one_to_another(tmp_path: Path) -> None:
    here = {"ATENEO_MODELS_DIR": str(tmp_path / "models")}
    shown = ateneo("models", "describe", url=None, **here)
    assert shown.returncode == 0
    assert "384" in shown.stdout and "34," in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80 or len(str(Path.cwd())) > 60
    source = write(tmp_path / "letras")
    added = ateneo("models", "add", str(source), "--query-prefix", "p: ", "--dense-weight", "0.5", url=None, **here)
    assert added.returncode == 0, added.stderr
    assert "pregunta «p: »" in added.stdout
    assert "apenas entiende español" in added.stderr
    folder = tmp_path / "models" / "letras"
    assert f"ATENEO_MODEL_DIR={folder}" in added.stdout
    listed = json.loads(ateneo("models", "list", "--json", url=None, ATENEO_MODEL_DIR=str(folder), **here).stdout)
    assert [(one["name"], one["in_use"]) for one in listed][1:] == [("letras", True)]
    assert listed[0]["bundled"] and not listed[0]["in_use"]
    assert "OpenAI" in ateneo("models", "list", url=None, OPENAI_API_KEY="k", **here).stdout
    good = ateneo("models", "verify", url=None, **here)
    assert good.returncode == 0
    assert good.stdout.count("✓") == 2
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
