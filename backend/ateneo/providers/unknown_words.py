"""Words that a model does not know, read as words that it knows.

A word outside the vocabulary falls into pieces that say little ("feriado": "fe ##ria ##do"). The model's folder may say
what it means in words that the model knows ("public holiday"). Else, where one letter is missing, added, wrong or
swapped ("vacacioens"), the likeliest known word is read. Only the model's input changes: token counts and stored text
stay as they are.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from tokenizers import Encoding, Tokenizer

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SHORTEST_KNOWN = 4
_REMEMBERED = 50_000

Ids = tuple[int, ...]


class UnknownWords(BaseModel):
    """In a model's manifest: how words that fall into pieces are read. The vocabulary is a WordPiece's in lower case
    without accents, ordered by frequency, words that share another's token last.

    `glosses`: a file of lines "meaning<TAB>word word ...", words in lower case without accents. `min_letters`: shorter
    words are not corrected; `home`: ids from here on are the words of the model's own language, likelier than others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    glosses: str | None = None
    min_letters: int = Field(default=5, ge=3)
    home: int = Field(default=0, ge=0)


class WordReader:
    """Reads its files at the first word in pieces. Threads may share it."""

    def __init__(self, tokenizer: Tokenizer, tokenizer_file: Path, rules: UnknownWords, max_tokens: int) -> None:
        """`tokenizer_file`: what `tokenizer` was read from, with the vocabulary; `glosses` lies beside it."""
        self._tokenizer = tokenizer
        self._file = tokenizer_file
        self._rules = rules
        self._max_tokens = max_tokens
        self._read = lru_cache(_REMEMBERED)(self._meaning)

    def ids(self, encoding: Encoding, text: str) -> list[int]:
        """The encoding's ids, with words in pieces replaced as far as they are understood; never over `max_tokens`."""
        words, ids, offsets = encoding.word_ids, encoding.ids, encoding.offsets
        room = self._max_tokens - len(ids)
        read: list[int] = []
        start = 0
        while start < len(ids):
            end = start + 1
            while end < len(ids) and words[start] is not None and words[end] == words[start]:
                end += 1
            pieces = end - start
            meaning = self._read(text[offsets[start][0] : offsets[end - 1][1]]) if pieces > 1 else ()
            if meaning and len(meaning) - pieces <= room:
                room -= len(meaning) - pieces
                read += meaning
            else:
                read += ids[start:end]
            start = end
        return read

    def _meaning(self, word: str) -> Ids:
        """The ids that an unknown word is read as; none where nothing is known of it."""
        folded = _folded(word)
        if folded in self._glosses:
            return self._ids_of(folded)
        if len(folded) < self._rules.min_letters or not (folded.isascii() and folded.isalpha()):
            return ()
        near = {word for word in _one_letter_away(folded) if word in self._vocabulary or word in self._glosses}
        return self._ids_of(min(near, key=lambda other: self._unlikelihood(folded, other))) if near else ()

    def _ids_of(self, known: str) -> Ids:
        if known in self._glosses:
            return tuple(self._tokenizer.encode(self._glosses[known], add_special_tokens=False).ids)
        return (self._vocabulary[known][0],)

    def _unlikelihood(self, word: str, other: str) -> tuple[bool, bool, bool, int, str]:
        """People seldom miss the first letter; then the own language, words with a token of their own, frequency."""
        number, place = self._vocabulary.get(other, (self._rules.home, len(self._vocabulary)))
        return word[0] != other[0], number < self._rules.home, place != number, place, other

    @cached_property
    def _vocabulary(self) -> Mapping[str, tuple[int, int]]:
        """Word -> its id and its place."""
        numbers: dict[str, int] = json.loads(self._file.read_bytes())["model"]["vocab"]
        return {word: (number, place) for place, (word, number) in enumerate(numbers.items())}

    @cached_property
    def _glosses(self) -> Mapping[str, str]:
        """Word -> what it means."""
        if self._rules.glosses is None:
            return {}
        text = (self._file.parent / self._rules.glosses).read_text(encoding="utf-8")
        lines = (line.split("\t") for line in text.splitlines())
        return {word: meaning for meaning, words in lines for word in words.split(" ")}


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
