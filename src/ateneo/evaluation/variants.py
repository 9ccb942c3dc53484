"""Questions as people type them: without accents, and with typing errors. The same questions give the same variants."""

import random
import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

Variant = Literal["clean", "noaccents", "typos"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

SEED = 7
SHARE = 0.15
SHORTEST = 5
"""Letters of the shortest word that gets an error."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS_AND_GAPS = re.compile(r"\w+|\W+")


def variant_of(queries: Sequence[str], variant: Variant) -> list[str]:
    """The queries in that variant, in their order. What chance does to one depends on those before it, so that the
    first n of a list are the same whatever follows."""
    if variant == "noaccents":
        return [without_accents(query) for query in queries]
    return with_typos(queries) if variant == "typos" else list(queries)


def without_accents(text: str) -> str:
    """Every letter without its marks, `ñ` included: someone who has no accents has no `ñ` either."""
    return "".join(mark for mark in unicodedata.normalize("NFD", text) if unicodedata.category(mark) != "Mn")


def with_typos(queries: Sequence[str], seed: int = SEED) -> list[str]:
    """One random edit in 15 % of the words of five letters or more: a letter deleted, inserted, replaced, or swapped
    with its neighbour. The draws and their order are those of the prototype that DESIGN.md's figures come from."""
    rng = random.Random(seed)
    return ["".join(_typed(part, rng) for part in _WORDS_AND_GAPS.findall(query)) for query in queries]


def _typed(part: str, rng: random.Random) -> str:
    is_word = re.match(r"\w", part) is not None
    if not is_word or len(part) < SHORTEST or rng.random() >= SHARE:
        return part
    at, edit, letter = rng.randrange(len(part)), rng.choice("dist"), rng.choice(_LETTERS)
    if edit == "d":
        return part[:at] + part[at + 1 :]
    if edit == "i":
        return part[:at] + letter + part[at:]
    if edit == "s":
        return part[:at] + letter + part[at + 1 :]
    at = min(at, len(part) - 2)
    return part[:at] + part[at + 1] + part[at] + part[at + 2 :]
