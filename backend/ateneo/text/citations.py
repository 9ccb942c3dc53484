"""Citations: the `[n]` of an answer, resolved to the passages that were given."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from ateneo.text.quotes import coverage, quotables
from ateneo.text.sentences import split_sentences
from ateneo.types import Citation, Hit

_ITEM = r"[0-9]{1,3}(?:\s*[-–]\s*[0-9]{1,3})?"
_MARKER = re.compile(r"(?P<space>[ \t]*)\[\s*(?P<items>" + _ITEM + r"(?:\s*(?:[,;]|y|and)\s*" + _ITEM + r")*)\s*\]")
_RANGE = re.compile(r"([0-9]+)(?:\s*[-–]\s*([0-9]+))?")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_CLAIM_CHARS = 600
_QUOTE_CHARS = 300


@dataclass(frozen=True, slots=True)
class Cited:
    """`text` with only the markers that point to a passage, its citations in order, and how many were taken out."""

    text: str
    citations: tuple[Citation, ...]
    removed: int


def resolve(text: str, passages: Sequence[Hit]) -> Cited:
    """Resolves the markers of `text`: `[2]`, `[1, 3]`, `[1][3]`, `[2-4]`; `[n]` is `passages[n - 1]`.

    Those that stay are written `[1][3]`. Each passage cited becomes one Citation, in order of first appearance, with
    the sentence of the passage that is nearest, by its words, to what the answer says there.
    """
    removed = 0
    gone = -1
    # What is taken out may leave a new marker behind: "[[9]1]".
    while gone:
        text, gone = _without_strangers(text, len(passages))
        removed += gone
    claims: dict[int, str] = {}
    for found in _MARKER.finditer(text):
        claims.setdefault(int(found["items"]), _claim(text, found.start()))
    citations = tuple(cite(number, passages[number - 1], claim) for number, claim in claims.items())
    return Cited(text.strip() if removed else text, citations, removed)


def cite(number: int, hit: Hit, claim: str) -> Citation:
    """A citation of `hit` as `[number]`, quoting its sentence that is nearest to `claim`, cut to 300 characters."""
    sentences = [one.text for one in quotables([hit])] or split_sentences(hit.contenido) or [hit.contenido]
    scores = coverage(claim, sentences)
    quote = sentences[scores.index(max(scores))][:_QUOTE_CHARS].rstrip()
    return Citation(hit.chunk_id, hit.label, quote, hit.document_id, hit.page, number)


def occurs(quote: str, passage: str) -> bool:
    """Whether `quote` stands in `passage`, white space, Unicode form and invisible characters aside.

    Case and accents count. An empty quote occurs nowhere.
    """
    wanted = _plain(quote)
    return bool(wanted) and wanted in _plain(passage)


def verified(citations: Sequence[Citation], passages: Sequence[Hit]) -> tuple[Citation, ...]:
    """Those citations whose number and chunk are one passage given, and whose quote occurs in it."""
    return tuple(
        citation
        for citation in citations
        if 1 <= citation.number <= len(passages)
        and passages[citation.number - 1].chunk_id == citation.chunk_id
        and occurs(citation.quote, passages[citation.number - 1].contenido)
    )


def _without_strangers(text: str, last: int) -> tuple[str, int]:
    """The text without the numbers above `last` or below 1, and how many those were."""
    removed = 0

    def rewritten(found: re.Match[str]) -> str:
        nonlocal removed
        numbers = [number for first, end in _RANGE.findall(found["items"]) for number in _span(first, end)]
        valid = [number for number in dict.fromkeys(numbers) if 1 <= number <= last]
        removed += len(set(numbers)) - len(valid)
        return found["space"] + "".join(f"[{number}]" for number in valid) if valid else ""

    return _MARKER.sub(rewritten, text), removed


def _span(first: str, end: str) -> range:
    return range(int(first), max(int(first), int(end or first)) + 1)


def _claim(text: str, end: int) -> str:
    """What the answer says just before a marker: its last sentence there, other markers left out."""
    before = _MARKER.sub("", text[max(0, end - _CLAIM_CHARS) : end])
    sentences = split_sentences(before)
    return sentences[-1] if sentences else text[end : end + _CLAIM_CHARS]


def _plain(text: str) -> str:
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).split())
