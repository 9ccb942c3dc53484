"""Checks files of `training/questions/`: their shape, and how many questions share no content word with their passage.

    python training/check_questions.py training/questions/*.jsonl

Prints a line a file; what is wrong, line by line; and ends with 1 where a file cannot be used.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import snowballstemmer
from textnorm import words

COUNTRIES = {"AR", "MX", "CO", "CL", "PE", "UY", "ES", ""}
LANGUAGES = {"es", "en", "pt"}
LEAST_WITHOUT = 0.75
"""Share of the Spanish questions that may not have a content word in common with title, heading or passage."""

# Function words and the verbs that any question has: no content.
STOP = frozenset(Path(__file__).with_name("function_words.txt").read_text(encoding="utf-8").split())

_stem = snowballstemmer.stemmer("spanish")


def content(text: str) -> set[str]:
    """The stems of the words that say something: folded, without function words."""
    return {_stem.stemWord(word) for word in words(text) if len(word) > 2 and word not in STOP and not word.isdigit()}


def shared(row: dict[str, Any], question: str) -> set[str]:
    """The stems that the question has in common with what its passage shows."""
    return content(question) & content(f"{row['title']} {row['heading']} {row['passage']}")


def problems(row: dict[str, Any]) -> list[str]:
    """What is wrong with a line."""
    found = [f"no {key}" for key in ("id", "title", "passage", "questions") if not row.get(key)]
    if not found and not 15 <= len(row["passage"].split()) <= 220:
        found.append(f"passage of {len(row['passage'].split())} words")
    for one in row.get("questions", []):
        if not str(one.get("text", "")).strip():
            found.append("empty question")
        if one.get("country", "") not in COUNTRIES or one.get("lang", "es") not in LANGUAGES:
            found.append(f"country or lang: {one}")
    return found


def check(file: Path) -> bool:
    """Prints what is to be said of a file; whether it can be used."""
    rows, wrong = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
            continue
        row.setdefault("heading", "")
        wrong += [f"line {number}: {text}" for text in problems(row)]
        rows.append(row)
    if not wrong:
        for name, values in (("id", [r["id"] for r in rows]), ("passage", [r["passage"] for r in rows])):
            wrong += [f"twice: {name} {value[:50]}" for value, n in Counter(values).items() if n > 1]
        asked = [q["text"] for r in rows for q in r["questions"]]
        wrong += [f"asked twice: {text}" for text, n in Counter(asked).items() if n > 1]
    spanish = [(r, q["text"]) for r in rows if not problems(r) for q in r["questions"] if q.get("lang", "es") == "es"]
    having = [(q, shared(r, q)) for r, q in spanish]
    without = sum(not common for _, common in having) / max(1, len(having))
    others = sum(len(r.get("questions", [])) for r in rows) - len(spanish)
    starts = Counter(" ".join(words(q)[:3]) for _, q in spanish).most_common(3)
    counts = f"{len(rows)} passages, {len(spanish)} questions in Spanish, {others} others"
    print(f"{file.name}: {counts}, {without:.0%} without a shared word; most frequent openings {starts}")
    for line in wrong:
        print("  " + line)
    if without < LEAST_WITHOUT:
        for text, common in [one for one in having if one[1]][:25]:
            print(f"  shares {sorted(common)}: {text}")
    return not wrong and without >= LEAST_WITHOUT


if __name__ == "__main__":
    checked = [check(Path(name)) for name in sys.argv[1:]]
    sys.exit(not all(checked))
