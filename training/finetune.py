"""Fine-tunes e5 on questions in people's own words without losing what it could do before.

A step takes some domains: all their passages, and for each some of its questions. Each question is to find its
passage among all of them (InfoNCE, van den Oord et al. 2018), so that a passage's neighbours in its own manual are
always among the wrong answers, and each passage its questions. Beside it a batch of each kind of pair: a heading and
its passage, a sentence and its translation, a regional term and its meaning, some words and the passage that has
them. Two terms remind of what e5 could do before: the Kullback-Leibler divergence of the similarities from those of
e5, and the distance of each pair's vectors from e5's. The mean vector of e5 is taken off inside the network, so that
strangers have a cosine near 0. The token vectors do not learn: they stay exactly what four bits hold. At the end the
weights of the runs are averaged, and that average with e5's own (Wortsman et al. 2022, "Robust fine-tuning of zero-
shot models").
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from bert import Encoder
from questions import Passage, Questions
from retrieval import misspell
from textnorm import fold
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

QUERY, PASSAGE = "query: ", "passage: "
PAD = 1
PREFIX = 4
"""Tokens of `<s> query: `; they are always seen."""
PADDED_TOKENS = 65_000
"""Of one pass through the network; a batch that has more goes in several."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run. Temperatures divide cosines; `centre`: share of the mean vector that is taken off;
    `asked`: questions of a passage in a step; `hidden`: share of their words and the passages' that a step does not
    see; `back`: weight of the passages' own search for their questions."""

    seeds: tuple[int, ...] = (11,)
    steps: int = 130
    warmup: float = 0.1
    rate: float = 2e-4
    decay: float = 0.01
    dropout: float = 0.1
    hidden: float = 0.1
    domains: int = 9
    asked: int = 2
    batch: int = 128
    temperature: float = 0.05
    back: float = 0.3
    distillation: float = 0.2
    distillation_temperature: float = 0.05
    anchor: float = 2.0
    headings: float = 0.3
    spans: float = 0.3
    translations: float = 0.3
    terms: float = 0.15
    centre: float = 0.8
    max_tokens: int = 256
    learn_words: bool = False


class Bank:
    """Texts as token ids on the device, spelt once."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str], device: str) -> None:
        encoded = [one.ids for one in tokenizer.encode_batch_fast(list(texts))]
        self.lengths = np.array([len(ids) for ids in encoded])
        ids = np.full((len(encoded), _wide(self.lengths.max())), PAD, np.int32)
        for row, found in zip(ids, encoded, strict=True):
            row[: len(found)] = found
        self._ids, self._device = torch.from_numpy(ids).to(device), device

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, numbers: np.ndarray, hidden: float = 0.0) -> tuple[Tensor, Tensor]:
        """Ids and mask of some texts, as wide as the longest; `hidden`: share of the words that are not to be seen."""
        longest = _wide(self.lengths[numbers].max())
        ids = self._ids[torch.from_numpy(numbers).to(self._device), :longest].long()
        mask = ids != PAD
        if hidden:
            mask = mask & (
                (torch.rand(ids.shape, device=ids.device) >= hidden)
                | (torch.arange(ids.shape[1], device=ids.device) < PREFIX)
            )
        return ids, mask


def _wide(length: int) -> int:
    """A multiple of eight, which the fast kernels of attention want."""
    return -(-int(length) // 8) * 8


def open_tokenizer(tokenizer_json: str, max_tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def cut(lengths: np.ndarray, most: int = PADDED_TOKENS) -> Iterator[np.ndarray]:
    """Places of texts of like length, shortest first, no part of more padded tokens than `most` (or of one text)."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - start) * lengths[order[end]] > most:
            yield order[start:end]
            start = end


def encode(encoder: Encoder, bank: Bank, numbers: np.ndarray, hidden: float = 0.0) -> Tensor:
    """Vectors of some texts in their order, with gradients where they are on."""
    parts = list(cut(bank.lengths[numbers]))
    vectors = torch.cat([encoder(*bank.rows(numbers[part], hidden)) for part in parts])
    place = np.empty(len(numbers), np.int64)
    place[np.concatenate(parts)] = np.arange(len(numbers))
    return vectors[torch.from_numpy(place).to(vectors.device)]


def half(encoder: Encoder) -> torch.autocast:
    """bf16 on an accelerator; on a processor nothing changes."""
    return torch.autocast(encoder.centre.device.type, torch.bfloat16, enabled=encoder.centre.is_cuda)


@torch.no_grad()
def embed(encoder: Encoder, bank: Bank) -> Tensor:
    """Vectors of all of a bank's texts."""
    encoder.train(False)
    with half(encoder):
        return encode(encoder, bank, np.arange(len(bank)))


