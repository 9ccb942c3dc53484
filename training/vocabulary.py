"""Gives the teacher Spanish words: new tokens whose vectors start from their English translations."""

import json
import re
from collections import Counter
from collections.abc import Iterable

import torch
from corpus import Lexicon, Pair
from encoder import Encoder, load_bert, read_teacher_tokenizer, replace_table, teacher_folder
from textnorm import fold
from tokenizers import Tokenizer

NEW_TOKENS = 24_000
MIN_PROBABILITY = 0.15
TRANSLATIONS_USED = 3

_LETTERS = re.compile(r"[a-z]+")


def choose_words(lexicon: Lexicon, pairs: Iterable[Pair], known: Iterable[str]) -> list[str]:
    """The most frequent Spanish words with a trustworthy translation that the teacher has no token for."""
    frequency: Counter[str] = Counter()
    for pair in pairs:
        frequency.update(_LETTERS.findall(fold(pair.spanish.lower())))
    known = set(known)
    usable = [
        word
        for word, translations in lexicon.items()
        if _LETTERS.fullmatch(word) and len(word) > 1 and word not in known and translations[0][1] >= MIN_PROBABILITY
    ]
    return sorted(usable, key=lambda word: (-frequency[word], word))[:NEW_TOKENS]


def extend_tokenizer(words: list[str]) -> Tokenizer:
    """The teacher's tokeniser plus the new words; accents are always stripped, nothing is padded or cut."""
    spec = read_teacher_tokenizer()
    vocabulary = spec["model"]["vocab"]
    for word in words:
        vocabulary[word] = len(vocabulary)
    spec["normalizer"]["strip_accents"] = True
    spec["padding"] = spec["truncation"] = None
    return Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))


def initial_vectors(words: list[str], lexicon: Lexicon, teacher: Encoder) -> torch.Tensor:
    """For each word the mean of its translations' token vectors, weighted by their probability."""
    table = teacher.model.get_input_embeddings().weight.data
    rows = []
    for word in words:
        translations = lexicon[word][:TRANSLATIONS_USED]
        total = sum(probability for _, probability in translations)
        parts = [
            probability / total * table[teacher.tokenizer.encode(english, add_special_tokens=False).ids].mean(0)
            for english, probability in translations
        ]
        rows.append(torch.stack(parts).sum(0))
    return torch.stack(rows)


def build_student(lexicon: Lexicon, pairs: Iterable[Pair], teacher: Encoder) -> Encoder:
    """The teacher with the Spanish tokens added, before any training."""
    words = choose_words(lexicon, pairs, teacher.tokenizer.get_vocab())
    model = load_bert(teacher_folder())
    table = torch.cat([model.get_input_embeddings().weight.data, initial_vectors(words, lexicon, teacher)])
    replace_table(model, table)
    return Encoder(model, extend_tokenizer(words))
