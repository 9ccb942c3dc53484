"""Counts and cuts by OpenAI's tokens (cl100k_base, the vocabulary of its embedding models), without a network.

tiktoken downloads its vocabularies when first used; `cl100k_base.tiktoken.gz` is that download, kept here (ADR 0002).
"""

import base64
import gzip
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from tiktoken import Encoding

_SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)


@cache
def _cl100k() -> Encoding:
    packed = (files(__package__) / "cl100k_base.tiktoken.gz").read_bytes()
    pairs = (line.split() for line in gzip.decompress(packed).splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return Encoding("cl100k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})


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
        text = encoding.decode(tokens[:kept], errors="ignore")
        tokens = encoding.encode_ordinary(text)
        # The text cut short can split into more tokens than the ones it was made of.
        kept -= 1
    return text
