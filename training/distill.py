"""Teaches the student to place a Spanish text where the teacher places its English translation."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from corpus import Pair
from encoder import Encoder
from retrieval import misspell

WINDOW = 1024
"""Pairs that are sorted by length together: batches are even, and still drawn from all over the data."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run; the seed fixes the sampling and the order."""

    seed: int = 5
    warmup: int = 20
    stable_steps: int = 200
    decay_steps: int = 120
    batch_tokens: int = 1280
    batch_texts: int = 64
    max_tokens: int = 256
    table_rate: float = 3e-4
    contrast_weight: float = 0.03
    contrast_scale: float = 20.0
    misspelt_share: float = 0.1
    typo_share: float = 0.25
    bf16: bool = True
    checkpoint_every: int = 20


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of texts and the rows of their targets."""

    ids: list[list[int]]
    rows: list[int]


def rate_factor(step: int, recipe: Recipe) -> float:
    """Up, level, then down to nothing: the level part may be prolonged without planning the whole run anew."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return min(1.0, max(0.0, (recipe.stable_steps + recipe.decay_steps - step) / recipe.decay_steps))


def surface(pair: Pair, recipe: Recipe, rng: random.Random) -> str:
    """What the student reads: the Spanish, now and then misspelt."""
    return misspell(pair.spanish, rng, recipe.typo_share) if rng.random() < recipe.misspelt_share else pair.spanish


def batches(student: Encoder, pairs: list[Pair], recipe: Recipe) -> Iterator[Batch]:
    """Batches of like length, in a random order within each window."""
    rng = random.Random(recipe.seed)
    for start in range(0, len(pairs), WINDOW):
        yield from _cut(student, pairs[start : start + WINDOW], start, recipe, rng)


def _cut(student: Encoder, window: list[Pair], start: int, recipe: Recipe, rng: random.Random) -> list[Batch]:
    ids = student.tokenize([surface(pair, recipe, rng) for pair in window], recipe.max_tokens)
    cut: list[list[int]] = [[]]
    for i in sorted(range(len(window)), key=lambda i: len(ids[i])):
        if len(cut[-1]) == recipe.batch_texts or (len(cut[-1]) + 1) * len(ids[i]) > recipe.batch_tokens:
            cut.append([])
        cut[-1].append(i)
    rng.shuffle(cut)
    return [Batch([ids[i] for i in batch], [start + i for i in batch]) for batch in cut]


def make_optimizer(student: Encoder, trainable: torch.Tensor, recipe: Recipe) -> torch.optim.AdamW:
    """Only the Spanish word vectors learn.

    With the network free too, a few hundred steps over documentation cost more on other text than they brought
    (README.md has the figures). With the English rows fixed, English stays exactly as it was.
    """
    for parameter in student.model.parameters():
        parameter.requires_grad_(False)
    table = student.model.get_input_embeddings().weight
    table.requires_grad_(True)
    table.register_hook(lambda gradient: gradient * trainable.unsqueeze(-1))
    return torch.optim.AdamW([table], lr=recipe.table_rate, weight_decay=0.0)


def loss_of(student: torch.Tensor, teacher: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Distance to the own translation, and a little for being closer to it than to the batch's others, both ways."""
    scores = student @ teacher.T
    own = torch.arange(len(scores))
    contrast = sum(torch.nn.functional.cross_entropy(s * recipe.contrast_scale, own) for s in (scores, scores.T))
    return (1 - scores.diagonal()).mean() + recipe.contrast_weight / 2 * contrast


def distill(
    student: Encoder,
    pairs: list[Pair],
    targets: np.ndarray,
    trainable: torch.Tensor,
    recipe: Recipe,
    report: Callable[[str], None],
    checkpoint: Path | None = None,
) -> None:
    """One pass over the pairs, or as far as the recipe's steps reach; changes the student in place.

    ``targets`` is [pairs, dims], the teacher's vectors of the English sides; ``trainable`` says which token rows may
    change. With a ``checkpoint`` an interrupted run goes on where it was last saved.
    """
    optimizer = make_optimizer(student, trainable, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, recipe))
    first = _resume(checkpoint, student, optimizer, schedule)
    started, recent = time.monotonic(), []
    for step, batch in enumerate(batches(student, pairs, recipe)):
        if step < first:
            continue
        if step >= recipe.stable_steps + recipe.decay_steps:
            break
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            output = student.forward(batch.ids)
        loss = loss_of(output.float(), torch.from_numpy(targets[batch.rows].astype(np.float32)), recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        recent.append(loss.item())
        if (step + 1) % 10 == 0:
            report(f"step {step + 1}  loss {np.mean(recent[-10:]):.4f}  {time.monotonic() - started:.0f} s")
        if checkpoint and (step + 1) % recipe.checkpoint_every == 0:
            state = {"weights": student.model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state | {"schedule": schedule.state_dict()}, checkpoint)


def _resume(
    checkpoint: Path | None,
    student: Encoder,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> int:
    if checkpoint is None or not checkpoint.exists():
        return 0
    saved = torch.load(checkpoint, weights_only=True)
    student.model.load_state_dict(saved["weights"])
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    return int(saved["step"])