def spellings(text: str, synonyms: dict[str, list[str]], rng: random.Random) -> list[str]:
    """A question as it is written (twice), and as others type it: without accents, misspelt, both, in small letters
    without signs, in another country's words."""
    wrong = misspell(text, rng)
    small = re.sub(r"[¿?¡!.,;:]", "", text.lower())
    return [text, text, fold(text), wrong, fold(misspell(text, rng)), small, replaced(text, synonyms, rng)]


def replaced(text: str, synonyms: dict[str, list[str]], rng: random.Random, share: float = 0.5) -> str:
    """With some of the words that the regional lexicon knows replaced by what they are called elsewhere."""
    parts = re.findall(r"\w+|\W+", text)
    return "".join(
        rng.choice(synonyms[part.lower()]) if part.lower() in synonyms and rng.random() < share else part
        for part in parts
    )


def shown(passage: Passage) -> list[str]:
    """A passage as a chunk may have it: alone (twice), under its heading, under the document's title too."""
    heading = passage.heading or passage.title
    return [passage.text] * 2 + [
        f"{heading}\n\n{passage.text}",
        f"{passage.title}\n\n{passage.heading}\n\n{passage.text}",
    ]


def span(text: str, rng: random.Random) -> str:
    """Some words in a row, now and then misspelt, so that finding shared words is not unlearnt."""
    words = text.split()
    length = rng.randint(4, 12)
    start = rng.randrange(max(1, len(words) - length))
    found = " ".join(words[start : start + length])
    return misspell(found, rng) if rng.random() < 0.3 else found


@dataclass(slots=True)
class Asking:
    """Questions and passages, each in all its forms (form f of text n is number n * forms + f of its bank)."""

    questions: Bank
    passages: Bank
    forms: tuple[int, int]
    asked_of: list[list[int]]
    """The questions of each passage."""
    domains: list[np.ndarray]
    """The passages of each domain."""
    before: tuple[Tensor, Tensor] = field(default_factory=lambda: (torch.empty(0), torch.empty(0)))
    """e5's vectors of the questions and passages, in their first form."""


def make_asking(
    tokenizer: Tokenizer, questions: Questions, synonyms: dict[str, list[str]], rng: random.Random, device: str
) -> Asking:
    asked = [spellings(one.text, synonyms, rng) for one in questions.asked]
    passages = [shown(one) for one in questions.passages]
    asked_of: list[list[int]] = [[] for _ in passages]
    for number, one in enumerate(questions.asked):
        asked_of[one.passage].append(number)
    names = [one.domain for one in questions.passages]
    domains = [np.array([n for n, name in enumerate(names) if name == domain]) for domain in sorted(set(names))]
    left = Bank(tokenizer, [QUERY + text for forms in asked for text in forms], device)
    right = Bank(tokenizer, [PASSAGE + text for forms in passages for text in forms], device)
    return Asking(left, right, (len(asked[0]), len(passages[0])), asked_of, domains)


@dataclass(slots=True)
class Pairs:
    """Texts that mean the same or belong together; either may be the question."""

    weight: float
    sides: list[tuple[Bank, Bank]]
    """Each side as question and as passage."""
    before: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    both_ways: bool = True


def make_pairs(
    tokenizer: Tokenizer, texts: list[tuple[str, str]], weight: float, device: str, *, both_ways: bool
) -> Pairs:
    sides = [
        tuple(Bank(tokenizer, [prefix + pair[n] for pair in texts], device) for prefix in (QUERY, PASSAGE))
        for n in (0, 1)
    ]
    return Pairs(weight, sides, both_ways=both_ways)


def set_centre(encoder: Encoder, asking: Asking, pairs: Sequence[Pairs], share: float) -> None:
    """Takes off `share` of the mean of the passages' vectors."""
    encoder.centre.zero_()
    mean = torch.cat([embed(encoder, asking.passages), *(embed(encoder, one.sides[1][1]) for one in pairs[:1])]).mean(0)
    encoder.centre.copy_(share * mean)


def remember(encoder: Encoder, asking: Asking, pairs: Sequence[Pairs]) -> None:
    """Keeps the vectors of the network as it is."""
    asking.before = tuple(
        embed(encoder, bank)[::forms]
        for bank, forms in zip((asking.questions, asking.passages), asking.forms, strict=True)
    )
    for one in pairs:
        one.before = [tuple(embed(encoder, bank) for bank in side) for side in one.sides]


