"""ONNX graphs written by hand: protobuf by the field numbers of onnx.proto.

`onnx` is no dependency of ours, and the part of protobuf that a graph takes is a few lines.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FLOAT, INT32, INT64, FLOAT16 = 1, 6, 7, 10


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


def constant(
    name: str, value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", *, beside: Path | None = None
) -> bytes:
    """A tensor; its bytes go to the file `beside` the graph, where one is named."""
    head = b"".join(field(1, size) for size in value.shape) + field(2, _kind(value)) + field(8, name)
    if beside is None:
        return head + field(9, value.tobytes())
    beside.write_bytes(value.tobytes())
    return head + field(13, field(1, "location") + field(2, beside.name)) + field(14, 1)


def constant_node(output: str, tensor: bytes) -> bytes:
    """A node that gives a tensor: exporters write small constants so."""
    return field(2, output) + field(4, "Constant") + field(5, field(1, "value") + field(5, tensor) + field(20, 4))


def _kind(value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> int:
    return INT64 if value.dtype == np.int64 else FLOAT


def value(name: str, kind: int, shape: Sequence[str | int]) -> bytes:
    sizes = b"".join(field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))
