"""A cross-encoder small enough to write by hand: it scores how many tokens question and passage share.

`onnx` is no dependency of ours, and the part of protobuf that a graph takes is a few lines.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
_FLOAT, _INT64 = 1, 7


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
        _node("Greater", ["input_ids", "specials"], "is_word"),
        _node("Cast", ["is_word"], "word", to=_FLOAT),
        _node("Cast", ["attention_mask"], "mask", to=_FLOAT),
        _node("Cast", ["token_type_ids"], "second", to=_FLOAT),
        _node("Mul", ["word", "mask"], "real"),
        _node("Mul", ["real", "second"], "of_text"),
        _node("Sub", ["real", "of_text"], "of_query"),
        _node("Unsqueeze", ["of_query", "last"], "rows"),
        _node("Unsqueeze", ["of_text", "middle"], "columns"),
        _node("Unsqueeze", ["input_ids", "last"], "ids_rows"),
        _node("Unsqueeze", ["input_ids", "middle"], "ids_columns"),
        _node("Equal", ["ids_rows", "ids_columns"], "is_same"),
        _node("Cast", ["is_same"], "same", to=_FLOAT),
        _node("Mul", ["rows", "columns"], "crossed"),
        _node("Mul", ["crossed", "same"], "shared"),
        _node("ReduceSum", ["shared", "both"], "count", keepdims=0),
        _node("Sub", ["count", "threshold"], "logit"),
        _node("Unsqueeze", ["logit", "middle"], "column"),
        *(
            [_node("Neg", ["column"], "no"), _node("Concat", ["no", "column"], "logits", axis=1)]
            if classes == 2
            else []
        ),
        *([_node("Concat", ["column", "column", "column"], "logits", axis=1)] if classes == 3 else []),
        *([_node("Identity", ["column"], "logits")] if classes == 1 else []),
    ]
    constants = [
        _constant("specials", np.array(3, dtype=np.int64)),
        _constant("threshold", np.array(1.5, dtype=np.float32)),
        _constant("middle", np.array([1], dtype=np.int64)),
        _constant("last", np.array([2], dtype=np.int64)),
        _constant("both", np.array([1, 2], dtype=np.int64)),
    ]
    inputs = [_field(11, _value(name, _INT64, ("n", "tokens"))) for name in _INPUTS]
    graph = [_field(1, node) for node in nodes] + [_field(2, b"shared tokens")] + [_field(5, one) for one in constants]
    graph += [*inputs, _field(12, _value("logits", _FLOAT, ("n", classes)))]
    return _field(1, 8) + _field(8, _field(2, 17)) + _field(7, b"".join(graph))


# --- protobuf, by the field numbers of onnx.proto ---------------------------------------------------------------------


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    made = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, operator)
    return made + b"".join(_field(5, _field(1, k) + _field(3, v) + _field(20, 2)) for k, v in attributes.items())


def _constant(name: str, value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bytes:
    kind = _INT64 if value.dtype == np.int64 else _FLOAT
    return (
        b"".join(_field(1, size) for size in value.shape)
        + _field(2, kind)
        + _field(8, name)
        + _field(9, value.tobytes())
    )


def _value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    sizes = b"".join(_field(1, _field(1, one) if isinstance(one, int) else _field(2, one)) for one in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, sizes)))
