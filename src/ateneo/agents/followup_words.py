"""Questions that lean on the one before ("¿y para los part-time?"), told apart and completed by words alone."""

import re
import unicodedata
from collections.abc import Sequence

from ateneo.agents.quotable_sentences import content_words
from ateneo.types import Turn

_OPENING = re.compile(
    r"^\W*(y|e|pero|entonces|tambien|o|ademas|and|but|or|so|then|also|what about|how about)\b", re.IGNORECASE
)
_POINTING = re.compile(
    r"\b(eso|esa|ese|esos|esas|esto|esta|este|estos|estas|aquello|aquella|aquel|ahi|alli|lo mismo|"
    r"that|those|these|this|it|they|them|there|the same)\b",
    re.IGNORECASE,
)
_FEW_WORDS = 3


def leans(question: str) -> bool:
    """Whether the question seems to need the one before: it goes on ("¿y ...?"), it points ("eso"), or it names
    little."""
    folded = "".join(char for char in unicodedata.normalize("NFKD", question) if not unicodedata.combining(char))
    few = len(content_words(folded)) < _FEW_WORDS
    return bool(_OPENING.search(folded)) or (few and bool(_POINTING.search(folded))) or len(content_words(folded)) < 2


def joined(history: Sequence[Turn], question: str, *, most_chars: int) -> str:
    """The question, after those of the user that it leans on, the nearest one that stands alone first.

    Within `most_chars` characters where the question itself is; what does not fit is left out, oldest first.
    """
    asked = [question]
    for turn in reversed([turn for turn in history if turn.role == "user"]):
        if not leans(asked[0]) or sum(map(len, asked)) + len(asked) + len(turn.content) > most_chars:
            break
        asked.insert(0, turn.content)
    return " ".join(asked)
