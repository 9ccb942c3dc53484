"""A reranker out of v3: question and passage apart through the lower layers, together through the upper ones.

The lower layers are v3's own, so what they make of a passage is the same for every question and is kept while training
(deferred interaction: MacAvaney et al. 2020, "Efficient document re-ranking for transformers"). Without the attention
between both sides the order would be that of v3's cosine, and training begins with next to nothing of it.
"""

from collections.abc import Sequence

import torch
from bert import HEADS, Encoder
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, normalize

STEEPNESS = 20.0
"""Of the score over the cosine before training."""
APART = -4.0
"""Added to the attention between both sides before training, so that it begins with next to nothing of it."""
WIDTHS = 16


class Reranker(nn.Module):
    """One logit a pair, out of the products and the distances of both sides' vectors."""

    def __init__(self, encoder: Encoder, together: int) -> None:
        """`together`: how many of the encoder's layers read both sides."""
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        apart = len(encoder.layers) - together
        self.lower, self.upper = encoder.layers[:apart], encoder.layers[apart:].requires_grad_(True)
        hidden = len(encoder.centre)
        self.head = nn.Linear(2 * hidden, 1)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.weight[0, :hidden] = STEEPNESS
            self.head.bias.zero_()
        self.across = nn.Parameter(torch.full((together, HEADS), APART))
        self.drop = 0.0

    @torch.no_grad()
    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The lower layers' states of one side; nothing of them learns."""
        x = self.encoder.norm(embedding(ids, self.encoder.words) + self.encoder.positions[: ids.shape[1]])
        for layer in self.lower:
            x = layer(x, mask, 0.0)
        return x

    @torch.no_grad()
    def vectors(self, states: Tensor, mask: Tensor) -> Tensor:
        """What the upper layers make of one side alone: before training, v3's vectors."""
        for layer in self.upper:
            states = layer(states, mask, 0.0)
        return self._pooled(states, mask)

    def forward(self, question: tuple[Tensor, Tensor], passage: tuple[Tensor, Tensor]) -> Tensor:
        """Logits of as many pairs; each side: the lower layers' states and their mask."""
        drop = self.drop if self.training else 0.0
        x, mask = (torch.cat(both, dim=1) for both in zip(question, passage, strict=True))
        x = dropout(x, drop, self.training)
        width = question[1].shape[1]
        side = torch.arange(x.shape[1]) < width
        across = (side[:, None] != side[None, :]).float()
        unseen = torch.zeros(mask.shape).masked_fill(~mask, -1e4)[:, None, None, :]
        for layer, bias in zip(self.upper, self.across, strict=True):
            x = layer(x, unseen + bias[None, :, None, None] * across, drop)
        left = self._pooled(x[:, :width], question[1])
        right = self._pooled(x[:, width:], passage[1])
        return self.head(torch.cat([left * right, (left - right).abs()], dim=1)).squeeze(1)

    def _pooled(self, x: Tensor, mask: Tensor) -> Tensor:
        mean = normalize((x.float() * mask.unsqueeze(-1)).sum(1), dim=-1)
        return normalize(mean - self.encoder.centre, dim=-1)

    def learnt(self) -> dict[str, Tensor]:
        """A copy of what learns, by its name."""
        return {
            name: value.detach().clone()
            for name, value in self.state_dict().items()
            if name.startswith(("upper", "head", "across"))
        }


def padded(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """States of several lengths as one tensor, and its mask; few widths, since each has kernels of its own."""
    lengths = torch.tensor([len(one) for one in states])
    joined = torch.zeros(len(states), -(-int(lengths.max()) // WIDTHS) * WIDTHS, states[0].shape[1])
    for row, one in zip(joined, states, strict=True):
        row[: len(one)] = one
    return joined, torch.arange(joined.shape[1])[None, :] < lengths[:, None]
