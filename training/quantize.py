"""Weights of few bits in the layouts that the graph's operators read."""

from dataclasses import dataclass

import numpy as np

BLOCK = 128
ZERO_POINT = 128
SEVEN_BITS = 63
"""The largest step of weights that meet eight-bit activations: with 127, processors without VNNI would saturate."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """``(values - ZERO_POINT) * scale`` is the matrix, to eight bits."""

    values: np.ndarray
    scale: np.ndarray


def quantize_rows(matrix: np.ndarray) -> Quantized:
    """One scale a row: with one for all rows, a rare token's small vector would lose its shape."""
    scale = _scale_of(matrix)
    return Quantized(_steps(matrix, scale), scale)


def quantize_blocks(matrix: np.ndarray) -> Quantized:
    """One scale for every BLOCK values of a row: values are [rows, blocks, BLOCK], scale is [rows, blocks]."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    scale = _scale_of(blocks)
    return Quantized(_steps(blocks, scale), scale[..., 0])


def quantize_columns(matrix: np.ndarray) -> Quantized:
    """Seven bits, signed, one scale a row, for ``x @ values``: values are [columns, rows]."""
    scale = np.asarray(np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-12) / SEVEN_BITS, np.float32)
    return Quantized(np.rint(matrix / scale).astype(np.int8).T, scale[:, 0])


@dataclass(frozen=True, slots=True)
class FourBits:
    """``(codes - 8) * scale``, one scale for every 32 values of a row."""

    codes: np.ndarray
    scale: np.ndarray


def _scale_of(values: np.ndarray) -> np.ndarray:
    largest = np.abs(values).max(axis=-1, keepdims=True)
    return np.asarray(np.maximum(largest, 1e-12) / 127, np.float32)


def _steps(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(values / scale) + ZERO_POINT, np.uint8)
