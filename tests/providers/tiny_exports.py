"""Folders laid out as the exports of well-known models are, with networks small enough to write by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tests.providers.tiny_onnx import FLOAT, FLOAT16, INT64, constant, constant_node, field, node, value
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import NFKC
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing

Vectors = npt.NDArray[np.float32]

_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_PIECES = ["▁", *"abcdefghijklmnopqrstuvwxyz:áéíóúñ¿?", "▁de", "▁la", "ción", "ar", "▁query", "▁passage"]
SCALE = 0.5


def table(dims: int) -> Vectors:
    """A vector a piece."""
    size = (len(_SPECIAL) + len(_PIECES), dims)
    return np.random.default_rng(dims).standard_normal(size).astype(np.float32)


def vectors_of(text: str, dims: int) -> Vectors:
    """The vectors of a text's pieces, with those that frame it."""
    tokenizer = _tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found: Vectors = table(dims)[tokenizer.encode(text).ids]
    return found


def e5_small(folder: Path, *, dims: int = 24) -> Path:
    """Graph and tokeniser in onnx/, three inputs, half precision, a pooler that nothing trained; prefixes in prose."""
    _shared(folder, dims, model_type="bert", positions=512, window=512, pooling="mean")
    (folder / "README.md").write_text(
        '---\nlicense: mit\n---\nEach input text should start with "query: " or "passage: ".\n'
    )
    nodes = [
        node("Gather", ["table", "input_ids"], "words"),
        node("Gather", ["types", "token_type_ids"], "kinds"),
        node("Add", ["words", "kinds"], "hidden"),
        node("Cast", ["hidden"], "last_hidden_state", to=FLOAT16),
        node("Gather", ["last_hidden_state", "first"], "pooler_output", axis=1),
    ]
    tensors = [constant("table", table(dims)), constant("types", np.zeros((2, dims), dtype=np.float32))]
    tensors.append(constant("first", np.array(0, dtype=np.int64)))
    outputs = [
        value("pooler_output", FLOAT16, ("batch_size", dims)),
        value("last_hidden_state", FLOAT16, ("batch_size", "sequence_length", dims)),
    ]
    _save(folder, ["input_ids", "attention_mask", "token_type_ids"], nodes, tensors, outputs)
    return folder


def bge_m3(folder: Path, *, dims: int = 32) -> Path:
    """Two inputs, weights in two files beside the graph, both kinds of vectors, nothing said of their length."""
    _shared(folder, dims, model_type="xlm-roberta", positions=8194, window=8192, pooling="cls")
    (folder / "onnx").mkdir()
    scale = constant("scale", np.array(SCALE, dtype=np.float32), beside=folder / "onnx" / "Constant_7_attr__value")
    nodes = [
        constant_node("scale", scale),
        node("Gather", ["table", "input_ids"], "words"),
        node("Mul", ["words", "scale"], "token_embeddings"),
        node("Cast", ["attention_mask"], "mask", to=FLOAT),
        node("Unsqueeze", ["mask", "last"], "weights"),
        node("Mul", ["token_embeddings", "weights"], "weighted"),
        node("ReduceSum", ["weighted", "middle"], "total", keepdims=0),
        node("ReduceSum", ["weights", "middle"], "count", keepdims=0),
        node("Div", ["total", "count"], "sentence_embedding"),
    ]
    tensors = [
        constant("table", table(dims), beside=folder / "onnx" / "model.onnx_data"),
        constant("middle", np.array([1], dtype=np.int64)),
        constant("last", np.array([2], dtype=np.int64)),
    ]
    outputs = [
        value("token_embeddings", FLOAT, ("batch_size", "sequence_length", "width")),
        value("sentence_embedding", FLOAT, ("batch_size", "width")),
    ]
    _save(folder, ["input_ids", "attention_mask"], nodes, tensors, outputs)
    return folder


def qwen3(folder: Path, *, dims: int = 16) -> Path:
    """A decoder, as exported with its cache: positions and empty keys and values are asked for; nothing says that the
    last token is the text's vector, nor how a question begins."""
    _shared(folder, dims, model_type="qwen3", positions=32768, window=512, pooling="last")
    for name in ("modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    nodes = [
        node("Gather", ["table", "input_ids"], "words"),
        node("Cast", ["position_ids"], "places", to=FLOAT),
        node("Unsqueeze", ["places", "last"], "weights"),
        node("Mul", ["words", "weights"], "weighted"),
        node("CumSum", ["weighted", "axis"], "last_hidden_state"),
        node("Identity", ["past_key_values.0.key"], "present.0.key"),
    ]
    tensors = [constant("table", table(dims)), constant("last", np.array([2], dtype=np.int64))]
    tensors.append(constant("axis", np.array(1, dtype=np.int64)))
    outputs = [
        value("present.0.key", FLOAT, ("batch_size", 2, "total", 4)),
        value("last_hidden_state", FLOAT, ("batch_size", "sequence_length", dims)),
    ]
    past = [value(f"past_key_values.0.{part}", FLOAT, ("batch_size", 2, "past", 4)) for part in ("key", "value")]
    _save(folder, ["input_ids", "attention_mask", "position_ids"], nodes, tensors, outputs, past)
    return folder


def _shared(folder: Path, dims: int, *, model_type: str, positions: int, window: int, pooling: str) -> None:
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    files = {
        "config": {"model_type": model_type, "hidden_size": dims, "max_position_embeddings": positions},
        "modules": [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (kind, path) in enumerate(modules)
        ],
        "sentence_bert_config": {"max_seq_length": window, "do_lower_case": False},
        "config_sentence_transformers": {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"},
        "tokenizer_config": {"model_max_length": window, "tokenizer_class": "XLMRobertaTokenizer"},
        "1_Pooling/config": {
            "word_embedding_dimension": dims,
            "pooling_mode_cls_token": pooling == "cls",
            "pooling_mode_mean_tokens": pooling == "mean",
            "pooling_mode_max_tokens": False,
            "include_prompt": True,
        },
    }
    (folder / "1_Pooling").mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "sentencepiece.bpe.model").write_bytes(b"not read")
    (folder / "model.safetensors").write_bytes(b"not read")


def _tokenizer() -> Tokenizer:
    """A Unigram as XLM-RoBERTa's: longer pieces are likelier."""
    scored = [(piece, 0.0) for piece in _SPECIAL] + [(piece, -10.0 / len(piece)) for piece in _PIECES]
    tokenizer = Tokenizer(Unigram(scored, unk_id=3))
    tokenizer.normalizer = NFKC()
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.add_special_tokens([AddedToken(piece, special=True) for piece in _SPECIAL])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    # as published: padding and truncation are in the file
    tokenizer.enable_padding(pad_id=1, pad_token="<pad>", length=16)
    tokenizer.enable_truncation(16)
    return tokenizer


def _save(
    folder: Path,
    inputs: list[str],
    nodes: list[bytes],
    tensors: list[bytes],
    outputs: list[bytes],
    past: Sequence[bytes] = (),
) -> None:
    place = folder / "onnx"
    place.mkdir(exist_ok=True)
    _tokenizer().save(str(place / "tokenizer.json"))
    read = [field(11, value(name, INT64, ("batch_size", "sequence_length"))) for name in inputs]
    read += [field(11, one) for one in past]
    graph = [field(1, one) for one in nodes] + [field(2, "main_graph")] + [field(5, one) for one in tensors]
    graph += [*read, *(field(12, one) for one in outputs)]
    (place / "model.onnx").write_bytes(field(1, 8) + field(8, field(2, 17)) + field(7, b"".join(graph)))
