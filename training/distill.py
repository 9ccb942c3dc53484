"""Teaches the student to place a Spanish text where the teacher places its English translation."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from corpus import Pair
from encoder import Encoder


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that shapes a run; the seed fixes the sampling and the order."""

    seed: int = 5
    sentence_batches: int = 190
    sentence_batch: int = 48
    gloss_batches: int = 60
    gloss_batch: int = 192
    max_tokens: int = 96
    sentence_chars: tuple[int, int] = (20, 320)
    gloss_chars: int = 80
    source_share: dict[str, float] = field(
        default_factory=lambda: {"workfront": 0.33, "pydocs": 0.36, "d365smb": 0.23, "gnome": 0.08}
    )
    table_rate: float = 3e-4
    body_rate: float = 4e-5
    warmup: int = 50
    contrast_weight: float = 0.1
    contrast_scale: float = 20.0


Batch = list[Pair]


def sample_sentences(pairs: Iterable[Pair], recipe: Recipe, rng: random.Random) -> list[Pair]:
    """Sentence pairs, each source at its share."""
    low, high = recipe.sentence_chars
    by_source: dict[str, list[Pair]] = {}
    for pair in pairs:
        if not pair.is_gloss and low <= len(pair.english) <= high:
            by_source.setdefault(pair.source, []).append(pair)
    wanted = recipe.sentence_batches * recipe.sentence_batch
    chosen: list[Pair] = []
    for source, share in recipe.source_share.items():
        available = by_source.get(source, [])
        chosen += rng.sample(available, min(len(available), round(wanted * share)))
    return chosen


def sample_glosses(pairs: Iterable[Pair], recipe: Recipe, rng: random.Random) -> list[Pair]:
    """Distinct short glosses."""
    glosses = list(dict.fromkeys(p for p in pairs if p.is_gloss and len(p.english) < recipe.gloss_chars))
    return rng.sample(glosses, min(len(glosses), recipe.gloss_batches * recipe.gloss_batch))


def plan_batches(pairs: Iterable[Pair], recipe: Recipe) -> list[Batch]:
    """Batches in training order. Sentences of like length go together, so that little is spent on padding."""
    rng = random.Random(recipe.seed)
    pairs = list(pairs)
    sentences = sample_sentences(pairs, recipe, rng)
    glosses = sample_glosses(pairs, recipe, rng)
    sentences.sort(key=lambda p: len(p.spanish) + rng.random() * 40)
    batches = _cut(sentences, recipe.sentence_batch) + _cut(glosses, recipe.gloss_batch)
    rng.shuffle(batches)
    return batches


def _cut(pairs: list[Pair], size: int) -> list[Batch]:
    return [pairs[i : i + size] for i in range(0, len(pairs) - size + 1, size)]


def make_optimizer(student: Encoder, recipe: Recipe) -> torch.optim.AdamW:
    """The word table learns fast and does not decay (untouched rows stay put); the body moves little."""
    table = student.model.get_input_embeddings().weight
    body = [p for p in student.model.parameters() if p is not table]
    return torch.optim.AdamW(
        [
            {"params": [table], "lr": recipe.table_rate, "weight_decay": 0.0},
            {"params": body, "lr": recipe.body_rate},
        ]
    )


def loss_of(student: torch.Tensor, teacher: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Distance to the own translation, and a little for being closer to it than to the batch's others."""
    scores = student @ teacher.T
    contrast = torch.nn.functional.cross_entropy(scores * recipe.contrast_scale, torch.arange(len(scores)))
    return (1 - scores.diagonal()).mean() + recipe.contrast_weight * contrast


def distill(
    student: Encoder, teacher: Encoder, pairs: Iterable[Pair], recipe: Recipe, report: Callable[[str], None]
) -> None:
    """One pass over the planned batches; changes the student in place."""
    torch.manual_seed(recipe.seed)
    batches = plan_batches(pairs, recipe)
    optimizer = make_optimizer(student, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: max(0.05, min(1.0, (step + 1) / recipe.warmup) * (1 - step / len(batches)))
    )
    started, total = time.monotonic(), 0.0
    for step, batch in enumerate(batches, 1):
        with torch.no_grad():
            target = teacher.forward(teacher.tokenize([p.english for p in batch], recipe.max_tokens))
        output = student.forward(student.tokenize([p.spanish for p in batch], recipe.max_tokens))
        loss = loss_of(output, target, recipe)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        if step % 25 == 0 or step == len(batches):
            report(f"step {step}/{len(batches)}  loss {total / step:.4f}  {time.monotonic() - started:.0f} s")
