"""Gives the teacher Spanish words.

A word of the training text gets a token of its own, whose vector starts as its English translation's. A rarer word
becomes another spelling of a token that exists: ``invadieron`` reads as ``invade``. That costs 20 bytes instead of 400,
so that the inflected dictionary fits. Tokens in scripts that neither language uses make room.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from corpus import Pair
from encoder import Encoder, load_bert, make_encoder, read_teacher_tokenizer, replace_table, teacher_folder
from glossary import Gloss, Glossary, count_words

OWN_FREQUENCY = 4
OWN_TOKENS = 21_000
SPELLINGS = 195_000
MIN_SPANISH_SHARE = 0.3
UNLISTED_SHARE = 0.95
COMMON_RANK = 4_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_FOREIGN = re.compile(r"[\u0250-\u036f\u0400-\u1dff\u2c00-\uffff]|^\[unused\d+\]$")


@dataclass(slots=True)
class Plan:
    """Words with a token of their own, words that share one, and English tokens reborn as Spanish words (how far)."""

    own: dict[str, Gloss] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    reborn: dict[str, tuple[Gloss, float]] = field(default_factory=dict)


def plan_vocabulary(glossary: Glossary, english: dict[str, int], pairs: Iterable[Pair]) -> Plan:
    """Decide what every Spanish word becomes; ``english`` is the teacher's vocabulary."""
    plan = Plan()
    heard = count_words(pair.english for pair in pairs)
    by_phrases: dict[tuple[str, ...], str] = {}
    for word in sorted(glossary, key=lambda w: (-glossary[w].frequency, -glossary[w].usefulness, w)):
        gloss = glossary[word]
        phrases = tuple(phrase for phrase, _ in gloss.phrases)
        target = phrases[0] if phrases[0] in english else by_phrases.get(phrases)
        if word in english:
            share = spanish_share(word, gloss, heard[word], english[word])
            if share:
                plan.reborn[word] = (gloss, share)
        elif len(plan.own) < OWN_TOKENS and (gloss.frequency >= OWN_FREQUENCY or target is None):
            plan.own[word] = gloss
            by_phrases.setdefault(phrases, word)
        elif target is not None and len(plan.shared) < SPELLINGS:
            plan.shared[word] = target
    return plan


def spanish_share(word: str, gloss: Gloss, heard: int, rank: int) -> float:
    """How far an English token starts anew as the Spanish word written alike (``red``, ``sin``); 0 is not at all."""
    if any(phrase == word for phrase, _ in gloss.phrases):
        return 0.0
    if not heard and not gloss.frequency:
        return 1.0 if rank > COMMON_RANK else 0.0
    share = gloss.frequency / (gloss.frequency + heard)
    return share if share >= (MIN_SPANISH_SHARE if gloss.listed else UNLISTED_SHARE) else 0.0


def kept_tokens(english: dict[str, int]) -> list[str]:
    """The teacher's tokens without foreign scripts and unused places, in their order, specials first."""
    rest = [token for token in sorted(english, key=english.__getitem__) if token not in SPECIAL]
    return [*SPECIAL, *(token for token in rest if not _FOREIGN.search(token))]


def make_tokenizer(kept: list[str], plan: Plan) -> str:
    """``tokenizer.json``: accents are always stripped, nothing is padded or cut; several words may have one id."""
    spec: dict[str, Any] = read_teacher_tokenizer()
    vocabulary = {token: place for place, token in enumerate([*kept, *plan.own])}
    vocabulary |= {word: vocabulary[target] for word, target in plan.shared.items() if target in vocabulary}
    spec["model"]["vocab"] = vocabulary
    spec["normalizer"]["strip_accents"] = True
    spec["padding"] = spec["truncation"] = None
    for token in spec["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    for name, special in spec["post_processor"].get("special_tokens", {}).items():
        special["ids"] = [vocabulary[name]]
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"))


def gloss_vector(gloss: Gloss, pieces: Callable[[str], torch.Tensor]) -> torch.Tensor:
    """The weighted mean of the phrases' vectors."""
    return torch.stack([weight * pieces(phrase) for phrase, weight in gloss.phrases]).sum(0)


def build_student(glossary: Glossary, pairs: Iterable[Pair], teacher: Encoder) -> Encoder:
    """The teacher with Spanish words, before any training."""
    english = teacher.tokenizer.get_vocab()
    plan = plan_vocabulary(glossary, english, pairs)
    kept = kept_tokens(english)
    table = teacher.model.get_input_embeddings().weight.data

    def pieces(phrase: str) -> torch.Tensor:
        return table[teacher.tokenizer.encode(phrase, add_special_tokens=False).ids].mean(0)

    rows = table[[english[token] for token in kept]]
    place = {token: row for row, token in enumerate(kept)}
    for word, (gloss, share) in plan.reborn.items():
        if word in place:
            rows[place[word]] = torch.lerp(rows[place[word]], gloss_vector(gloss, pieces), share)
    added = torch.stack([gloss_vector(gloss, pieces) for gloss in plan.own.values()])
    model = load_bert(teacher_folder())
    replace_table(model, torch.cat([rows, added]))
    counts = Counter(kept=len(kept), own=len(plan.own), shared=len(plan.shared), reborn=len(plan.reborn))
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return make_encoder(model, make_tokenizer(kept, plan))


def spanish_rows(student: Encoder, teacher: Encoder) -> torch.Tensor:
    """Which rows of the student's table are not the teacher's own, as a mask of ones and zeros."""
    mine, theirs = (encoder.model.get_input_embeddings().weight.data for encoder in (student, teacher))
    vocabulary = teacher.tokenizer.get_vocab()
    mask = torch.ones(len(mine))
    for token, row in student.tokenizer.get_vocab().items():
        if token in vocabulary and torch.equal(mine[row], theirs[vocabulary[token]]):
            mask[row] = 0
    return mask
