"""Models that others made: what is read from their folder, the self-test, the copy, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.providers import tiny_exports
from tests.providers.tiny_encoder import DIMS, MEAN, vectors_of, write
from tests.providers.tiny_onnx import INT32

from ateneo.embedding import local_models
from ateneo.errors import BadArgument, ModelError
from ateneo.providers.local import LocalEmbedder, bundled_model_dir, bundled_model_dirs
from ateneo.providers.sentence_folder import read

CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def unit(vector: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> Any:
    return vector / np.linalg.norm(vector)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "models"


async def test_added_it_works_and_stays_what_it_was(tmp_path: Path, shelf: Path) -> None:
    source = write(
        tmp_path / "letras",
        sentence_bert_config={"max_seq_length": 64},
        config_sentence_transformers={"prompts": {"query": "query: ", "document": "passage: "}},
    )
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    model, tested = await local_models.add(source, shelf)
    assert (model.name, model.folder, tested.dims, tested.spanish_of) == ("letras", shelf / "letras", DIMS, 6)
    manifest = model.manifest
    assert (manifest.dims, manifest.max_tokens, manifest.pooling, manifest.license) == (DIMS, 64, "mean", "mit")
    assert local_models.verify(model) == 2
    assert [one.name for one in local_models.installed(shelf)] == [
        *(local_models.described(folder).name for folder in bundled_model_dirs()),
        "letras",
    ]
    embedder = LocalEmbedder(model.folder)
    [question] = (await embedder.embed(["hola"], "query")).vectors
    [passage] = (await embedder.embed(["hola"])).vectors
    np.testing.assert_allclose(question, unit(vectors_of("query: hola").mean(axis=0)), atol=1e-6)
    np.testing.assert_allclose(passage, unit(vectors_of("passage: hola").mean(axis=0)), atol=1e-6)
    (model.folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        local_models.verify(local_models.find("letras", shelf))
    with pytest.raises(BadArgument, match="ya está instalado"):
        await local_models.add(source, shelf)
    with pytest.raises(BadArgument, match="un modelo incluido"):
        await local_models.add(source, shelf, changes={"name": local_models.described(bundled_model_dir()).name})
    with pytest.raises(ModelError, match="no hay tal carpeta"):
        await local_models.add(tmp_path / "ninguna", shelf)


def test_the_bundled_model_carries_the_notice_of_its_base() -> None:
    notice = (bundled_model_dir() / "LICENSE-multilingual-e5-small").read_text()
    assert "Copyright (c) Microsoft Corporation" in notice
    license_file = Path(__file__).parents[2] / "LICENSE"
    words = " ".join(license_file.read_text().split())
    assert " ".join(notice.split()).partition("MIT License")[2] in words


async def test_a_file_that_its_own_manifest_does_not_know_is_refused(tmp_path: Path, shelf: Path) -> None:
    model, _ = await local_models.add(write(tmp_path / "letras"), shelf)
    again, _ = await local_models.add(model.folder, shelf, changes={"name": "otra"})
    with (again.folder / "tokenizer.json").open("a") as file:
        file.write("\n")
    with pytest.raises(ModelError, match=r"tokenizer\.json no es el archivo"):
        await local_models.add(again.folder, shelf, changes={"name": "tercera"})


@pytest.mark.parametrize(
    ("pooling", "rows"),
    [
        ({"pooling_mode": "mean"}, slice(None)),
        (MEAN, slice(None)),
        (None, slice(None)),
        (CLS, slice(0, 1)),
        ({"pooling_mode_lasttoken": True}, slice(-1, None)),
    ],
)
async def test_pooling_is_the_folder_s(
    tmp_path: Path, shelf: Path, pooling: dict[str, object] | None, rows: slice
) -> None:
    model, _ = await local_models.add(write(tmp_path / "letras", pooling=pooling, framed=False), shelf)
    short, _ = (await LocalEmbedder(model.folder).embed(["hola", "otra más larga"])).vectors
    np.testing.assert_allclose(short, unit(vectors_of("hola", framed=False)[rows].mean(axis=0)), atol=1e-6)


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"sentence_bert_config": {"max_seq_length": 128}, "config": {"max_position_embeddings": 512}}, 128),
        ({"sentence_bert_config": {"max_seq_length": 512}, "config": {"max_position_embeddings": 256}}, 256),
        ({"tokenizer_config": {"model_max_length": 300}}, 300),
        ({"tokenizer_config": {"model_max_length": 10**30}, "config": {"max_position_embeddings": 77}}, 77),
        ({"config": {"max_position_embeddings": 514, "model_type": "xlm-roberta"}}, 512),
        ({}, 512),
    ],
)
def test_the_window_is_what_author_and_network_allow(tmp_path: Path, files: dict[str, Any], tokens: int) -> None:
    assert read(write(tmp_path / "letras", **files)).manifest.max_tokens == tokens


def test_prefixes_that_only_the_readme_tells(tmp_path: Path) -> None:
    folder = write(tmp_path / "e5")
    assert read(folder).manifest.query_prefix == ""
    (folder / "README.md").write_text('Each input text should start with "query: " or "passage: ".')
    assert (read(folder).manifest.query_prefix, read(folder).manifest.passage_prefix) == ("query: ", "passage: ")


async def test_laid_out_as_multilingual_e5(tmp_path: Path, shelf: Path) -> None:
    model, tested = await local_models.add(tiny_exports.e5_small(tmp_path / "multilingual-e5-small"), shelf)
    manifest = model.manifest
    assert (tested.dims, manifest.dims, manifest.max_tokens, manifest.pooling) == (24, 24, 512, "mean")
    assert (manifest.query_prefix, manifest.passage_prefix, manifest.license) == ("query: ", "passage: ", "mit")
    embedder = LocalEmbedder(model.folder)
    [question] = (await embedder.embed(["la canción"], "query")).vectors
    expected = unit(tiny_exports.vectors_of("query: la canción", 24).mean(axis=0))
    np.testing.assert_allclose(question, expected, atol=2e-3)  # the graph's output has half precision
    assert embedder.count_tokens(["la canción"]) == [len(tiny_exports.vectors_of("la canción", 24)) - 2]


async def test_laid_out_as_bge_m3(tmp_path: Path, shelf: Path) -> None:
    source = tiny_exports.bge_m3(tmp_path / "bge-m3")
    model, tested = await local_models.add(source, shelf)
    manifest = model.manifest
    assert (tested.dims, manifest.dims, manifest.max_tokens, manifest.query_prefix) == (32, 32, 8192, "")
    assert manifest.pooling == "in_graph", "what the graph gives, whatever 1_Pooling says"
    files = ["Constant_7_attr__value", "model.onnx", "model.onnx_data", "tokenizer.json"]
    assert sorted(manifest.sha256) == files
    assert local_models.verify(model) == len(files)
    [short, long] = (await LocalEmbedder(model.folder).embed(["la canción", "la canción de la mañana " * 40])).vectors
    pieces = tiny_exports.vectors_of("la canción", 32)
    np.testing.assert_allclose(short, unit(pieces.mean(axis=0)), atol=1e-6)
    assert long @ short < 1, "all of a text is read, not the 16 tokens that the tokeniser's file would leave"
    (source / "onnx" / "Constant_7_attr__value").unlink()
    with pytest.raises(ModelError, match="toma pesos de Constant_7_attr__value"):
        await local_models.add(source, shelf, changes={"name": "otro"})


async def test_another_graph_with_its_weights_beside_it(tmp_path: Path, shelf: Path) -> None:
    source = write(tmp_path / "letras", graph="onnx/model_quint8.onnx", weights="model_quint8.onnx.data")
    (source / "onnx" / "model_fp16.onnx.data").write_bytes(b"of another graph")
    with pytest.raises(ModelError, match=r"falta onnx/model\.onnx; hay: onnx/model_quint8\.onnx"):
        await local_models.add(source, shelf)
    model, _ = await local_models.add(source, shelf, graph="onnx/model_quint8.onnx")
    assert sorted(model.manifest.sha256) == ["model.onnx", "model_quint8.onnx.data", "tokenizer.json"]


async def test_a_graph_of_narrow_ids(tmp_path: Path, shelf: Path) -> None:
    assert (await local_models.add(write(tmp_path / "letras", ids=INT32), shelf))[1].dims == DIMS


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
async def test_a_clone_without_its_large_files(tmp_path: Path, shelf: Path, name: str) -> None:
    source = write(tmp_path / "letras", graph="model.onnx")
    (source / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 470268510\n")
    with pytest.raises(ModelError, match=f"{name} es un puntero de git-lfs"):
        await local_models.add(source, shelf)


async def test_a_folder_of_ateneo_s_own_keeps_its_manifest(tmp_path: Path, shelf: Path) -> None:
    first, _ = await local_models.add(write(tmp_path / "letras"), tmp_path / "uno", changes={"passage_prefix": "p: "})
    second, _ = await local_models.add(first.folder, shelf, changes={"name": "copia", "dense_weight": 0.6})
    assert second.manifest == first.manifest.model_copy(update={"name": "copia", "dense_weight": 0.6})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"more_input": "pixel_values"}, "pide pixel_values"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "pooling_mode_max_tokens"),
        ({"pooling": {**MEAN, **CLS, "pooling_mode_mean_tokens": True}}, "pooling_mode_cls_token"),
        ({"pooling": CLS}, "textos distintos le dan lo mismo"),
        ({"modules": [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]}, "Dense"),
        ({"graph": "model.onnx", "ateneo": {"name": "letras", "dims": 20}}, "dims=20"),
        ({"graph": "onnx/otro.onnx"}, r"onnx/otro\.onnx"),
    ],
)
async def test_refused_it_leaves_nothing(tmp_path: Path, shelf: Path, how: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        await local_models.add(write(tmp_path / "letras", **how), shelf)
    assert not shelf.exists() or not list(shelf.iterdir())


async def test_a_graph_that_counts_the_padding_in(tmp_path: Path) -> None:
    """Only large models run several texts at once, so it is made to look like one."""
    folder = write(tmp_path / "letras", graph="model.onnx", counts_padding=True)
    assert (await local_models.self_test(folder)).dims == DIMS
    with (folder / "model.onnx_data").open("wb") as file:
        file.truncate(500_000_000)
    with pytest.raises(ModelError, match="cambia con los textos que lo acompañan"):
        await local_models.self_test(folder)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".oculto"])
async def test_names_that_are_no_folder(tmp_path: Path, shelf: Path, name: str) -> None:
    with pytest.raises(BadArgument, match="nombre de carpeta"):
        await local_models.add(write(tmp_path / "letras"), shelf, changes={"name": name})


async def test_a_shelf_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "archivo").write_text("")
    with pytest.raises(BadArgument, match="ATENEO_MODELS_DIR"):
        await local_models.add(write(tmp_path / "letras"), tmp_path / "archivo" / "models")


async def test_the_bundled_model_passes_its_own_test() -> None:
    tested = await local_models.self_test(bundled_model_dir())
    assert (tested.dims, tested.spanish) == (384, tested.spanish_of)


def test_found_by_name_by_folder_or_not_at_all(tmp_path: Path, shelf: Path) -> None:
    folder = write(tmp_path / "letras", graph="model.onnx")
    assert local_models.find(bundled_model_dir().name, shelf).bundled
    assert local_models.find(str(folder), shelf).name == "letras"
    with pytest.raises(BadArgument, match="ateneo-e5-es-v3, ateneo-minilm-es-v2"):
        local_models.find("nada", shelf)


async def test_a_decoder_is_given_positions_and_nothing_before(tmp_path: Path, shelf: Path) -> None:
    model, tested = await local_models.add(tiny_exports.qwen3(tmp_path / "qwen3"), shelf)
    assert (tested.pooling, tested.guessed, tested.dims) == ("last", True, 16)
    embedder = LocalEmbedder(model.folder)
    [found] = (await embedder.embed(["de la canción"])).vectors
    tokens = tiny_exports.vectors_of("de la canción", 16)
    np.testing.assert_allclose(found, unit(np.arange(len(tokens)) @ tokens), atol=1e-6)
