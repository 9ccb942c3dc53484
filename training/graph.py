"""Writes the student as an ONNX graph with 8-bit weights, pooling and normalisation included.

The graph is built by hand from onnxruntime's fused transformer operators. An export followed by the
optimiser's pattern matching gives the same operators only as long as both tools' versions agree.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from quantize import BLOCK, ZERO_POINT, quantize_blocks, quantize_rows

MICROSOFT = "com.microsoft"
INT8_ARITHMETIC = 4
"""MatMulNBits' accuracy level at which the multiplication itself is done in eight bits."""

Weights = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not say about the network."""

    layers: int
    heads: int
    epsilon: float
    max_tokens: int


@dataclass(slots=True)
class Graph:
    """A graph in the making, and the network that it is made from."""

    weights: Weights
    shape: Shape
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a constant under its name."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name: str) -> str:
        """Store one of the network's own tensors, as it is."""
        return self.constant(name, self.weights[name])

    def add(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> list[str]:
        """Append a node; its outputs' names."""
        base = f"{operator}_{len(self.nodes)}"
        names = [base] if outputs == 1 else [f"{base}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=base, domain=domain, **attributes))
        return names

    def one(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node with one output; its name."""
        return self.add(operator, *inputs, domain=domain, **attributes)[0]


def linear(graph: Graph, name: str, x: str, weight: np.ndarray) -> str:
    """``x @ weight.T`` (no bias: the operators that follow add it)."""
    # This operator quantises activations in small blocks of one token. With one scale for the whole batch
    # (DynamicQuantizeMatMul) a text's vector would depend on which texts it was embedded with.
    stored = quantize_blocks(weight)
    rows, columns = weight.shape
    return graph.one(
        "MatMulNBits",
        x,
        graph.constant(f"{name}.values", stored.values),
        graph.constant(f"{name}.scale", stored.scale),
        domain=MICROSOFT,
        N=rows,
        K=columns,
        bits=8,
        block_size=BLOCK,
        accuracy_level=INT8_ARITHMETIC,
    )


def embed_tokens(graph: Graph) -> str:
    """Token vectors, read from the 8-bit table row by row, plus positions, normalised."""
    weights, shape = graph.weights, graph.shape
    table = quantize_rows(weights["embeddings.word_embeddings.weight"])
    # Only sentence A is ever used, so its vector belongs to every position.
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    rows = graph.one("Gather", graph.constant("tokens.values", table.values), "input_ids")
    scale = graph.one("Gather", graph.constant("tokens.scale", table.scale), "input_ids")
    centred = graph.one(
        "Sub",
        graph.one("Cast", rows, to=TensorProto.FLOAT),
        graph.constant("tokens.zero", np.array(ZERO_POINT, np.float32)),
    )
    length = graph.one("Shape", "input_ids", start=1, end=2)
    first = graph.constant("zero", np.zeros(1, np.int64))
    place = graph.one("Slice", graph.constant("positions", positions[: shape.max_tokens]), first, length, first)
    return graph.one(
        "LayerNormalization",
        graph.one("Add", graph.one("Mul", centred, scale), place),
        graph.weight("embeddings.LayerNorm.weight"),
        graph.weight("embeddings.LayerNorm.bias"),
        axis=-1,
        epsilon=shape.epsilon,
    )


def residual(graph: Graph, name: str, x: str, skip: str) -> str:
    """The sub-layer's last multiplication, then its bias, the residual connection and layer norm, fused."""
    return graph.one(
        "SkipLayerNormalization",
        linear(graph, f"{name}.dense", x, graph.weights[f"{name}.dense.weight"]),
        skip,
        graph.weight(f"{name}.LayerNorm.weight"),
        graph.weight(f"{name}.LayerNorm.bias"),
        graph.weight(f"{name}.dense.bias"),
        domain=MICROSOFT,
        epsilon=graph.shape.epsilon,
    )


def attend(graph: Graph, layer: str, x: str, mask: str) -> str:
    """Self-attention; query, key and value come out of one multiplication."""
    parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    joined = {kind: np.concatenate([graph.weights[f"{part}.{kind}"] for part in parts]) for kind in ("weight", "bias")}
    packed = linear(graph, f"{layer}.qkv", x, joined["weight"])
    query, key, value = graph.add("Split", packed, outputs=3, axis=-1, num_outputs=3)
    bias = graph.constant(f"{layer}.qkv.bias", joined["bias"])
    heads = graph.shape.heads
    context = graph.one("MultiHeadAttention", query, key, value, bias, mask, domain=MICROSOFT, num_heads=heads)
    return residual(graph, f"{layer}.attention.output", context, x)


def feed_forward(graph: Graph, layer: str, x: str) -> str:
    """The two-matrix sub-layer."""
    wide = f"{layer}.intermediate.dense"
    hidden = graph.one(
        "BiasGelu",
        linear(graph, wide, x, graph.weights[f"{wide}.weight"]),
        graph.weight(f"{wide}.bias"),
        domain=MICROSOFT,
    )
    return residual(graph, f"{layer}.output", hidden, x)


def pool(graph: Graph, x: str) -> None:
    """Mean over the real tokens, then unit length."""
    mask = graph.one("Cast", "attention_mask", to=TensorProto.FLOAT)
    last = graph.constant("last", np.array([-1], np.int64))
    middle = graph.constant("middle", np.array([1], np.int64))
    masked = graph.one("Mul", x, graph.one("Unsqueeze", mask, last))
    # The sum is enough: the division of a mean cancels out in the normalisation.
    total = graph.one("ReduceSum", masked, middle, keepdims=0)
    length = graph.one("ReduceL2", total, last, keepdims=1)
    floor = graph.constant("floor", np.array(1e-12, np.float32))
    graph.nodes.append(
        helper.make_node("Div", [total, graph.one("Max", length, floor)], ["embedding"], name="embedding")
    )


def build_graph(weights: Weights, shape: Shape, name: str) -> onnx.ModelProto:
    """The whole encoder: ``input_ids`` and ``attention_mask`` in, unit ``embedding`` out."""
    graph = Graph(weights, shape)
    mask = graph.one("Cast", "attention_mask", to=TensorProto.INT32)
    x = embed_tokens(graph)
    for index in range(shape.layers):
        layer = f"encoder.layer.{index}"
        x = attend(graph, layer, x, mask)
        x = feed_forward(graph, layer, x)
    pool(graph, x)
    ids = ["batch", "sequence"]
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    proto = helper.make_graph(
        graph.nodes,
        name,
        [helper.make_tensor_value_info(n, TensorProto.INT64, ids) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])],
        list(graph.constants.values()),
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(proto, opset_imports=opsets, producer_name="ateneo-training", ir_version=9)
