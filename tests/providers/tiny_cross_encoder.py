"""A cross-encoder small enough to write by hand: it scores how many tokens question and passage share."""

from pathlib import Path

import numpy as np
from tests.providers.tiny_onnx import FLOAT, INT64, constant, field, node, value
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "gato",
    "perro",
    "feriado",
    "vacaciones",
    "pago",
    "licencia",
    "doble",
    "mudanza",
)
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write(folder: Path, *, classes: int = 1, max_tokens: int = 64) -> Path:
    """Writes model.onnx and tokenizer.json; the logit is the shared tokens less 1.5. `classes` 2: (no, yes)."""
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(_model(classes))
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(max_tokens)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _model(classes: int) -> bytes:
    nodes = [
        # words alone: an id above those of the special tokens
        node("Greater", ["input_ids", "specials"], "is_word"),
        node("Cast", ["is_word"], "word", to=FLOAT),
        node("Cast", ["attention_mask"], "mask", to=FLOAT),
        node("Cast", ["token_type_ids"], "second", to=FLOAT),
        node("Mul", ["word", "mask"], "real"),
        node("Mul", ["real", "second"], "of_text"),
        node("Sub", ["real", "of_text"], "of_query"),
        node("Unsqueeze", ["of_query", "last"], "rows"),
        node("Unsqueeze", ["of_text", "middle"], "columns"),
        node("Unsqueeze", ["input_ids", "last"], "ids_rows"),
        node("Unsqueeze", ["input_ids", "middle"], "ids_columns"),
        node("Equal", ["ids_rows", "ids_columns"], "is_same"),
        node("Cast", ["is_same"], "same", to=FLOAT),
        node("Mul", ["rows", "columns"], "crossed"),
        node("Mul", ["crossed", "same"], "shared"),
        node("ReduceSum", ["shared", "both"], "count", keepdims=0),
        node("Sub", ["count", "threshold"], "logit"),
        node("Unsqueeze", ["logit", "middle"], "column"),
        *([node("Neg", ["column"], "no"), node("Concat", ["no", "column"], "logits", axis=1)] if classes == 2 else []),
        *([node("Concat", ["column", "column", "column"], "logits", axis=1)] if classes == 3 else []),
        *([node("Identity", ["column"], "logits")] if classes == 1 else []),
    ]
    constants = [
        constant("specials", np.array(3, dtype=np.int64)),
        constant("threshold", np.array(1.5, dtype=np.float32)),
        constant("middle", np.array([1], dtype=np.int64)),
        constant("last", np.array([2], dtype=np.int64)),
        constant("both", np.array([1, 2], dtype=np.int64)),
    ]
    inputs = [field(11, value(name, INT64, ("n", "tokens"))) for name in _INPUTS]
    graph = [field(1, one) for one in nodes] + [field(2, b"shared tokens")] + [field(5, one) for one in constants]
    graph += [*inputs, field(12, value("logits", FLOAT, ("n", classes)))]
    return field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(graph))
