"""How v3 is made: what it reads, how it is trained, and that the graph computes what was trained."""

import random
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

Load = Callable[[str], ModuleType]


@pytest.mark.parametrize("most", [10, 64, 10_000])
def test_texts_are_cut_by_length_and_none_is_lost(module: Load, most: int) -> None:
    lengths = np.array([5, 60, 7, 7, 90, 3, 12])
    parts = list(module("finetune").cut(lengths, most))
    assert sorted(np.concatenate(parts)) == list(range(len(lengths)))
    assert all(len(part) * lengths[part].max() <= most or len(part) == 1 for part in parts)


def test_a_question_is_typed_in_other_ways(module: Load) -> None:
    synonyms = {"laburo": ["trabajo"]}
    found = module("finetune").spellings("¿Cuándo dejo el laburo?", synonyms, random.Random(1))
    assert "¿Cuando dejo el laburo?" in found
    assert "cuándo dejo el laburo" in found
    assert len(found) == len(module("finetune").spellings("otra", synonyms, random.Random(2)))
    assert module("finetune").replaced("El laburo.", synonyms, random.Random(1), share=1.0) == "El trabajo."


def test_a_span_is_a_part_of_its_text(module: Load) -> None:
    text = " ".join(str(n) for n in range(40))  # words too short to be misspelt
    for seed in range(20):
        assert module("finetune").span(text, random.Random(seed)) in text
    assert module("finetune").span("dos palabras", random.Random(4))


def test_the_rate_goes_up_and_down(module: Load) -> None:
    finetune = module("finetune")
    recipe = finetune.Recipe(steps=100, warmup=0.1)
    rates = [finetune.rate_factor(step, recipe) for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert max(rates) == 1.0
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_the_share_nearest_to_e5_that_costs_little_is_chosen(module: Load) -> None:
    nearest = module("build_v3").nearest_to_e5
    assert nearest([110.0, 110.4, 109.5, 109.3]) == 2
    assert nearest([110.0, 100.0]) == 0


def test_weights_are_averaged_and_the_centre_is_not(module: Load) -> None:
    torch = pytest.importorskip("torch")
    one, two = ({"w": torch.full((2,), x), "centre": torch.full((2,), x)} for x in (1.0, 3.0))
    found = module("finetune").averaged([(0.25, one), (0.75, two)])
    assert found["w"].tolist() == [2.5, 2.5]
    assert found["centre"].tolist() == [1.0, 1.0]


def test_questions_are_ranked_among_all_and_in_their_domain(module: Load) -> None:
    questions, held_out = module("questions"), module("held_out")
    passages = [questions.Passage("a", "", "", "uno"), questions.Passage("b", "", "", "dos")]
    asked = [questions.Asked("¿?", "es", 0, apart=True), questions.Asked("what?", "en", 1)]
    vectors = {"uno": [0.0, 1.0], "dos": [1.0, 0.0], "¿?": [0.8, 0.6], "what?": [1.0, 0.0]}

    def embed(texts: list[str]) -> np.ndarray:
        return np.array([vectors[text] for text in texts])

    figures = held_out.measure(embed, embed, questions.Questions(passages, asked))
    assert figures["es: nDCG@10"] == pytest.approx(100 / np.log2(3))  # second of two
    assert figures["en: nDCG@10"] == pytest.approx(100)
    assert held_out.in_domain(embed(["¿?"]), embed(["uno", "dos"]), np.array([0]), ["a", "b"]).tolist() == [1]


def test_four_bits_are_read_as_they_are_packed(module: Load) -> None:
    e5 = module("e5")
    row = np.zeros(e5.HIDDEN // e5.BLOCK, np.dtype([("d", "<f2"), ("bits", "u1", e5.BLOCK // 2)]))
    row["d"] = 0.5
    row["bits"] = 8 | 15 << 4  # in a block: 16 times 0, then 16 times 7 steps
    packed = {"emb.word": np.frombuffer(row.tobytes(), np.uint8)}
    [words] = e5.unpack(packed).values()
    assert words.shape == (1, e5.HIDDEN)
    assert words[0, :32].tolist() == [0.0] * 16 + [3.5] * 16
    four = e5.words_in_four_bits(packed)
    assert ((four.codes[0, :32].astype(float) - 8) * float(four.scale[0, 0])).tolist() == words[0, :32].tolist()


def test_another_file_is_refused(module: Load) -> None:
    with pytest.raises(module("e5").E5Error, match="e5-small"):
        module("e5").read_packed(b"E5S1 and more", np.arange(3))
    with pytest.raises(module("pieces").PiecesError, match="tokenizer"):
        module("pieces").read_description(b"{}")


@pytest.mark.parametrize("by_text", [False, True])
def test_the_graph_computes_what_was_trained(module: Load, by_text: bool) -> None:
    torch, ort = pytest.importorskip("torch"), pytest.importorskip("onnxruntime")
    graph, bert = module("graph"), module("bert")
    draw = np.random.default_rng(3)
    codes, scale = draw.integers(1, 16, (50, 384)).astype(np.uint8), np.full((50, 12), 0.02, np.float16)
    words = module("quantize").FourBits(codes, scale)
    encoder = bert.Encoder(small_bert(draw, codes, scale))
    encoder.centre.copy_(torch.full((384,), 0.02))
    weights = encoder.written()
    shape = graph.Shape(1, bert.HEADS, bert.EPSILON, 16, words, encoder.centre.numpy(), by_text)
    session = ort.InferenceSession(graph.build_graph(weights, shape, "test").SerializeToString())
    ids, seen = np.array([[2, 7, 30, 44]]), np.ones((1, 4), np.int64)
    [found] = session.run(None, {"input_ids": ids, "attention_mask": seen})
    with torch.no_grad():
        expected = encoder(torch.from_numpy(ids), torch.from_numpy(seen) > 0).numpy()
    assert float((found * expected).sum()) > 0.995
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def small_bert(draw: np.random.Generator, codes: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
    """One layer of random weights, by BertModel's names."""

    def some(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.05, shape).astype(np.float32)

    layer, sizes = "encoder.layer.0", {"intermediate.dense": (1536, 384), "output.dense": (384, 1536)}
    sizes |= {f"attention.{name}": (384, 384) for name in ("self.query", "self.key", "self.value", "output.dense")}
    weights = {
        "embeddings.word_embeddings.weight": (codes.astype(np.float32) - 8) * scale.astype(np.float32).repeat(32, 1),
        "embeddings.position_embeddings.weight": some(16, 384),
        "embeddings.token_type_embeddings.weight": some(1, 384),
    }
    for name, size in sizes.items():
        weights |= {f"{layer}.{name}.weight": some(*size), f"{layer}.{name}.bias": some(size[0])}
    for name in ("embeddings", f"{layer}.attention.output", f"{layer}.output"):
        weights |= {f"{name}.LayerNorm.weight": 1 + some(384), f"{name}.LayerNorm.bias": some(384)}
    return weights
