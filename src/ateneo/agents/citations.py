"""Citations: what the `[n]` of an answer point to, and where a quote stands in its passage."""

import re
import unicodedata

from ateneo.agents.quotable_sentences import coverage, quotables
from ateneo.text.sentences import split_sentences
from ateneo.types import Citation, Hit

_ITEM = r"[0-9]{1,3}(?:\s*[-–]\s*[0-9]{1,3})?"
MARKER = re.compile(
    r"(?P<space>(?:(?<![ \t])[ \t]++)?)\[\s*(?P<items>" + _ITEM + r"(?:\s*(?:[,;]|y|and)\s*" + _ITEM + r")*)\s*\]"
)
"""`[2]`, `[1, 3]`, `[2-4]`, `[1 y 3]`, with the white space before."""
_RANGE = re.compile(r"([0-9]+)(?:\s*[-–]\s*([0-9]+))?")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_CLAIM_CHARS = 600
_QUOTE_CHARS = 300


def cite(number: int, hit: Hit, claim: str) -> Citation:
    """A citation of `hit` as `[number]`, quoting its sentence that is nearest to `claim`, cut to 300 characters."""
    sentences = [one.text for one in quotables([hit])] or split_sentences(hit.contenido) or [hit.contenido]
    scores = coverage(claim, sentences)
    quote = sentences[scores.index(max(scores))][:_QUOTE_CHARS].rstrip()
    start, _ = locate(quote, hit.contenido) or (0, 0)
    return Citation(
        chunk_id=hit.chunk_id,
        label=hit.label_at(start),
        quote=quote,
        document_id=hit.document_id,
        page=hit.page_at(start),
        number=number,
        chunk_index=hit.chunk_index,
    )


def occurs(quote: str, passage: str) -> bool:
    """Whether `quote` stands in `passage`; see `locate`."""
    return locate(quote, passage) is not None


def locate(quote: str, passage: str) -> tuple[int, int] | None:
    """Where `quote` stands in `passage`, [start, end) in code points, first place; None where it does not.

    White space, Unicode form and invisible characters are read over; case and accents count. An empty quote stands
    nowhere.
    """
    wanted, _ = _plain(quote)
    text, places = _plain(passage)
    at = text.find(wanted) if wanted else -1
    while at >= 0:
        end = at + len(wanted)
        # "ano" does not stand in "año" written as n + tilde
        if end == len(text) or not unicodedata.combining(text[end]):
            return places[at], places[end - 1] + 1
        at = text.find(wanted, at + 1)
    return None


def numbers_of(items: str, last: int) -> tuple[tuple[int, ...], int]:
    """The numbers of a marker's items, those from 1 to `last` alone, and how many others there were."""
    numbers = dict.fromkeys(number for first, end in _RANGE.findall(items) for number in _span(first, end))
    valid = tuple(number for number in numbers if 1 <= number <= last)
    return valid, len(numbers) - len(valid)


def _span(first: str, end: str) -> range:
    return range(int(first), max(int(first), int(end or first)) + 1)


def claim_at_end(text: str) -> str:
    """What an answer says last: its last sentence, markers left out. "" where it says nothing yet."""
    sentences = split_sentences(MARKER.sub("", text[-_CLAIM_CHARS:]))
    return sentences[-1] if sentences else ""


def _plain(text: str) -> tuple[str, list[int]]:
    """The text decomposed (NFKD), without invisible characters, white space as single spaces; and for each of its
    characters the place in `text` that it comes from."""
    plain: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for one in "" if _INVISIBLE.match(char) else unicodedata.normalize("NFKD", char):
            space = one.isspace()
            if not space or (plain and plain[-1] != " "):
                plain.append(" " if space else one)
                places.append(place)
    if plain and plain[-1] == " ":
        plain.pop()
        places.pop()
    return "".join(plain), places
