"""`ateneo models add OWNER/NAME`: from a hub on this machine, by the hub's own client, and all that can go wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.run import Ended, ateneo
from tests.providers import tiny_exports
from tests.providers.hub_server import REVISION, HubServer, hub

SMALL, LARGE = "intfloat/multilingual-e5-small", "BAAI/bge-m3"


@pytest.fixture
def e5(tmp_path: Path) -> Iterator[HubServer]:
    with hub(SMALL, tiny_exports.e5_small(tmp_path / "e5")) as server:
        yield server


@pytest.fixture
def bge(tmp_path: Path) -> Iterator[HubServer]:
    with hub(LARGE, tiny_exports.bge_m3(tmp_path / "bge")) as server:
        yield server


def add(server: HubServer, tmp_path: Path, *arguments: str, name: str | None = None, **more: str) -> Ended:
    here = {"ATENEO_MODELS_DIR": str(tmp_path / "models"), "HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf")}
    return ateneo("models", "add", name or server.name, *arguments, url=None, **here | more)


def manifest(tmp_path: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((tmp_path / "models" / name / "ateneo.json").read_text())
    return found


def test_by_name(e5: HubServer, tmp_path: Path) -> None:
    added = add(e5, tmp_path)
    assert added.returncode == 0, added.stderr
    shown = added.stderr
    assert REVISION in shown and "mit" in shown and "onnx/model.onnx (" in shown
    assert max(map(len, shown.splitlines())) <= 80
    found = manifest(tmp_path, "multilingual-e5-small")
    assert [found[key] for key in ("dims", "max_tokens", "pooling")] == [24, 512, "mean"]
    assert (found["query_prefix"], found["passage_prefix"]) == ("query: ", "passage: ")
    assert found["sources"] == [{"name": f"{SMALL}@{REVISION}", "role": "", "license": "mit"}]
    assert all(path != "model.safetensors" for path, _ in e5.asked)
    assert not list((tmp_path / "models" / ".hub").iterdir())
    again = add(e5, tmp_path)
    assert again.returncode == 2 and "ya está instalado" in again.stderr


def test_weights_beside_the_graph_come_too(bge: HubServer, tmp_path: Path) -> None:
    added = add(bge, tmp_path, "--revision", REVISION)
    assert added.returncode == 0, added.stderr
    files = {path.name for path in (tmp_path / "models" / "bge-m3").iterdir()}
    assert files == {"ateneo.json", "model.onnx", "tokenizer.json", "model.onnx_data", "Constant_7_attr__value"}


def test_another_graph_is_chosen_from_those_there_are(e5: HubServer, tmp_path: Path) -> None:
    onnx = e5.folder / "onnx"
    (onnx / "model.onnx").rename(onnx / "model_quantized.onnx")
    missing = add(e5, tmp_path)
    assert missing.returncode == 1
    assert "--graph: onnx/model_quantized.onnx" in missing.stderr
    assert add(e5, tmp_path, "--graph", "onnx/model_quantized.onnx", "--name", "e5-int8").returncode == 0
    (onnx / "model_quantized.onnx").unlink()
    none = add(e5, tmp_path)
    assert none.returncode == 1 and "optimum-cli" in none.stderr


def test_a_connection_that_breaks_off_goes_on_where_it_stood(
    e5: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 64)  # it counts whole blocks, of 10 MiB
    e5.cut["onnx/model.onnx"] = 200
    added = add(e5, tmp_path)
    if added.returncode:  # the oldest version of the client leaves it to the next run
        added = add(e5, tmp_path)
    assert added.returncode == 0, added.stderr
    ranges = [asked for path, asked in e5.asked if path == "onnx/model.onnx"]
    assert ranges == ["", "bytes=192-"]


def test_a_damaged_file_is_told_and_got_anew(e5: HubServer, tmp_path: Path) -> None:
    for path in ("config.json", "onnx/model.onnx"):
        e5.spoiled = {path}
        damaged = add(e5, tmp_path)
        assert damaged.returncode == 1, damaged.stdout
        assert f"{path} llegó dañado" in damaged.stderr
        assert not (tmp_path / "models" / "multilingual-e5-small").exists()
    before = e5.asked.copy()
    e5.spoiled = set()
    assert add(e5, tmp_path).returncode == 0
    # what had come whole is not asked again
    assert {path for path, _ in e5.asked[len(before) :]}.isdisjoint({"README.md"})


def test_terms_to_accept(e5: HubServer, tmp_path: Path) -> None:
    e5.gated = True
    for token in ({}, {"HF_TOKEN": "wrong"}):
        refused = add(e5, tmp_path, **token)
        assert refused.returncode == 1
        assert "HF_TOKEN" in refused.stderr and f"{e5.url}/{SMALL}" in refused.stderr.replace("\n   ", "")
    assert add(e5, tmp_path, HF_TOKEN="secret").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "name", "word"),
    [
        ([], "nadie/nada", "no existe en"),
        (["--revision", "nunca"], SMALL, "no tiene la revisión «nunca»"),
        ([], "a--b/c..d", "así no se llama"),
    ],
)
def test_what_is_not_there(e5: HubServer, tmp_path: Path, arguments: list[str], name: str, word: str) -> None:
    refused = add(e5, tmp_path, *arguments, name=name)
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    assert word in refused.stderr
    assert not (tmp_path / "models").exists()


def test_without_a_network_it_says_what_to_do(e5: HubServer, tmp_path: Path) -> None:
    offline = add(e5, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert offline.returncode == 1
    assert "Sin red" in offline.stderr and "HF_ENDPOINT" in offline.stderr
    e5.failing = 403
    failing = add(e5, tmp_path)
    assert failing.returncode == 1 and "403" in failing.stderr
    error = ateneo("models", "add", "./no/hay", url=None, ATENEO_MODELS_DIR=str(tmp_path / "models"))
    assert error.returncode == 2 and "no hay tal carpeta" in error.stderr


def test_vectors_are_not_cut_where_no_file_allows_it(e5: HubServer, tmp_path: Path) -> None:
    refused = add(e5, tmp_path, "--dims", "8")
    assert refused.returncode == 2 and "no dicen" in refused.stderr


def test_shorter_vectors_where_the_files_allow_them(e5: HubServer, tmp_path: Path) -> None:
    config = e5.folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"matryoshka_dimensions": [8, 16]}))
    refused = add(e5, tmp_path, "--dims", "9")
    assert refused.returncode == 2 and "8, 16" in refused.stderr
    added = add(e5, tmp_path, "--dims", "8")
    assert added.returncode == 0, added.stderr
    found = manifest(tmp_path, "multilingual-e5-small")
    assert (found["dims"], found["truncate_dims"]) == (8, 8)


def test_a_decoder_without_a_word_on_its_pooling(tmp_path: Path) -> None:
    with hub("onnx-community/Qwen3-Embedding-0.6B-ONNX", tiny_exports.qwen3(tmp_path / "qwen3")) as server:
        guessed = add(server, tmp_path, "--query-prefix", "Instruct: x\nQuery:")
        assert guessed.returncode == 0, guessed.stderr
        assert "--pooling" in guessed.stderr
        found = manifest(tmp_path, "Qwen3-Embedding-0.6B-ONNX")
        assert (found["pooling"], found["query_prefix"]) == ("last", "Instruct: x\nQuery:")
        told = add(server, tmp_path, "--pooling", "mean", "--name", "otra")
        assert told.returncode == 0 and "--pooling" not in told.stderr
        assert manifest(tmp_path, "otra")["pooling"] == "mean"
