"""Trains a reranker on the questions in people's own words: ``python training/train_reranker.py --help``.

It is in no package: docs/adr/0010-reranking.md says what it brought.

A group is a question, the passage that answers it, the neighbours in its own domain that v3 takes for the answer, and a
stranger. The loss is the softmax over the group (which one answers?) and, with less weight, each pair's own
cross entropy (does this one answer at all?), which puts the scores of different questions on one scale. Beside the
questions of people, some words of a passage ask for it too, so that finding shared words is not unlearnt.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import e5
import held_out
import numpy as np
import torch
from bert import Encoder
from build_v3 import MATERIAL, WEIGHTS, load_weights, read_beginning, read_tokenizer
from finetune import PASSAGE, QUERY, Bank, cut, open_tokenizer, span, spellings
from material import Material, load_material
from questions import Passage, Questions
from reranker import Reranker, padded
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

Report = Callable[[str], None]
PARTS = 4
"""Of a step, each with passages of like length."""
MOST_TOKENS = 4000
"""Of one pass, so that memory stays small."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run. `together`: layers that read both sides; `near`: wrong answers out of the `among`
    that v3 finds in the question's domain; `far`: out of other domains; `spans`: share of the groups whose question is
    some words of the passage; `hidden`: share of the tokens that a step does not see; `each`: weight of each pair's own
    loss; `head`, `across`: the rates of the last layer and of the attention between both sides, over the others';
    `minutes`: the run ends by then."""

    seed: int = 5
    together: int = 2
    steps: int = 800
    minutes: float = 70.0
    groups: int = 12
    near: int = 3
    far: int = 1
    among: int = 20
    rate: float = 2e-4
    head: float = 40.0
    across: float = 100.0
    warmup: float = 0.08
    decay: float = 0.01
    dropout: float = 0.1
    hidden: float = 0.1
    spans: float = 0.1
    each: float = 0.3
    max_tokens: int = 192


def shown(passage: Passage) -> str:
    """A passage as the reranker reads it."""
    return "\n\n".join(part for part in (passage.title, passage.heading, passage.text) if part)


def open_v3(work: Path) -> Encoder:
    weights = load_weights(work / WEIGHTS)
    centre = weights.pop("centre")
    weights |= {name: value for name, value in e5.unpack(read_beginning(work)).items() if "word_emb" in name}
    encoder = Encoder(weights).train(False)
    encoder.centre.copy_(torch.from_numpy(centre))
    return encoder


class Reading:
    """The lower layers' states of texts, each read once."""

    def __init__(self, reranker: Reranker, tokenizer: Tokenizer) -> None:
        self._reranker, self._tokenizer = reranker, tokenizer

    def states(self, texts: Sequence[str]) -> list[Tensor]:
        bank = Bank(self._tokenizer, texts, "cpu")
        found: list[Tensor] = [torch.empty(0)] * len(texts)
        for part in cut(bank.lengths, MOST_TOKENS):
            with torch.autocast("cpu", torch.bfloat16):
                states = self._reranker.read(*bank.rows(part))
            for place, row in zip(part, states, strict=True):
                found[place] = row[: bank.lengths[place]].half()
        return found

    def vectors(self, states: Sequence[Tensor]) -> np.ndarray:
        """v3's vectors of texts, before anything has learnt."""
        found = np.zeros((len(states), len(self._reranker.encoder.centre)), np.float32)
        for part in cut(np.array([len(one) for one in states]), MOST_TOKENS):
            with torch.autocast("cpu", torch.bfloat16):
                vectors = self._reranker.vectors(*padded([states[place] for place in part]))
            found[part] = vectors.float().numpy()
        return found


@dataclass(slots=True)
class Ground:
    """What the groups are drawn from."""

    questions: Questions
    synonyms: dict[str, list[str]]
    passages: list[Tensor]
    """The lower layers' states."""
    near: np.ndarray
    """For each question, the passages of its domain in v3's order, without its own; -1 where there are no more."""
    strangers: dict[str, np.ndarray]
    """The passages outside a domain."""


def prepare(reading: Reading, material: Material, among: int) -> Ground:
    questions = material.questions.of(held_out=False)
    passages = reading.states([PASSAGE + shown(one) for one in questions.passages])
    asked = reading.states([QUERY + one.text for one in questions.asked])
    near = neighbours(reading.vectors(asked), reading.vectors(passages), questions, among)
    domains = np.array([one.domain for one in questions.passages])
    strangers = {name: np.flatnonzero(domains != name) for name in set(domains)}
    return Ground(questions, material.synonyms, passages, near, strangers)


