import asyncio
import gc
import json
import os
import shutil
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from ateneo.embedding.service import EmbeddingService
from ateneo.errors import ModelError
from ateneo.providers.local import LocalEmbedder, bundled_model_dir, bundled_model_dirs

FORMER = bundled_model_dirs()[1]
"""The model bundled before, which reads words that it does not know."""
TEXTS = [
    "El trabajo en días feriados se paga el doble.",
    "La cortadora se lubrica una vez por mes.",
    "Los empleados tienen catorce días de vacaciones al año.",
    "sí",
]


@pytest.fixture(scope="module")
def embedder() -> LocalEmbedder:
    """The bundled model, loaded once."""
    return LocalEmbedder(bundled_model_dir(), threads=1)


def copied(folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copy(bundled_model_dir() / name, folder / name)
    return folder


async def test_what_it_says_of_itself(embedder: LocalEmbedder) -> None:
    assert (embedder.provider, embedder.dims, embedder.price) == ("local", 384, 0.0)
    assert embedder.model == json.loads((bundled_model_dir() / "ateneo.json").read_text())["name"]
    assert 0 < embedder.dense_weight < 1
    embedder.verify()


async def test_unit_vectors_in_the_order_asked(embedder: LocalEmbedder) -> None:
    together = await embedder.embed(TEXTS)
    assert together.vectors.shape == (4, 384)
    assert together.vectors.dtype == np.float32
    assert together.tokens == sum(embedder.count_tokens([f"passage: {text}" for text in TEXTS]))
    np.testing.assert_allclose(np.linalg.norm(together.vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(TEXTS, together.vectors, strict=True):
        alone = (await embedder.embed([text])).vectors[0]
        assert alone @ vector > 0.9999


async def test_what_is_closed_goes_at_once(tmp_path: Path) -> None:
    """The model takes 70 MB; whoever opens and closes must not wait for the collector of cycles to come by."""
    folder = shutil.copytree(FORMER, tmp_path / "model")
    gc.collect()
    gc.disable()
    try:
        embedder = LocalEmbedder(folder, threads=2)
        before = _threads()
        for _ in range(2):
            # two windows of words in pieces: the reader of unknown words remembers them
            await embedder.embed(["vacacioens feriado"] * 8)
            model = embedder._loaded
            assert model is not None
            assert model._reader is not None
            left = [weakref.ref(part) for part in (model, model._session, model._reader)]
            left.append(weakref.ref(model._reader._read.__wrapped__.__self__))  # type: ignore[attr-defined]
            assert _threads() > before
            del model
            await embedder.close()
            assert [part() for part in left] == [None] * 4
            assert _threads() == before
        itself = weakref.ref(embedder)
        del embedder
        assert itself() is None
    finally:
        gc.enable()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("ateneo-embed")}


@pytest.mark.parametrize(
    ("question", "paraphrase", "unrelated"),
    [
        ("¿cuánto me pagan si trabajo un feriado?", TEXTS[0], TEXTS[1]),
        ("¿cuántos días libres tengo por año?", TEXTS[2], TEXTS[1]),
        ("days of paid leave in a year", TEXTS[2], TEXTS[1]),
    ],
)
async def test_meaning(embedder: LocalEmbedder, question: str, paraphrase: str, unrelated: str) -> None:
    asked = (await embedder.embed([question], "query")).vectors[0]
    near, far = (await embedder.embed([paraphrase, unrelated])).vectors
    assert asked @ near > asked @ far + 0.05


async def test_accents_and_capitals_matter_little(embedder: LocalEmbedder) -> None:
    with_accents, without, other = (
        await embedder.embed(["¿Qué información pide la póliza?", "que informacion pide la poliza", TEXTS[1]])
    ).vectors
    assert with_accents @ without > 0.75
    assert with_accents @ other < with_accents @ without - 0.5


async def test_the_end_of_a_long_text_counts(embedder: LocalEmbedder) -> None:
    start = "El reglamento describe el uso del comedor y de los vestuarios de la planta. " * 60
    end = "Las vacaciones anuales son de catorce días corridos. " * 60
    [tokens] = embedder.count_tokens([start + end])
    assert tokens > 1000
    assert embedder.truncate(start + end) == start + end
    plain, whole = (await embedder.embed([start, start + end])).vectors
    asked = (await embedder.embed(["¿cuántos días de vacaciones hay?"], "query")).vectors[0]
    assert asked @ whole > asked @ plain + 0.1
    assert np.linalg.norm(whole) == pytest.approx(1, rel=1e-5)


async def test_windows_are_weighted_by_their_tokens(embedder: LocalEmbedder) -> None:
    """A few words over the edge of the first window hardly move the vector."""
    base = " ".join(["vacaciones"] * 508)
    whole = f"{base} Lubricar la cortadora."
    assert embedder.count_tokens([base]) == [508]
    short, long = (await embedder.embed([base, whole])).vectors
    assert short @ long > 0.97


def test_counts_are_the_tokeniser_s_own(embedder: LocalEmbedder) -> None:
    plain = Tokenizer.from_file(str(bundled_model_dir() / "tokenizer.json"))
    texts = [*TEXTS, "", "palabra " * 1000]
    expected = [len(encoding.ids) for encoding in plain.encode_batch(texts, add_special_tokens=False)]
    assert embedder.count_tokens(texts) == expected


def test_texts_beyond_the_cap_are_cut_there(embedder: LocalEmbedder) -> None:
    text = "El árbol creció. " * 3000
    cut = embedder.truncate(text)
    assert text.startswith(cut)
    assert embedder.count_tokens([cut]) == [embedder.limits.tokens_per_input] == [8192]


async def test_tasks_and_threads_share_one_instance() -> None:
    fresh = LocalEmbedder(bundled_model_dir())
    alone = (await fresh.embed(TEXTS)).vectors
    await fresh.close()
    answers = await asyncio.gather(*(fresh.embed(TEXTS) for _ in range(6)))
    for answer in answers:
        np.testing.assert_allclose(answer.vectors, alone, atol=1e-5)
    await fresh.close()
    await fresh.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities a thread")
async def test_batches_give_way_to_queries() -> None:
    embedder = LocalEmbedder(bundled_model_dir(), threads=2)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await embedder.embed(TEXTS)
    await embedder.embed(TEXTS[:1], kind="query")
    threads = {one.name: one.native_id for one in threading.enumerate()}
    lowered = {name for name, thread in threads.items() if os.getpriority(os.PRIO_PROCESS, thread or 0) > own}
    assert {name.rpartition("_")[0] for name in lowered} == {"ateneo-embed"}
    assert any(name.startswith("ateneo-query") for name in threads)
    await embedder.close()


def test_several_event_loops(embedder: LocalEmbedder) -> None:
    service = EmbeddingService(embedder)
    first = asyncio.run(service.generate_embedding(TEXTS[0]))
    second = asyncio.run(service.generate_embedding(TEXTS[0]))
    assert first == second
    assert len(first.embedding) == 384


def test_an_empty_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx, tokenizer\.json"):
        LocalEmbedder(tmp_path)
    with pytest.raises(ModelError, match=r"falta model\.onnx"):
        LocalEmbedder(copied(tmp_path, "tokenizer.json"))


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("{", "JSON"),
        ("[1]", "JSON"),
        ('{"dims": "muchas"}', "dims"),
        ('{"pooling": "max"}', "pooling"),
    ],
)
def test_a_broken_manifest(tmp_path: Path, manifest: str, said: str) -> None:
    copied(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "ateneo.json").write_text(manifest)
    with pytest.raises(ModelError, match=said):
        LocalEmbedder(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
async def test_a_broken_file(tmp_path: Path, name: str) -> None:
    copied(tmp_path, "tokenizer.json", "model.onnx", "ateneo.json")
    (tmp_path / name).write_bytes(b"{}")
    broken = LocalEmbedder(tmp_path)
    with pytest.raises(ModelError, match=name):
        await broken.embed(["hola"])
    with pytest.raises(ModelError, match=name):
        broken.verify()


async def test_a_manifest_that_contradicts_the_graph(tmp_path: Path) -> None:
    copied(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "ateneo.json").write_text('{"dims": 512}')
    with pytest.raises(ModelError, match="512"):
        await LocalEmbedder(tmp_path).embed(["hola"])


async def test_a_folder_without_manifest_works(tmp_path: Path) -> None:
    copied(tmp_path, "tokenizer.json", "model.onnx")
    bare = LocalEmbedder(tmp_path)
    assert bare.model == tmp_path.name
    assert bare.dims is None
    assert (await bare.embed(["hola"])).vectors.shape == (1, 384)
    assert bare.dims == 384


async def test_prefixes_are_put_before_the_text(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    copied(tmp_path, "tokenizer.json", "model.onnx")
    (tmp_path / "ateneo.json").write_text('{"query_prefix": "pregunta: ", "passage_prefix": "pasaje: "}')
    prefixed = LocalEmbedder(tmp_path, threads=1)
    embedder = LocalEmbedder(copied(tmp_path / "bare", "tokenizer.json", "model.onnx"), threads=1)
    for kind, text in (("query", "pregunta: hola"), ("passage", "pasaje: hola")):
        expected = (await embedder.embed([text])).vectors
        np.testing.assert_allclose((await prefixed.embed(["hola"], kind)).vectors, expected, atol=1e-5)  # type: ignore[arg-type]
