"""Where the words that a search matched stand in a passage.

The store analyses text in SQL and says which words of the query a passage has; here their forms are looked for in the
text, by the same rules: folded (no accents, ñ kept), stemmed as Spanish, and "ano" finds "año".
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import snowballstemmer

Span = tuple[int, int]

_MARKS = "\u0300-\u036f"
# a letter goes with the combining marks behind it: no span ends inside what a reader sees as one letter
_WORD = re.compile(f"(?:[^\\W_][{_MARKS}]*)+")
_CODE = re.compile(f"(?<![^\\W_])(?<![{_MARKS}]){_WORD.pattern}(?:[-/._,]{_WORD.pattern})+")
_KEEPS_TILDE = re.compile(f"(n\u0303)|[{_MARKS}]")
_VOWEL_CHANGE = re.compile("(?<=[^qg])ue")
_TWO_SYLLABLES = re.compile("[aeiou][^aeiou].*[aeiou][^aeiou]")
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})")
_DECIMALS = re.compile(r"[.,](\d{1,2})$")


def highlights(text: str, words: Iterable[str]) -> tuple[Span, ...]:
    """Returns the spans [start, end) of `text`, in code points, that a form of one of `words` takes.

    `words` are folded, as in `Hit.matched`, with codes, dates and amounts in their canonical form ("rg4310",
    "2025-03-12", "85000"). Spans are in order and never touch a letter without its combining marks.
    """
    wanted = frozenset(words)
    stems = frozenset(_stem(word) for word in wanted)
    if not stems:
        return ()
    # a stem begins as its word does: most words of the text need no stemming
    initials = frozenset(stem[:1] for stem in stems)
    found = [one.span() for one in _WORD.finditer(text) if _matches(fold(one[0]), stems, initials)]
    if any(not word.isalpha() for word in wanted):
        found += [one.span() for one in _CODE.finditer(text) if not wanted.isdisjoint(_canonical(fold(one[0])))]
    return _merged(found)


@lru_cache(maxsize=4096)
def fold(word: str) -> str:
    """Returns the word in lower case without accents, ñ kept: what the index's `fold` makes of it."""
    apart = unicodedata.normalize("NFD", word).lower()
    return unicodedata.normalize("NFC", _KEEPS_TILDE.sub(lambda mark: mark[1] or "", apart))


def _matches(word: str, stems: frozenset[str], initials: frozenset[str]) -> bool:
    plain = word.replace("ñ", "n")
    return (word[:1] in initials and _stem(word) in stems) or (
        plain != word and plain[:1] in initials and _stem(plain) in stems
    )


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    stem: str = snowballstemmer.stemmer("spanish").stemWord(word)
    if stem.endswith("i") and len(stem) > 3:
        stem = stem[:-1]
    elif stem.endswith(("acion", "ucion")) and _TWO_SYLLABLES.search(stem[:-5]):
        stem = stem[:-5] if stem.endswith("acion") else stem[:-4]
    return _VOWEL_CHANGE.sub("o", stem).replace("ie", "e") if "ue" in stem[1:] or "ie" in stem else stem


def _canonical(code: str) -> tuple[str, ...]:
    """The forms that the index keeps a token with marks inside it in: code, date, amount."""
    forms = [re.sub("[-/._,]", "", code)]
    if date := _DAY_FIRST.fullmatch(code):
        forms.append(f"{date[3]}-{date[2]:0>2}-{date[1]:0>2}")
    if date := _YEAR_FIRST.fullmatch(code):
        forms.append(f"{date[1]}-{date[2]:0>2}-{date[3]:0>2}")
    if code.replace(".", "").replace(",", "").isdigit():
        decimals = _DECIMALS.search(code)
        whole = _DECIMALS.sub("", code).replace(".", "").replace(",", "")
        rest = decimals[1].rstrip("0") if decimals else ""
        forms.append(f"{whole}.{rest}" if rest else whole)
    return tuple(forms)


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)
