"""What the student reads: sentences of documentation, some joined to passages, and the regional lexicon's terms."""

import random
from collections.abc import Iterable

from corpus import Pair, Term
from terms import term_pairs
from textnorm import fold

SOURCE_SHARE = {"workfront": 0.34, "d365smb": 0.32, "pydocs": 0.27, "gnome": 0.07}
ENGLISH_CHARS = (15, 420)
SPANISH_CHARS = 520
SENTENCES = 20_000
TERMS = 8_000
PASSAGES = 400
PASSAGE_SENTENCES = (3, 7)
PASSAGE_CHARS = (300, 800)


def make_curriculum(pairs: list[Pair], terms: Iterable[Term], seed: int) -> list[Pair]:
    """Everything that is read, once, in its order."""
    rng = random.Random(seed)
    named = list(dict.fromkeys(term_pairs(terms, rng)))
    chosen = sample_sentences(pairs, rng) + sample_passages(pairs, rng) + rng.sample(named, min(TERMS, len(named)))
    rng.shuffle(chosen)
    return chosen


def sample_sentences(pairs: Iterable[Pair], rng: random.Random) -> list[Pair]:
    """Distinct sentence pairs, each source at its share."""
    by_source: dict[str, dict[str, Pair]] = {}
    for pair in pairs:
        key = fold(pair.spanish.lower())
        if not pair.is_gloss and _usable(pair) and key != pair.english.lower():
            by_source.setdefault(pair.source, {}).setdefault(key, pair)
    chosen: list[Pair] = []
    for source, share in SOURCE_SHARE.items():
        found = list(by_source.get(source, {}).values())
        chosen += rng.sample(found, min(len(found), round(SENTENCES * share)))
    return chosen


def _usable(pair: Pair) -> bool:
    low, high = ENGLISH_CHARS
    return low <= len(pair.english) <= high and len(pair.spanish) <= SPANISH_CHARS


def sample_passages(pairs: Iterable[Pair], rng: random.Random) -> list[Pair]:
    """Neighbouring sentences of one source joined, so that long texts are seen too."""
    sentences = [pair for pair in pairs if not pair.is_gloss]
    low, high = PASSAGE_CHARS
    found: list[Pair] = []
    while len(found) < PASSAGES:
        start, length = rng.randrange(len(sentences)), rng.randint(*PASSAGE_SENTENCES)
        part = sentences[start : start + length]
        english = " ".join(pair.english for pair in part)
        if len({pair.source for pair in part}) == 1 and low < len(english) < high:
            found.append(Pair(english, " ".join(pair.spanish for pair in part), "passage"))
    return found