def kept(file: Path, make: Callable[[], Ground]) -> Ground:
    """What was made before, or is made now."""
    if not file.exists():
        torch.save(make(), file)
    return torch.load(file, weights_only=False)


def neighbours(asked: np.ndarray, passages: np.ndarray, questions: Questions, among: int) -> np.ndarray:
    """The nearest passages of the own domain, without the answer."""
    domains = np.array([one.domain for one in questions.passages])
    own = np.array([one.passage for one in questions.asked])
    found = np.full((len(own), among), -1)
    for number, vector in enumerate(asked):
        near = np.flatnonzero(domains == domains[own[number]])
        near = near[near != own[number]]
        best = near[np.argsort(-(passages[near] @ vector))[:among]]
        found[number, : len(best)] = best
    return found


class Trainer:
    """One run, which goes on from its checkpoint."""

    def __init__(self, reranker: Reranker, reading: Reading, ground: Ground, recipe: Recipe, kept: Path) -> None:
        self._reranker, self._reading, self._ground, self._recipe = reranker, reading, ground, recipe
        self._kept, self._step, self._spent = kept, 0, 0.0
        self._draw = random.Random(recipe.seed)
        self._size = 1 + recipe.near + recipe.far
        torch.manual_seed(recipe.seed)
        reranker.drop = recipe.dropout
        learning = list(reranker.upper.parameters())
        groups = [
            {"params": [v for v in learning if v.ndim > 1]},
            {"params": [v for v in learning if v.ndim < 2], "weight_decay": 0.0},
            {"params": [reranker.across], "weight_decay": 0.0, "times": recipe.across},
            {"params": list(reranker.head.parameters()), "weight_decay": 0.0, "times": recipe.head},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=recipe.decay)
        if kept.exists():
            self._resume()
        else:
            self._level()

    def run(self, report: Report, check: Callable[[], str], every: int = 200) -> None:
        """Until the steps or the minutes are over; the rate falls with whichever is nearer to its end."""
        order = self._order()
        began, before = time.monotonic(), self._spent
        losses: list[float] = []
        while (done := self._done()) < 1.0:
            rate = self._recipe.rate * min((done + 1e-3) / self._recipe.warmup, 1.0 - done)
            for group in self._optimiser.param_groups:
                group["lr"] = group.get("times", 1.0) * rate
            losses.append(self._learn([next(order) for _ in range(self._recipe.groups)]))
            self._step += 1
            self._spent = before + time.monotonic() - began
            if self._step % 20 == 0:
                report(f"step {self._step}, {self._spent / 60:.1f} min, loss {np.mean(losses[-20:]):.3f}")
                self._keep()
            if self._step % every == 0:
                report(check())

    def _done(self) -> float:
        return max(self._step / self._recipe.steps, self._spent / 60 / self._recipe.minutes)

    def _order(self) -> Iterator[int]:
        """The questions in a random order, again and again."""
        while True:
            numbers = list(range(len(self._ground.questions.asked)))
            self._draw.shuffle(numbers)
            yield from numbers

    def _learn(self, numbers: Sequence[int]) -> float:
        self._reranker.train()
        logits = self._scores(numbers)
        own = torch.zeros(len(numbers), dtype=torch.long)
        answers = torch.zeros_like(logits)
        answers[:, 0] = 1.0
        each = binary_cross_entropy_with_logits(logits, answers, pos_weight=torch.tensor(float(self._size - 1)))
        loss = cross_entropy(logits, own) + self._recipe.each * each
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._reranker.parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return float(loss.detach())

    @torch.no_grad()
    def _level(self) -> None:
        """Makes the scores' mean that of the chance of one in a group: they begin far above it."""
        few = range(0, 20 * self._recipe.groups, 20)
        mean = self._scores(few).mean()
        self._reranker.head.bias -= mean + np.log(self._size - 1)

    def _scores(self, numbers: Sequence[int]) -> Tensor:
        """Logits of the groups of some questions, [questions, passages], the right passage first."""
        texts, passages = zip(*(self._group(number) for number in numbers), strict=True)
        asked = [state for state in self._reading.states(texts) for _ in range(self._size)]
        return self._logits(asked, [one for group in passages for one in group]).view(-1, self._size)

    def _logits(self, asked: Sequence[Tensor], passages: Sequence[Tensor]) -> Tensor:
        """Of each pair, in their order; pairs of like length go together, so that little is padded."""
        order = np.argsort([len(one) for one in passages], kind="stable")
        found = []
        for part in np.array_split(order, PARTS):
            sides = (self._hidden(padded([side[place] for place in part])) for side in (asked, passages))
            with torch.autocast("cpu", torch.bfloat16):
                found.append(self._reranker(*sides).float())
        return torch.cat(found)[torch.from_numpy(np.argsort(order))]

    def _group(self, number: int) -> tuple[str, list[Tensor]]:
        """The question's text, and the states of the passages, the right one first."""
        ground, draw, recipe = self._ground, self._draw, self._recipe
        asked = ground.questions.asked[number]
        passage = ground.questions.passages[asked.passage]
        text = draw.choice(spellings(asked.text, ground.synonyms, draw))
        if draw.random() < recipe.spans:
            text = span(passage.text, draw)
        near = [int(one) for one in ground.near[number] if one >= 0]
        wrong = draw.sample(near, min(recipe.near, len(near)))
        others = ground.strangers[passage.domain]
        wrong += [int(draw.choice(others)) for _ in range(recipe.near + recipe.far - len(wrong))]
        return QUERY + text, [ground.passages[one] for one in (asked.passage, *wrong)]

    def _hidden(self, side: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        states, mask = side
        seen = torch.rand(mask.shape) >= self._recipe.hidden
        seen[:, 0] = True
        return states, mask & seen

    def _keep(self) -> None:
        state = {"learnt": self._reranker.learnt(), "optimiser": self._optimiser.state_dict()}
        new = self._kept.with_suffix(".new")
        torch.save({**state, "step": self._step, "spent": self._spent}, new)
        new.replace(self._kept)

    def _resume(self) -> None:
        state = torch.load(self._kept)
        self._reranker.load_state_dict(state["learnt"], strict=False)
        self._step, self._spent = state["step"], state["spent"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._draw.seed(self._recipe.seed + self._step)


@dataclass(slots=True)
class Check:
    """Some held-out questions without a shared word, and v3's first passages for each."""

    own: np.ndarray
    found: np.ndarray
    cosines: np.ndarray
    asked: list[Tensor]
    passages: list[Tensor]

    @torch.no_grad()
    def scores(self, reranker: Reranker) -> np.ndarray:
        reranker.train(False)
        rows = []
        for state, row in zip(self.asked, self.found, strict=True):
            with torch.autocast("cpu", torch.bfloat16):
                logits = reranker(padded([state] * len(row)), padded([self.passages[one] for one in row]))
            rows.append(logits.float().numpy())
        return np.array(rows)

    def figures(self, reranker: Reranker) -> str:
        """nDCG@10 of v3 alone, of the reranker alone, and of both added."""
        scores = self.scores(reranker)
        mixed = {f"+{share:g} v3": scores + share * self.cosines for share in (10, 20)}
        tried = {"v3": self.cosines, "reranker": scores, **mixed}
        return "held out: " + ", ".join(f"{name} {self._ndcg(values):.1f}" for name, values in tried.items())

    def _ndcg(self, scores: np.ndarray) -> float:
        right = self.found == self.own[:, None]
        best = np.where(right, scores, -np.inf).max(1)
        place = np.where(right.any(1), (scores >= best[:, None]).sum(1), 99)
        return held_out.ndcg_at_10(place)


def make_check(reading: Reading, questions: Questions, most: int, depth: int = 20) -> Check:
    asked = [one for one in questions.asked if one.apart]
    asked = random.Random(1).sample(asked, min(most, len(asked)))
    own = np.array([one.passage for one in asked])
    states = reading.states([QUERY + one.text for one in asked])
    passages = reading.states([PASSAGE + shown(one) for one in questions.passages])
    cosines = reading.vectors(states) @ reading.vectors(passages).T
    found = np.argsort(-cosines, axis=1)[:, :depth]
    return Check(own, found, np.take_along_axis(cosines, found, 1), states, passages)


def main() -> int:
    """Train, from v3's work folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="work folder of build_v3.py")
    parser.add_argument("--out", type=Path, required=True, help="file of the checkpoint, and at the end of the weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recipe", type=json.loads, default={}, help='other values, as {"steps": 2}')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe, report = replace(Recipe(), **options.recipe), partial(print, flush=True)
    material, encoder = load_material(options.work / MATERIAL), open_v3(options.work)
    tokenizer = open_tokenizer(read_tokenizer(options.work), recipe.max_tokens)
    reranker = Reranker(encoder, recipe.together)
    reading = Reading(reranker, tokenizer)
    check = make_check(reading, material.questions.of(held_out=True), 100)
    ground = kept(options.out.with_suffix(".ground"), lambda: prepare(reading, material, recipe.among))
    report(f"{len(ground.questions.asked)} questions, {len(ground.passages)} passages; {check.figures(reranker)}")
    Trainer(reranker, reading, ground, recipe, options.out).run(report, lambda: check.figures(reranker))
    report(check.figures(reranker))
    return 0


if __name__ == "__main__":
    sys.exit(main())