class Trainer:
    """One run."""

    def __init__(self, encoder: Encoder, asking: Asking, pairs: Sequence[Pairs], recipe: Recipe, seed: int) -> None:
        self._encoder, self._asking, self._pairs, self._recipe = encoder, asking, pairs, recipe
        self._draw = np.random.default_rng(seed)
        torch.manual_seed(seed)
        encoder.drop = recipe.dropout
        encoder.words.requires_grad_(recipe.learn_words)
        learning = [value for value in encoder.parameters() if value.requires_grad]
        groups = [
            {"params": [v for v in learning if v.ndim > 1]},
            {"params": [v for v in learning if v.ndim < 2], "weight_decay": 0.0},
        ]
        fused = encoder.centre.is_cuda
        self._optimiser = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay, fused=fused)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: rate_factor(step, recipe))

    def run(self, report: Callable[[int, str], None], every: int = 100) -> None:
        began, recipe = time.monotonic(), self._recipe
        for step in range(1, recipe.steps + 1):
            self._encoder.train()
            losses = [self._back(self._asked_loss(), 1.0)]
            losses += [self._back(self._pair_loss(one), one.weight) for one in self._pairs if one.weight]
            torch.nn.utils.clip_grad_norm_(self._encoder.parameters(), 1.0)
            self._optimiser.step()
            self._optimiser.zero_grad(set_to_none=True)
            self._schedule.step()
            if step % every == 0 or step == recipe.steps:
                named = " ".join(f"{float(loss):.3f}" for loss in losses)
                report(step, f"step {step}, {time.monotonic() - began:.0f} s, losses {named}")

    @staticmethod
    def _back(loss: Tensor, weight: float) -> Tensor:
        (weight * loss).backward()
        return loss.detach()

    def _asked_loss(self) -> Tensor:
        asking, recipe, draw = self._asking, self._recipe, self._draw
        chosen = draw.choice(len(asking.domains), min(recipe.domains, len(asking.domains)), replace=False)
        passages = np.concatenate([asking.domains[n] for n in chosen])
        asked, own = [], []
        for place, passage in enumerate(passages):
            known = asking.asked_of[passage]
            some = draw.choice(known, min(recipe.asked, len(known)), replace=False)
            asked += list(some)
            own += [place] * len(some)
        numbers, places = np.array(asked), torch.tensor(own, device=self._encoder.centre.device)
        of_question, of_passage = asking.forms
        with half(self._encoder):
            form = draw.integers(of_question, size=len(numbers))
            left = encode(self._encoder, asking.questions, numbers * of_question + form, recipe.hidden)
            form = draw.integers(of_passage, size=len(passages))
            right = encode(self._encoder, asking.passages, passages * of_passage + form, recipe.hidden)
        scores = left @ right.T
        loss = cross_entropy(scores / recipe.temperature, places) + recipe.back * found_back(
            scores / recipe.temperature, places
        )
        return loss + self._divergence(scores, asking.before[0][numbers] @ asking.before[1][passages].T)

    def _pair_loss(self, pairs: Pairs) -> Tensor:
        recipe, draw = self._recipe, self._draw
        first = int(draw.integers(2)) if pairs.both_ways else 0
        left, right = pairs.sides[first][0], pairs.sides[1 - first][1]
        numbers = draw.choice(len(left), min(recipe.batch, len(left)), replace=False)
        with half(self._encoder):
            vectors = encode(self._encoder, left, numbers), encode(self._encoder, right, numbers)
        before = pairs.before[first][0][numbers], pairs.before[1 - first][1][numbers]
        scores = vectors[0] @ vectors[1].T
        own = torch.arange(len(numbers), device=scores.device)
        away = sum((1 - (now * then).sum(1)).mean() for now, then in zip(vectors, before, strict=True))
        loss = cross_entropy(scores / recipe.temperature, own) + recipe.anchor * away
        return loss + self._divergence(scores, before[0] @ before[1].T)

    def _divergence(self, scores: Tensor, before: Tensor) -> Tensor:
        """How far the similarities are from those of before."""
        temperature = self._recipe.distillation_temperature
        student = log_softmax(scores / temperature, dim=-1)
        return self._recipe.distillation * kl_div(student, softmax(before / temperature, dim=-1), reduction="batchmean")


def rate_factor(step: int, recipe: Recipe) -> float:
    """Up, then evenly down to nothing."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    return min((step + 1) / warm, max(0.0, (recipe.steps - step) / max(1, recipe.steps - warm)))


def found_back(scores: Tensor, own: Tensor) -> Tensor:
    """The passages' loss in finding any of their questions; `own`: each question's passage."""
    places = torch.arange(scores.shape[1], device=scores.device)
    mine = own[:, None] == places[None, :]
    likely = log_softmax(scores, dim=0).masked_fill(~mine, -torch.inf)
    return -likely.logsumexp(0)[mine.any(0)].mean()


def averaged(parts: Sequence[tuple[float, dict[str, Tensor]]]) -> dict[str, Tensor]:
    """The weighted mean of several networks' weights; what is no weight is the first one's."""
    first = parts[0][1]
    return {
        name: sum(share * one[name] for share, one in parts)
        if value.is_floating_point() and name != "centre"
        else value
        for name, value in first.items()
    }


def weights_of(encoder: Encoder) -> dict[str, Tensor]:
    """A copy of the weights as they are."""
    return {name: value.detach().clone() for name, value in encoder.state_dict().items()}
