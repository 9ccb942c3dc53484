"""ONNX graphs written by hand: protobuf by the field numbers of onnx.proto.

`onnx` is no dependency of ours, and the part of protobuf that a graph takes is a few lines.
"""

from collections.abc import Sequence

import numpy as np

FLOAT, INT64 = 1, 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    made = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    return made + b"".join(field(5, field(1, k) + field(3, v) + field(20, 2)) for k, v in attributes.items())


def constant(name: str, value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bytes:
    kind = INT64 if value.dtype == np.int64 else FLOAT
    return (
        b"".join(field(1, size) for size in value.shape) + field(2, kind) + field(8, name) + field(9, value.tobytes())
    )


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    sizes = b"".join(field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))
