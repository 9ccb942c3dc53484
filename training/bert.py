"""BERT as e5-small has it, small enough to be read whole: only what training needs, no pooler, no token types."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, gelu, normalize, scaled_dot_product_attention

HEADS = 12
EPSILON = 1e-12
_QKV = ("query", "key", "value")


class Layer(nn.Module):
    """Attention and the two-matrix sub-layer, each with its residual connection and layer norm."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.wide, self.narrow = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
        self.attention_norm, self.norm = nn.LayerNorm(hidden, EPSILON), nn.LayerNorm(hidden, EPSILON)

    def forward(self, x: Tensor, mask: Tensor, drop: float) -> Tensor:
        rows, length, hidden = x.shape
        packed = self.qkv(x).view(rows, length, 3, HEADS, hidden // HEADS)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        seen = mask if mask.ndim == 4 else mask[:, None, None, :]
        context = scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=drop)
        context = context.transpose(1, 2).reshape(rows, length, hidden)
        x = self.attention_norm(x + dropout(self.out(context), drop, self.training))
        wide = gelu(self.wide(x))
        return self.norm(x + dropout(self.narrow(wide), drop, self.training))


class Encoder(nn.Module):
    """Mean over the tokens, unit length, the mean vector of all texts taken off, unit length again."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
        inner, hidden = weights["encoder.layer.0.intermediate.dense.weight"].shape
        positions = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self.words = nn.Parameter(torch.from_numpy(weights["embeddings.word_embeddings.weight"].copy()))
        self.positions = nn.Parameter(torch.from_numpy(positions))
        self.norm = nn.LayerNorm(hidden, EPSILON)
        self.layers = nn.ModuleList(Layer(hidden, inner) for _ in range(layers))
        self.register_buffer("centre", torch.zeros(hidden))
        self.drop = 0.0
        self._read(weights)

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """e5's own vectors: their mean is far from 0."""
        drop = self.drop if self.training else 0.0
        x = self.norm(embedding(ids, self.words) + self.positions[: ids.shape[1]])
        x = dropout(x, drop, self.training)
        for layer in self.layers:
            x = layer(x, mask, drop)
        return normalize((x * mask.unsqueeze(-1)).sum(1).float(), dim=-1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return normalize(self.pooled(ids, mask) - self.centre, dim=-1)

    @torch.no_grad()
    def _read(self, weights: dict[str, np.ndarray]) -> None:
        for name, (module, kind, part) in self._places().items():
            target = getattr(module, kind)
            value = torch.from_numpy(np.ascontiguousarray(weights[name]))
            (target if part is None else target.chunk(3)[part]).copy_(value)

    def written(self) -> dict[str, np.ndarray]:
        """The weights by the names that they were read by; token types are part of the positions."""
        found = {}
        for name, (module, kind, part) in self._places().items():
            value = getattr(module, kind).detach()
            found[name] = (value if part is None else value.chunk(3)[part]).float().cpu().numpy()
        found["embeddings.word_embeddings.weight"] = self.words.detach().float().cpu().numpy()
        found["embeddings.position_embeddings.weight"] = self.positions.detach().float().cpu().numpy()
        found["embeddings.token_type_embeddings.weight"] = np.zeros((1, len(self.centre)), np.float32)
        return found

    def _places(self) -> dict[str, tuple[nn.Module, str, int | None]]:
        """BertModel's names: the module here, its parameter, and which third of it."""
        modules: dict[str, tuple[nn.Module, int | None]] = {"embeddings.LayerNorm": (self.norm, None)}
        for number, layer in enumerate(self.layers):
            base = f"encoder.layer.{number}"
            modules |= {f"{base}.attention.self.{part}": (layer.qkv, third) for third, part in enumerate(_QKV)}
            modules |= {
                f"{base}.attention.output.dense": (layer.out, None),
                f"{base}.attention.output.LayerNorm": (layer.attention_norm, None),
                f"{base}.intermediate.dense": (layer.wide, None),
                f"{base}.output.dense": (layer.narrow, None),
                f"{base}.output.LayerNorm": (layer.norm, None),
            }
        return {
            f"{name}.{kind}": (module, kind, part)
            for name, (module, part) in modules.items()
            for kind in ("weight", "bias")
        }
