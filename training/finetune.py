"""Fine-tunes e5 on questions in people's own words without losing what it could do before.

A step takes a batch of each kind of pair (a question and its passage with hard negatives of its domain, a heading and
its passage, a sentence and its translation) and adds, for each, the contrastive loss over the batch (InfoNCE, van den
Oord et al. 2018) and a distillation loss: the Kullback-Leibler divergence of the batch's similarities from the
teacher's, which is the bundled model v2 and e5 joined. The mean vector of e5 is taken off inside the network, so that
strangers have a cosine near 0. At the end the weights are averaged with those of the beginning (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"), which gives back most of what training on one kind of text costs elsewhere.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from retrieval import misspell
from textnorm import fold
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize, softmax
from transformers import BertConfig, BertModel

QUERY, PASSAGE = "query: ", "passage: "


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run. Temperatures divide cosines; `teacher_v2` is v2's share of the teacher's cosine;
    `centre` the share of the mean vector that is taken off."""

    seed: int = 11
    steps: int = 1500
    warmup: int = 100
    rate: float = 3e-5
    batch: int = 192
    negatives: int = 2
    temperature: float = 0.04
    teacher_temperature: float = 0.06
    distillation: float = 0.5
    teacher_v2: float = 0.35
    centre: float = 0.8
    max_tokens: int = 192
    folded_share: float = 0.15
    misspelt_share: float = 0.12
    mine_every: int = 300
    average: float = 0.7
    """Share of the trained weights in the average with those of the beginning."""


@dataclass(slots=True)
class Pairs:
    """Texts and what answers them. `left[i]` belongs to `right[answer[i]]`; `group` of a right side: negatives are
    mined among its own. `left_v2`, `right_v2`: unit vectors of the bundled model v2."""

    name: str
    left: list[str]
    right: list[str]
    answer: np.ndarray
    group: list[str]
    weight: float
    left_v2: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    right_v2: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    hard: np.ndarray | None = None


class Encoder(torch.nn.Module):
    """e5 with the mean vector taken off: unit vectors (n, hidden)."""

    def __init__(self, weights: dict[str, np.ndarray], heads: int = 12, layers: Sequence[int] | None = None) -> None:
        super().__init__()
        self.bert = make_bert(weights, heads, layers)
        self.register_buffer("centre", torch.zeros(self.bert.config.hidden_size))

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Mean over the real tokens, unit length, as e5 was trained."""
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return normalize((hidden * weights).sum(1).float(), dim=-1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return normalize(self.pooled(ids, mask) - self.centre, dim=-1)


def make_bert(weights: dict[str, np.ndarray], heads: int, layers: Sequence[int] | None) -> BertModel:
    """A BertModel of the weights, or of some of its layers."""
    count = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    kept = list(range(count)) if layers is None else list(layers)
    state = {}
    for name, value in weights.items():
        parts = name.split(".")
        if parts[0] == "encoder":
            if int(parts[2]) not in kept:
                continue
            parts[2] = str(kept.index(int(parts[2])))
        state[".".join(parts)] = torch.from_numpy(np.ascontiguousarray(value))
    table, inner = state["embeddings.word_embeddings.weight"], state["encoder.layer.0.intermediate.dense.weight"]
    config = BertConfig(
        vocab_size=len(table),
        hidden_size=table.shape[1],
        num_hidden_layers=len(kept),
        num_attention_heads=heads,
        intermediate_size=inner.shape[0],
        max_position_embeddings=len(state["embeddings.position_embeddings.weight"]),
        type_vocab_size=len(state["embeddings.token_type_embeddings.weight"]),
        layer_norm_eps=1e-12,
        pad_token_id=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config, add_pooling_layer=False)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or [name for name in missing if "position_ids" not in name]:
        raise ValueError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


class Reader:
    """Texts to padded token ids on the device."""

    def __init__(self, tokenizer_json: str, device: str, max_tokens: int) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.enable_padding(pad_id=1, pad_token="<pad>")
        self._device = device

    def __call__(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        encoded = self._tokenizer.encode_batch_fast(texts)
        ids = torch.tensor([one.ids for one in encoded], device=self._device)
        return ids, torch.tensor([one.attention_mask for one in encoded], device=self._device)


@torch.inference_mode()
def embed(encoder: Encoder, read: Reader, texts: Sequence[str], prefix: str, *, centred: bool = True) -> np.ndarray:
    """Unit vectors of any number of texts, in their order."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = np.zeros((len(texts), encoder.centre.shape[0]), np.float32)
    for start in range(0, len(order), 256):
        chosen = order[start : start + 256]
        with torch.autocast(encoder.centre.device.type, torch.bfloat16, enabled=encoder.centre.is_cuda):
            vectors = (encoder if centred else encoder.pooled)(*read([prefix + texts[i] for i in chosen]))
        out[chosen] = vectors.float().cpu().numpy()
    return out


def mine(pairs: Pairs, left: np.ndarray, right: np.ndarray, most: int = 12) -> None:
    """Notes for each left side the wrong right sides of its answer's group that are nearest to it."""
    groups: dict[str, list[int]] = {}
    for number, group in enumerate(pairs.group):
        groups.setdefault(group, []).append(number)
    hard = np.zeros((len(pairs.left), most), np.int64)
    for number, answer in enumerate(pairs.answer):
        others = np.array([n for n in groups[pairs.group[answer]] if n != answer])
        nearest = others[np.argsort(-(right[others] @ left[number]))][:most]
        hard[number] = np.resize(nearest, most)
    pairs.hard = hard


