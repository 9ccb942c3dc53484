"""The questions of `training/questions/`: people's own words, each with the passage that answers it."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

QUESTIONS = Path(__file__).with_name("questions")
HELD_OUT = ("veterinaria", "servicios-del-hogar", "hoteles", "proteccion-de-datos")
"""Domains that no training sees; what is to be chosen is chosen on them."""
UNSEEN = ("laboratorios", "mudanzas")
"""Domains that neither training nor any choice sees: they judge."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as a company writes it."""

    domain: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and the number of the passage that answers it. `apart`: it is known to be Spanish and to share no
    content word with the passage, its heading or its title."""

    text: str
    language: str
    passage: int
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Questions:
    """Passages, and what is asked of them."""

    passages: list[Passage]
    asked: list[Asked]

    def of(self, *, held_out: bool) -> "Questions":
        """Those of the domains that are held out, or of those that training sees."""
        seen = {one.domain for one in self.passages} - {*HELD_OUT, *UNSEEN}
        return self.within(HELD_OUT if held_out else seen)

    def within(self, domains: Collection[str]) -> "Questions":
        """Those of some domains."""
        kept = [n for n, one in enumerate(self.passages) if one.domain in domains]
        place = {old: new for new, old in enumerate(kept)}
        asked = [replace(one, passage=place[one.passage]) for one in self.asked if one.passage in place]
        return Questions([self.passages[n] for n in kept], asked)


def read_questions(folder: Path = QUESTIONS) -> Questions:
    """All domains, in the order of their names."""
    passages: list[Passage] = []
    asked: list[Asked] = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            asked += [Asked(q["text"], q.get("lang", "es"), len(passages)) for q in row["questions"]]
            passages.append(Passage(file.stem, row["title"], row.get("heading", ""), row["passage"]))
    return Questions(passages, asked)
