"""Counts and cuts by OpenAI's tokens (cl100k_base, the vocabulary of its embedding models), offline (ADR 2)."""

import warnings
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from ateneo.extras import extra

if TYPE_CHECKING:
    from bpe_openai import Encoding


_loading = Lock()


def _cl100k() -> "Encoding":
    with _loading:
        return _load("cl100k_base")


class ChatTokens:
    """A TokenCounter for OpenAI's chat models (o200k_base, the vocabulary of all current ones)."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with _loading:
            encoding = _load("o200k_base")
        return [len(encoding.encode_ordinary(text)) for text in texts]


@cache
def _load(name: str) -> "Encoding":
    # Imported here: it takes a second and 100 MB, which only those who use OpenAI should pay.
    with extra("openai"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how the package reads its own data
        from bpe_openai import get_encoding

        return get_encoding(name)


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of each text. Names of special tokens count as the plain text that they are."""
    encoding = _cl100k()
    return [len(encoding.encode_ordinary(text)) for text in texts]


def truncate(text: str, limit: int) -> str:
    """The longest beginning of `text` within `limit` tokens, never ending inside a character."""
    encoding = _cl100k()
    tokens = encoding.encode_ordinary(text)
    kept = limit
    while len(tokens) > limit:
        text = encoding.decode_bytes(tokens[:kept]).decode("utf-8", errors="ignore")
        tokens = encoding.encode_ordinary(text)
        # The text cut short can split into more tokens than the ones it was made of.
        kept -= 1
    return text
