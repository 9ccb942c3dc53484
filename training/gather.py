"""Gathers what v3 reads, without any evaluation text."""

import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import check_questions
from corpus import Pair, Term, read_jsonl, read_pairs, read_terms
from leak import drop_leaks, evaluation_ngrams
from material import Material
from questions import Asked, Passage, Questions, read_questions
from terms import term_pairs

HEADINGS, TRANSLATIONS = 15_000, 24_000
HEADING_CHARS, PASSAGE_CHARS, SENTENCE_CHARS = 12, 1200, (30, 400)


def gather(data: Path, lexicon: Path, seed: int = 3) -> Material:
    """Everything, in a fixed order; raises LeakError where evaluation text is among it."""
    rng = random.Random(seed)
    questions, terms = read_questions(), read_terms(lexicon)
    forbidden = evaluation_ngrams(data)
    headings = [
        (row["q"], row["p"])
        for row in read_jsonl(data / "parallel" / "es_heading_passage.jsonl.gz")
        if len(row["q"]) > HEADING_CHARS and len(row["p"]) < PASSAGE_CHARS
    ]
    low, high = SENTENCE_CHARS
    sentences = [
        (one.english, one.spanish) for one in read_pairs(data) if low < len(one.spanish) < high and not one.is_gloss
    ]
    drop_leaks([Pair(q.text, questions.passages[q.passage].text, "questions") for q in questions.asked], forbidden)
    return Material(
        Questions(
            questions.passages, [replace(q, apart=apart(questions.passages[q.passage], q)) for q in questions.asked]
        ),
        _sample(headings, HEADINGS, forbidden, rng),
        _sample(sentences, TRANSLATIONS, forbidden, rng),
        term_texts(terms, rng),
        synonyms_of(terms),
    )


def _sample(pairs: list[tuple[str, str]], most: int, forbidden: set[str], rng: random.Random) -> list[tuple[str, str]]:
    distinct = list(dict(pairs).items())
    rng.shuffle(distinct)
    clean, _ = drop_leaks([Pair(left, right, "") for left, right in distinct[:most]], forbidden)
    return [(one.english, one.spanish) for one in clean]


def apart(passage: Passage, asked: Asked) -> bool:
    """Whether it is a Spanish question that shares no content word with its passage, heading or title."""
    row = {"title": passage.title, "heading": passage.heading, "passage": passage.text}
    return asked.language == "es" and not check_questions.shared(row, asked.text)


def term_texts(terms: list[Term], rng: random.Random) -> list[tuple[str, str]]:
    """A regional term with what else it is called, and alone or in a plain sentence with its English."""
    spanish = [(one.name, ", ".join(one.synonyms)) for one in terms if one.synonyms]
    return list(dict.fromkeys(spanish + [(pair.spanish, pair.english) for pair in term_pairs(terms, rng)]))


def synonyms_of(terms: Iterable[Term]) -> dict[str, list[str]]:
    """Single words that may stand for one another, by the word in lower case."""
    found: dict[str, list[str]] = {}
    for one in terms:
        words = [word for word in (one.name, *one.synonyms) if word.isalpha() and len(word) > 3]
        for word in words:
            others = [other for other in words if other != word]
            found.setdefault(word.lower(), []).extend(others)
    return {word: sorted(set(others)) for word, others in found.items() if others}