def spoilt(text: str, recipe: Recipe, rng: random.Random) -> str:
    """A question as it is or, now and then, without accents or misspelt."""
    chance = rng.random()
    if chance < recipe.folded_share:
        return fold(text).lower()
    return misspell(text, rng) if chance < recipe.folded_share + recipe.misspelt_share else text


def batches(pairs: Pairs, recipe: Recipe, rng: random.Random) -> Iterator[list[int]]:
    """Numbers of left sides, for ever, each batch with different answers."""
    while True:
        order = list(range(len(pairs.left)))
        rng.shuffle(order)
        batch: dict[int, int] = {}
        for number in order:
            batch.setdefault(int(pairs.answer[number]), number)
            if len(batch) == recipe.batch:
                yield list(batch.values())
                batch = {}


class Trainer:
    """One run over some kinds of pairs."""

    def __init__(self, encoder: Encoder, read: Reader, pairs: list[Pairs], recipe: Recipe) -> None:
        self._encoder, self._read, self._pairs, self._recipe = encoder, read, pairs, recipe
        self._rng = random.Random(recipe.seed)
        self._batches = [batches(one, recipe, self._rng) for one in pairs]
        self._e5 = [self._vectors(one) for one in pairs]
        self._begin = {name: value.clone() for name, value in encoder.bert.state_dict().items()}

    def _vectors(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's e5 part: centred vectors of the network as it is before training."""
        left = embed(self._encoder, self._read, pairs.left, QUERY)
        right = embed(self._encoder, self._read, pairs.right, PASSAGE)
        mine(pairs, left, right)
        device = self._encoder.centre.device
        return torch.from_numpy(left).to(device), torch.from_numpy(right).to(device)

    def run(self, report: Callable[[str], None], check: Callable[[], str], check_every: int = 300) -> None:
        recipe, bert = self._recipe, self._encoder.bert
        table = bert.embeddings.word_embeddings.weight
        rest = [value for value in bert.parameters() if value is not table]
        optimiser = torch.optim.AdamW([{"params": rest}, {"params": [table]}], lr=recipe.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda s: min(1.0, (s + 1) / recipe.warmup) * max(0.02, 1 - max(0, s - recipe.warmup) / recipe.steps),
        )
        began = time.monotonic()
        for step in range(recipe.steps):
            losses = []
            for number in range(len(self._pairs)):
                loss = self._loss(number)
                (self._pairs[number].weight * loss).backward()
                losses.append(float(loss.detach()))
            torch.nn.utils.clip_grad_norm_(bert.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            schedule.step()
            if (step + 1) % recipe.mine_every == 0:
                self._mine_again()
            if (step + 1) % check_every == 0:
                named = ", ".join(f"{p.name} {v:.3f}" for p, v in zip(self._pairs, losses, strict=True))
                report(f"step {step + 1}, {time.monotonic() - began:.0f} s: {named}; {check()}")

    def average(self, share: float) -> None:
        """Sets the weights to `share` of the trained and the rest of those before."""
        trained = self._trained = getattr(self, "_trained", None) or {
            name: value.clone() for name, value in self._encoder.bert.state_dict().items()
        }
        mixed = {
            name: torch.lerp(self._begin[name], value, share) if value.is_floating_point() else value
            for name, value in trained.items()
        }
        self._encoder.bert.load_state_dict(mixed)

    def _mine_again(self) -> None:
        for pairs in self._pairs[:1]:
            left = embed(self._encoder, self._read, pairs.left, QUERY)
            mine(pairs, left, embed(self._encoder, self._read, pairs.right, PASSAGE))

    def _loss(self, number: int) -> torch.Tensor:
        pairs, recipe = self._pairs[number], self._recipe
        chosen = next(self._batches[number])
        answers = [int(pairs.answer[n]) for n in chosen]
        hard: list[int] = []
        if pairs.hard is not None and recipe.negatives and number == 0:
            hard = [int(n) for one in chosen for n in self._rng.sample(list(pairs.hard[one]), recipe.negatives)]
        rights = answers + hard
        texts = [QUERY + spoilt(pairs.left[n], recipe, self._rng) for n in chosen]
        with torch.autocast(self._encoder.centre.device.type, torch.bfloat16):
            left = self._encoder(*self._read(texts))
            right = self._encoder(*self._read([PASSAGE + pairs.right[n] for n in rights]))
        scores = left.float() @ right.float().T
        # a passage that answers the question is no negative of it, wherever it stands in the batch
        same = torch.tensor(answers)[:, None] == torch.tensor(rights)[None, :]
        same.fill_diagonal_(False)
        scores = scores.masked_fill(same.to(scores.device), -1.0)
        target = torch.arange(len(chosen), device=scores.device)
        loss = cross_entropy(scores / recipe.temperature, target)
        if recipe.distillation:
            teacher = self._teacher(number, chosen, rights) / recipe.teacher_temperature
            student = log_softmax(scores / recipe.teacher_temperature, dim=-1)
            loss = loss + recipe.distillation * kl_div(student, softmax(teacher, dim=-1), reduction="batchmean")
        return loss

    def _teacher(self, number: int, chosen: list[int], rights: list[int]) -> torch.Tensor:
        pairs, share = self._pairs[number], self._recipe.teacher_v2
        e5_left, e5_right = self._e5[number]
        found = (1 - share) * (e5_left[chosen] @ e5_right[rights].T)
        if len(pairs.left_v2):
            v2 = torch.from_numpy(pairs.left_v2[chosen] @ pairs.right_v2[rights].T)
            found = found + share * v2.to(found.device)
        return found
