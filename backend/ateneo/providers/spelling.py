"""Words that a model does not know, read as the word that was probably meant.

A word outside the vocabulary falls into pieces that say little ("vacacioens": "va ##cacio ##ens"). Where one letter is
missing, added, wrong or swapped, the known word is read instead. Only the model's input changes: token counts and
stored text stay as they are.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Encoding

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST_KNOWN = 4
_REMEMBERED = 50_000


class Spelling(BaseModel):
    """In a model's manifest: which words are corrected, and towards what.

    `min_letters`: shorter words are left alone; `home`: ids from here on are the words of the model's own language,
    which are likelier than others. The vocabulary is a WordPiece's: lower case without accents, ordered by frequency,
    words that share another's token last.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    min_letters: int = Field(default=5, ge=3)
    home: int = Field(default=0, ge=0)


class Speller:
    """Reads the vocabulary at the first word that it does not know. Threads may share it."""

    def __init__(self, tokenizer_file: Path, spelling: Spelling) -> None:
        self._file = tokenizer_file
        self._spelling = spelling
        self.nearest = lru_cache(_REMEMBERED)(self._nearest)

    def ids(self, encoding: Encoding, text: str) -> list[int]:
        """The encoding's ids; a word in pieces that is one letter from a known word has that word's id instead."""
        words, ids, offsets = encoding.word_ids, encoding.ids, encoding.offsets
        read: list[int] = []
        start = 0
        while start < len(ids):
            end = start + 1
            while end < len(ids) and words[start] is not None and words[end] == words[start]:
                end += 1
            meant = self.nearest(text[offsets[start][0] : offsets[end - 1][1]]) if end - start > 1 else None
            read += ids[start:end] if meant is None else [meant]
            start = end
        return read

    def _nearest(self, word: str) -> int | None:
        """The id of the likeliest known word that is one letter away from an unknown one; None where there is none."""
        folded = _folded(word)
        if len(folded) < self._spelling.min_letters or not (folded.isascii() and folded.isalpha()):
            return None
        found = {other for other in _one_letter_away(folded) if other in self._vocabulary}
        if not found:
            return None
        return self._vocabulary[min(found, key=lambda other: self._unlikelihood(folded, other))][0]

    def _unlikelihood(self, word: str, other: str) -> tuple[bool, bool, bool, int]:
        """People seldom miss the first letter; then the own language, words with a token of their own, frequency."""
        number, place = self._vocabulary[other]
        return word[0] != other[0], number < self._spelling.home, place != number, place

    @cached_property
    def _vocabulary(self) -> Mapping[str, tuple[int, int]]:
        """Word -> its id and its place."""
        numbers: dict[str, int] = json.loads(self._file.read_bytes())["model"]["vocab"]
        return {word: (number, place) for place, (word, number) in enumerate(numbers.items())}


def _folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.lower())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _one_letter_away(word: str) -> Iterator[str]:
    """Every string that swapping, inserting, replacing or deleting one letter makes of the word."""
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
        if tail and len(word) > _SHORTEST_KNOWN:
            yield head + tail[1:]
