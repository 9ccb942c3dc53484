"""Reads the training pairs and the bilingual lexicon."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GLOSS_SOURCE = "wikt"

Lexicon = dict[str, list[tuple[str, float]]]
"""Folded Spanish word -> English words with their probability, most probable first."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The same thing said in English and in Spanish."""

    english: str
    spanish: str
    source: str

    @property
    def is_gloss(self) -> bool:
        """Whether this is a dictionary entry and not a sentence."""
        return self.source == GLOSS_SOURCE


@dataclass(frozen=True, slots=True)
class Term:
    """A line of the regional lexicon: a Spanish term, where it is said, what else it is called, and its English."""

    name: str
    countries: tuple[str, ...]
    synonyms: tuple[str, ...]
    english: str


def read_terms(file: Path) -> list[Term]:
    """The regional lexicon: tab-separated, a header line first; lists inside a column are separated by ``;``."""
    lines = file.read_text(encoding="utf-8").splitlines()[1:]
    return [
        Term(name, _split(countries), _split(synonyms), english)
        for name, countries, synonyms, english in (line.split("\t") for line in lines)
    ]


def _split(column: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in column.split(";") if part.strip())


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a JSON-lines file, gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def read_pairs(data: Path) -> list[Pair]:
    """Sentence pairs, then dictionary glosses."""
    names = ("en_es.jsonl.gz", "wiktionary_es_en.jsonl.gz")
    rows = (row for name in names for row in read_jsonl(data / "parallel" / name))
    return [Pair(row["en"], row["es"], row["src"]) for row in rows]


def read_lexicon(data: Path) -> Lexicon:
    """The IBM model 1 lexicon, without its counts."""
    with gzip.open(data / "parallel" / "ibm1_lexicon.json.gz", "rt", encoding="utf-8") as file:
        raw = json.load(file)
    return {word: [(english, prob) for english, prob, _count in entries] for word, entries in raw.items()}
