"""Which language a text is in."""

import re
from functools import lru_cache
from typing import Literal, cast, get_args

from py3langid.langid import MODEL_FILE, LanguageIdentifier

Language = Literal["es", "en", "pt", "fr", "it", "ca", "gl", "de", "unknown"]

_LONGEST_SAMPLE = 50_000
_LEAST_WORDS = 5
_LEAST_PROBABILITY = 0.6

_WORD = re.compile(r"[^\W\d_]{2,}")


def detect(text: str) -> Language:
    """Returns the language of `text` (of its first 50,000 characters), unknown where the evidence is thin.

    A company's texts are in Spanish or in what is written beside it: among few languages the right one is told sooner.
    """
    words = _WORD.findall(text[:_LONGEST_SAMPLE].lower())
    if len(set(words)) < _LEAST_WORDS:
        return "unknown"
    language, probability = load_language_model().classify(" ".join(words))
    return cast("Language", language) if probability >= _LEAST_PROBABILITY else "unknown"


@lru_cache
def load_language_model() -> LanguageIdentifier:
    """It is unpacked into a temporary file, once a process."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(one for one in get_args(Language) if one != "unknown")
    return identifier
