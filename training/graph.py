"""Writes the student as an ONNX graph with weights of few bits, pooling and normalisation included.

The graph is built by hand from onnxruntime's fused transformer operators. An export followed by the
optimiser's pattern matching gives the same operators only as long as both tools' versions agree.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from quantize import BLOCK, ZERO_POINT, FourBits, quantize_blocks, quantize_columns, quantize_rows

MICROSOFT = "com.microsoft"
INT8_ARITHMETIC = 4
"""MatMulNBits' accuracy level at which the multiplication itself is done in eight bits."""

Weights = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not say about the network. `words`: its token vectors, where four bits hold them; `centre`:
    a vector that is taken off each text's unit vector; `by_text`: activations have one scale a run where that costs
    little, which is where they come out of a layer norm."""

    layers: int
    heads: int
    epsilon: float
    max_tokens: int
    words: FourBits | None = None
    centre: np.ndarray | None = None
    by_text: bool = False


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


def linear(graph: Graph, name: str, x: str, weight: np.ndarray, *, by_text: bool = False) -> str:
    """``x @ weight.T`` (no bias: the operators that follow add it)."""
    if by_text:
        # Faster. Ateneo runs a small model one text at a time, so one scale a run is one scale a text.
        stored = quantize_columns(weight)
        values, scale = graph.constant(f"{name}.values", stored.values), graph.constant(f"{name}.scale", stored.scale)
        return graph.one("DynamicQuantizeMatMul", x, values, scale, domain=MICROSOFT)
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


def read_tokens(graph: Graph) -> str:
    """Token vectors, read row by row from the table of eight or four bits."""
    words = graph.shape.words
    if words:
        return read_four_bits(graph, words)
    table = quantize_rows(graph.weights["embeddings.word_embeddings.weight"])
    rows = graph.one("Gather", graph.constant("tokens.values", table.values), "input_ids")
    scale = graph.one("Gather", graph.constant("tokens.scale", table.scale), "input_ids")
    zero = graph.constant("tokens.zero", np.array(ZERO_POINT, np.float32))
    return graph.one("Mul", graph.one("Sub", graph.one("Cast", rows, to=TensorProto.FLOAT), zero), scale)


def read_four_bits(graph: Graph, words: FourBits) -> str:
    """Two steps a byte, the even column's in its low half."""
    signed = (words.codes.astype(np.int16) - 8).reshape(-1) & 15
    packed = (signed[0::2] | signed[1::2] << 4).astype(np.uint8).tobytes()
    graph.constants["tokens.values"] = helper.make_tensor(
        "tokens.values", TensorProto.INT4, words.codes.shape, packed, raw=True
    )
    block = words.codes.shape[1] // words.scale.shape[1]
    scale = graph.constant("tokens.scale", words.scale.astype(np.float16))
    read = {"gather_axis": 0, "quantize_axis": 1, "block_size": block}
    rows = graph.one("GatherBlockQuantized", "tokens.values", "input_ids", scale, domain=MICROSOFT, **read)
    return graph.one("Cast", rows, to=TensorProto.FLOAT)


def embed_tokens(graph: Graph) -> str:
    """Token vectors plus positions, normalised."""
    weights, shape = graph.weights, graph.shape
    # Only sentence A is ever used, so its vector belongs to every position.
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.one("Shape", "input_ids", start=1, end=2)
    first = graph.constant("zero", np.zeros(1, np.int64))
    place = graph.one("Slice", graph.constant("positions", positions[: shape.max_tokens]), first, length, first)
    return graph.one(
        "LayerNormalization",
        graph.one("Add", read_tokens(graph), place),
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
    packed = linear(graph, f"{layer}.qkv", x, joined["weight"], by_text=graph.shape.by_text)
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
        linear(graph, wide, x, graph.weights[f"{wide}.weight"], by_text=graph.shape.by_text),
        graph.weight(f"{wide}.bias"),
        domain=MICROSOFT,
    )
    return residual(graph, f"{layer}.output", hidden, x)


def pool(graph: Graph, x: str) -> None:
    """Mean over the real tokens, then unit length; where there is a centre, it is taken off, and unit length again."""
    mask = graph.one("Cast", "attention_mask", to=TensorProto.FLOAT)
    last = graph.constant("last", np.array([-1], np.int64))
    middle = graph.constant("middle", np.array([1], np.int64))
    masked = graph.one("Mul", x, graph.one("Unsqueeze", mask, last))
    # The sum is enough: the division of a mean cancels out in the normalisation.
    total = graph.one("ReduceSum", masked, middle, keepdims=0)
    if graph.shape.centre is not None:
        centre = graph.constant("centre", graph.shape.centre.astype(np.float32))
        total = graph.one("Sub", graph.one("Div", *unit(graph, total)), centre)
    graph.nodes.append(helper.make_node("Div", unit(graph, total), ["embedding"], name="embedding"))


def unit(graph: Graph, x: str) -> list[str]:
    """A vector and what it is to be divided by."""
    last = graph.constant("last", np.array([-1], np.int64))
    floor = graph.constant("floor", np.array(1e-12, np.float32))
    return [x, graph.one("Max", graph.one("ReduceL2", x, last, keepdims=1), floor)]


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
    # numbers of four bits are known from opset 21 on
    opset, version = (21, 10) if shape.words else (18, 9)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(proto, opset_imports=opsets, producer_name="ateneo-training", ir_version=version)
