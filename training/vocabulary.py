"""Gives the teacher Spanish words.

``plan.py`` decides what becomes of each word. A token of a Spanish word starts as its English translation's vector.
Tokens in scripts that neither language uses make room.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from corpus import Pair
from encoder import Encoder, Words, load_bert, make_encoder, read_teacher_tokenizer, replace_table, teacher_folder
from glossary import Gloss, Glossary
from plan import Plan, gloss_lines, plan_vocabulary

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_FOREIGN = re.compile(r"[\u0250-\u036f\u0400-\u1dff\u2c00-\uffff]|^\[unused\d+\]$")


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
    counts = {name: len(getattr(plan, name)) for name in ("own", "shared", "glossed", "reborn")}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return make_encoder(model, make_tokenizer(kept, plan), Words(len(kept), gloss_lines(plan.glossed)))


def spanish_rows(student: Encoder, teacher: Encoder) -> torch.Tensor:
    """Which rows of the student's table are not the teacher's own, as a mask of ones and zeros."""
    mine, theirs = (encoder.model.get_input_embeddings().weight.data for encoder in (student, teacher))
    vocabulary = teacher.tokenizer.get_vocab()
    mask = torch.ones(len(mine))
    for token, row in student.tokenizer.get_vocab().items():
        if token in vocabulary and torch.equal(mine[row], theirs[vocabulary[token]]):
            mask[row] = 0
    return mask
