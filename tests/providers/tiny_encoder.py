"""A sentence encoder small enough to write by hand: a vector a letter, in the layout of sentence-transformers."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tests.providers.tiny_onnx import FLOAT, INT64, constant, field, node, value
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Lowercase
from tokenizers.processors import TemplateProcessing

LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz:áéíóúñ¿?"]
DIMS = 16
TABLE = np.random.default_rng(3).standard_normal((len(LETTERS), DIMS)).astype(np.float32)
MEAN = {"word_embedding_dimension": DIMS, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


def write(
    folder: Path,
    *,
    graph: str = "onnx/model.onnx",
    pooling: Mapping[str, object] | None = MEAN,
    framed: bool = True,
    counts_padding: bool = False,
    more_input: str | None = None,
    weights: str | None = None,
    ids: int = INT64,
    **files: object,
) -> Path:
    """Writes the model; `files`: name without .json -> content. `framed`: with [CLS] and [SEP]; `counts_padding`:
    pooled in the graph, wrongly; `weights`: a file of their own, beside the graph."""
    (folder / graph).parent.mkdir(parents=True, exist_ok=True)
    beside = (folder / graph).with_name(weights) if weights else None
    (folder / graph).write_bytes(_model(counts_padding, more_input, beside, ids))
    _tokenizer(framed).save(str(folder / "tokenizer.json"))
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def vectors_of(text: str, *, framed: bool = True) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """The token vectors of a text."""
    ids = _tokenizer(framed).encode(text).ids
    return TABLE[ids]


def _tokenizer(framed: bool) -> Tokenizer:
    tokenizer = Tokenizer(BPE({letter: number for number, letter in enumerate(LETTERS)}, [], unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    if framed:
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return tokenizer


def _model(counts_padding: bool, more_input: str | None, weights: Path | None, ids: int) -> bytes:
    nodes = [node("Gather", ["table", "input_ids"], "last_hidden_state")]
    output = field(12, value("last_hidden_state", FLOAT, ("n", "tokens", "width")))
    if counts_padding:
        nodes.append(node("ReduceSum", ["last_hidden_state", "middle"], "embedding", keepdims=0))
        output = field(12, value("embedding", FLOAT, ("n", DIMS)))
    names = ["input_ids", "attention_mask", *([more_input] if more_input else [])]
    inputs = [field(11, value(name, ids, ("n", "tokens"))) for name in names]
    constants = [constant("table", TABLE, beside=weights), constant("middle", np.array([1], dtype=np.int64))]
    graph = [field(1, one) for one in nodes] + [field(2, b"letters")] + [field(5, one) for one in constants]
    return field(1, 8) + field(8, field(2, 17)) + field(7, b"".join([*graph, *inputs, output]))
