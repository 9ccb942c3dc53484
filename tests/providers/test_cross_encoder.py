"""CrossEncoder on a real ONNX graph: pairs, both kinds of output, long texts, broken folders, cancellation."""

import asyncio
import math
from pathlib import Path

import pytest
from tests.providers.tiny_cross_encoder import write

from ateneo.errors import ModelError
from ateneo.providers.cross_encoder import CrossEncoder


def probability(shared: int, classes: int = 1) -> float:
    return 1 / (1 + math.exp(-(shared - 1.5) * classes))


@pytest.mark.parametrize("classes", [1, 2])
async def test_each_text_gets_its_own_probability_in_the_order_asked(tmp_path: Path, classes: int) -> None:
    model = CrossEncoder(write(tmp_path / "tiny", classes=classes), threads=1)
    assert (model.provider, model.model) == ("onnx", "tiny")
    texts = ["gato", "perro doble vacaciones", "El pago doble de un FERIADO", "", "feriado"] * 5
    scores = await model.rerank("feriado pago doble", texts)
    expected = [probability(shared, classes) for shared in (0, 1, 3, 0, 1)] * 5
    assert scores == pytest.approx(expected, abs=1e-6)
    await model.close()
    assert await model.rerank("gato", ["gato"]) == pytest.approx([probability(1, classes)])


async def test_long_pairs_lose_the_end_of_the_longer_text(tmp_path: Path) -> None:
    model = CrossEncoder(write(tmp_path, max_tokens=16), threads=1)
    early, late = await model.rerank("gato", ["gato " + "nada " * 100, "nada " * 100 + "gato"])
    assert early > late == pytest.approx(probability(0))
    [score] = await model.rerank("nada " * 4000, ["gato " * 4000])
    assert 0 < score < 1


async def test_nothing_to_rerank(tmp_path: Path) -> None:
    assert await CrossEncoder(write(tmp_path)).rerank("gato", []) == []


async def test_tasks_share_one_instance(tmp_path: Path) -> None:
    model = CrossEncoder(write(tmp_path), threads=1)
    answers = await asyncio.gather(*(model.rerank("gato", ["gato", "perro"]) for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)


async def test_cancelled_it_stops_its_run(tmp_path: Path) -> None:
    model = CrossEncoder(write(tmp_path), threads=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await model.rerank("gato", ["gato " * 60] * 5000)
    assert await model.rerank("gato", ["gato"]) == pytest.approx([probability(1)])


def test_an_empty_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx, tokenizer\.json"):
        CrossEncoder(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
async def test_a_broken_file(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).write_bytes(b"{}")
    with pytest.raises(ModelError, match=name):
        await CrossEncoder(tmp_path).rerank("gato", ["perro"])


async def test_a_model_that_is_no_cross_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\(1, 3\)"):
        await CrossEncoder(write(tmp_path, classes=3)).rerank("gato", ["perro"])
