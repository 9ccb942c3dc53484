"""What a single Spanish word says in English: the corpus' word alignments, the dictionary and the regional lexicon."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corpus import Lexicon, Pair, Term
from morphology import forms, is_verb
from textnorm import fold

SURE_FREQUENCY = 100
AGREEMENT = 0.5
MIN_PROBABILITY = 0.15
KEEP_WITHIN = 0.7
GLOSSES_USED = 2
COMMON_RANK = 4_000
RARE_RANK = 40_000
PLURAL = 1
"""Its place among a noun's forms."""

_LETTERS = re.compile(r"[a-z]+")
_ONE_LETTER = {"a", "e", "o", "u", "y"}
_FILLER = {"to", "a", "an", "the", "be", "of", "one", "s", "something", "someone", "oneself"}


@dataclass(frozen=True, slots=True)
class Gloss:
    """English phrases with weights that sum to one, and how often the Spanish word occurs in the training text.

    ``usefulness`` orders the words that do not occur there: a common translation, an early place among its inflections.
    ``listed`` words have an entry of their own in a dictionary.
    """

    phrases: tuple[tuple[str, float], ...]
    frequency: int
    usefulness: float
    listed: bool = False


Glossary = dict[str, Gloss]
"""Folded Spanish word -> gloss, words of the training text first."""


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Frequencies of folded words."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_LETTERS.findall(fold(text.lower())))
    return counts


def plain_phrase(english: str) -> str:
    """A gloss without its grammar: "to pay (something)" is "pay"."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\([^)]*\)", " ", fold(english.lower())))
    content = [word for word in words if word not in _FILLER]
    return " ".join(content or words)


def _best(weights: dict[str, float]) -> tuple[tuple[str, float], ...]:
    ranked = sorted(((w, p) for p, w in weights.items() if p), key=lambda item: (-item[0], item[1]))[:GLOSSES_USED]
    kept = [(phrase, weight) for weight, phrase in ranked if weight >= KEEP_WITHIN * ranked[0][0]]
    total = sum(weight for _, weight in kept)
    return tuple((phrase, weight / total) for phrase, weight in kept)


def dictionary(pairs: Iterable[Pair], rank: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Single words of the dictionary with weighted phrases.

    A phrase with few Spanish words says more than one with many, and a common English word more than a rare one
    (``rank`` is its place in the teacher's vocabulary, which is ordered by frequency).
    """
    by_spanish: defaultdict[str, set[str]] = defaultdict(set)
    by_english: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        word = fold(pair.spanish.lower())
        if pair.is_gloss and len(word) > 1 and _LETTERS.fullmatch(word):
            for phrase in map(plain_phrase, re.split(r"[,;]", pair.english)):
                by_spanish[word].add(phrase)
                by_english[phrase].add(word)

    def weight(phrase: str) -> float:
        common = min(1.0, COMMON_RANK / rank.get(phrase, RARE_RANK))
        return common**0.5 / (len(by_english[phrase]) ** 0.5 * (1 + phrase.count(" ")))

    # sorted, since the order of a set differs from run to run, and ties are broken by it
    return {word: {phrase: weight(phrase) for phrase in sorted(said) if phrase} for word, said in by_spanish.items()}


def add_terms(entries: dict[str, dict[str, float]], terms: Iterable[Term]) -> None:
    """A regional term means what its own line says, beside what the dictionary says; other names fill its gaps."""
    for term in terms:
        senses = [plain_phrase(sense) for sense in term.english.split(";")]
        word = fold(term.name.lower())
        if _LETTERS.fullmatch(word):
            known = entries.get(word, {})
            general = max(known, key=known.__getitem__) if known and term.countries else senses[0]
            entries[word] = {general: 0.8} | dict.fromkeys(senses, 0.9) | {senses[0]: 1.0}
        for synonym in (fold(name.lower()) for name in term.synonyms):
            if _LETTERS.fullmatch(synonym):
                entries.setdefault(synonym, {senses[0]: 1.0})


def merge(aligned: Mapping[str, float], entry: Mapping[str, float], frequency: int) -> dict[str, float]:
    """Alignments count as far as the word is frequent, the dictionary for the rest, and more where both agree."""
    if not aligned or not entry:
        return dict(aligned or entry)
    sure = min(1.0, frequency / SURE_FREQUENCY)
    total = sum(entry.values())
    merged: Counter[str] = Counter()
    for phrase in sorted({*aligned, *entry}):
        heard, listed = aligned.get(phrase, 0.0), entry.get(phrase, 0.0) / total
        merged[phrase] = sure * heard + (1 - sure) * listed + AGREEMENT * (heard * listed) ** 0.5
    return dict(merged)


def build_glossary(
    lexicon: Lexicon, pairs: list[Pair], rank: Mapping[str, int], terms: Iterable[Term] = ()
) -> Glossary:
    """Dictionary and aligned words, then the inflections of the dictionary's nouns and verbs."""
    frequency = count_words(pair.spanish for pair in pairs if not pair.is_gloss)
    entries = dictionary(pairs, rank)
    add_terms(entries, terms)
    entries = {word: entry for word, entry in entries.items() if entry}

    def gloss(word: str, weights: dict[str, float]) -> Gloss:
        phrases = _best(weights)
        return Gloss(phrases, frequency[word], 1 / (1000 + rank.get(phrases[0][0], RARE_RANK)), word in entries)

    aligned = {
        word: dict(translations)
        for word, translations in lexicon.items()
        if (len(word) > 1 or word in _ONE_LETTER) and _LETTERS.fullmatch(word) and translations[0][1] >= MIN_PROBABILITY
    }
    known = {word: gloss(word, merge(aligned.get(word, {}), entry, frequency[word])) for word, entry in entries.items()}
    for word, weights in aligned.items():
        if frequency[word] >= SURE_FREQUENCY:
            known.setdefault(word, gloss(word, weights))

    def rarer(plural: str, lemma: str) -> bool:
        """Plates are likelier meant than cymbals, though ``platos`` has an entry of its own that says so."""
        return known[plural].phrases[0][0] not in rank and known[lemma].phrases[0][0] in rank

    lemmas = sorted(entries, key=lambda word: (is_verb(word), -known[word].usefulness, word))
    for lemma in lemmas:
        # What a corpus makes of one form ("a partir de") says little about the others: they follow the dictionary.
        phrases, usefulness = _best(entries[lemma]), known[lemma].usefulness
        for place, form in enumerate(forms(lemma)):
            if form not in known or (place == PLURAL and not is_verb(lemma) and rarer(form, lemma)):
                weights = merge(aligned.get(form, {}), dict(phrases), frequency[form])
                known[form] = Gloss(_best(weights), frequency[form], usefulness / (2 + place / 8))
    for word, weights in aligned.items():
        known.setdefault(word, Gloss(_best(weights), frequency[word], 1 / (1000 + RARE_RANK)))
    return known
