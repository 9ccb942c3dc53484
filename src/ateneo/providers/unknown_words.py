"""Words that a model does not know, read as words that it knows.

A word outside the vocabulary falls into pieces that say little ("feriado": "fe ##ria ##do"). The model's folder may say
what it means in words that the model knows ("public holiday"). Else, where one letter is missing, added, wrong or
swapped ("vacacioens"), the likeliest known word is read. Only the model's input changes: token counts and stored text
stay as they are.
"""

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
    without accents, ordered by frequency.

    `glosses`: a file of lines "meaning<TAB>word word ...", words in lower case without accents. `min_letters`: shorter
    words are not corrected; `home`: ids from here on are the words of the model's own language, likelier than others.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    glosses: str | None = None
    min_letters: int = Field(default=5, ge=3)
    home: int = Field(default=0, ge=0)


class WordReader:
    """Reads its glosses at the first word in pieces. Threads may share it."""

    def __init__(self, tokenizer: Tokenizer, folder: Path, rules: UnknownWords, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        # of another object's method: a cache of one's own would keep the tokeniser alive, in a cycle
        self._read = lru_cache(_REMEMBERED)(_Meanings(tokenizer, folder, rules).of)

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


class _Meanings:
    def __init__(self, tokenizer: Tokenizer, folder: Path, rules: UnknownWords) -> None:
        self._tokenizer = tokenizer
        self._folder = folder
        self._rules = rules

    def of(self, word: str) -> Ids:
        """The ids that an unknown word is read as; none where nothing is known of it."""
        folded = _folded(word)
        if folded in self._glosses:
            return self._ids_of(folded)
        if len(folded) < self._rules.min_letters or not (folded.isascii() and folded.isalpha()):
            return ()
        near = {word: ids for word in _one_letter_away(folded) if (ids := self._ids_of(word))}
        return near[min(near, key=lambda other: self._unlikelihood(folded, other, near[other]))] if near else ()

    def _ids_of(self, known: str) -> Ids:
        """Of a word with a gloss or a token of its own; none of other words."""
        if known in self._glosses:
            return tuple(self._tokenizer.encode(self._glosses[known], add_special_tokens=False).ids)
        number = self._tokenizer.token_to_id(known)
        return () if number is None else (number,)

    def _unlikelihood(self, word: str, other: str, ids: Ids) -> tuple[bool, bool, bool, int, str]:
        """People seldom miss the first letter; then words of the own language, with one token, by frequency."""
        foreign = other not in self._glosses and ids[0] < self._rules.home
        return word[0] != other[0], foreign, len(ids) > 1, ids[0], other

    @cached_property
    def _glosses(self) -> Mapping[str, str]:
        """Word -> what it means."""
        if self._rules.glosses is None:
            return {}
        text = (self._folder / self._rules.glosses).read_text(encoding="utf-8")
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
