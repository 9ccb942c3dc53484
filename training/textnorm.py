"""The one way in which training code compares words: lower case, accents stripped."""

import re
import unicodedata

WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Strip every combining mark, as the tokeniser does (so ``ñ`` becomes ``n`` too)."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(ch for ch in decomposed if unicodedata.category(ch) != "Mn")


def words(text: str) -> list[str]:
    """The folded, lower-cased words of a text."""
    return WORD.findall(fold(text.lower()))
