"""What v3 reads: questions, headings with their passages, translations, regional terms.

It is gathered once (gather.py) and kept in one file: the training itself needs this file and e5's weights alone.
"""

import json
import lzma
from dataclasses import asdict, dataclass
from pathlib import Path

from questions import Asked, Passage, Questions


@dataclass(frozen=True, slots=True)
class Material:
    """Pairs are a left and a right text; `synonyms`: what else a word, in small letters, is called."""

    questions: Questions
    headings: list[tuple[str, str]]
    translations: list[tuple[str, str]]
    terms: list[tuple[str, str]]
    synonyms: dict[str, list[str]]

    def save(self, file: Path) -> None:
        text = json.dumps(asdict(self), ensure_ascii=False)
        file.write_bytes(lzma.compress(text.encode(), preset=6))


def load_material(file: Path) -> Material:
    """What `Material.save` wrote."""
    found = json.loads(lzma.decompress(file.read_bytes()))
    rows = found.pop("questions")
    questions = Questions([Passage(**one) for one in rows["passages"]], [Asked(**one) for one in rows["asked"]])
    return Material(questions, **found)
