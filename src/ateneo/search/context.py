"""The text that an agent answers from: numbered passages, their sources named, within a budget of tokens.

    [1] Licencias y vacaciones · Plazos · p. 3 (fragmento 7c1e...)
    <fragmento>
    El personal goza de 14 días corridos.
    </fragmento>

A passage is data. Its text cannot close its own `<fragmento>`, so nothing in a document stands outside of one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.text.clean import clean
from ateneo.text.sentences import sentence_spans
from ateneo.text.source_label import label
from ateneo.types import Hit

MAX_LABEL_CHARS = 200
PER_DOCUMENT = 4
"""Passages of one document before the others had their turn. On examples/ fewer push answers out (ADR 20)."""

# White space, slashes, and characters that show nothing: what a reader, or a model, reads over.
_UNSEEN = (
    r"[\s/\u2044\u2215\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]*"
)
_TAG = re.compile(r"[<＜﹤](?=" + _UNSEEN + _UNSEEN.join("fragmento") + ")", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LETTERS = re.compile(r"\w+")
_SAME_SHARE = 0.85
_WORD = re.compile(r"\S+")
_OVERLAP_WORDS = 300
_LEAST_OVERLAP = 4


@dataclass(frozen=True, slots=True)
class Context:
    """`text` for the prompt; `hits[n - first]` is its passage `[n]`; `tokens` of the text by the counter given."""

    text: str
    hits: tuple[Hit, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Passage:
    hit: Hit
    text: str


def build_context(hits: Sequence[Hit], counter: TokenCounter, *, max_tokens: int, first: int = 1) -> Context:
    """Returns as many of `hits` (best first) as fit `max_tokens`, counted on the final text; "" where there are none.

    A passage that does not fit is skipped, except that the first may be cut after a sentence. Neighbours of one
    document stand together in reading order, without the words that they share; no text stands twice, nor one that says
    nearly the same. Numbers begin at
    `first`.
    Raises BadArgument where max_tokens < 1.
    """
    if max_tokens < 1:
        rule = tr("tiene que ser 1 o más", "it must be 1 or more")
        raise BadArgument(name="max_tokens", value=max_tokens, rule=rule)
    candidates = _distinct(hits)
    chosen = _within(candidates, [], counter, max_tokens, first)
    while chosen:
        passages = _without_overlaps(_reading_order(chosen))
        text = _render(passages, first)
        tokens = counter.count_tokens([text])[0]
        if tokens > max_tokens:
            # A tokeniser may count a whole higher than the sum of its parts.
            return _fewer(chosen, counter, max_tokens, first)
        # What neighbours share stands once, which leaves room for more.
        more = _within(candidates, chosen, counter, max_tokens - tokens, first)
        if not more:
            return Context(text, tuple(passage.hit for passage in passages), tokens)
        chosen += more
    return Context("", (), 0)


def _fewer(chosen: list[_Passage], counter: TokenCounter, max_tokens: int, first: int) -> Context:
    """The context of as many of `chosen` as fit together, the weakest left out."""
    for count in range(len(chosen) - 1, 0, -1):
        passages = _without_overlaps(_reading_order(chosen[:count]))
        text = _render(passages, first)
        tokens = counter.count_tokens([text])[0]
        if tokens <= max_tokens:
            return Context(text, tuple(passage.hit for passage in passages), tokens)
    return Context("", (), 0)


def _distinct(hits: Iterable[Hit]) -> list[_Passage]:
    """The passages with text, in order, none twice by id or by words, no near-duplicates, spread over documents."""
    seen: set[str] = set()
    passages: list[_Passage] = []
    said: list[_Fingerprint] = []
    for hit in hits:
        text = clean(hit.contenido).strip()
        keys = {f"id {hit.chunk_id}", "text " + " ".join(text.split()).casefold()}
        if text and seen.isdisjoint(keys):
            new = _Fingerprint.of(text)
            # neighbours share text by design, and lose it when they stand together
            if not any(
                new.repeats(old) and not _neighbours(hit, passage.hit)
                for passage, old in zip(passages, said, strict=True)
            ):
                passages.append(_Passage(hit, text))
                said.append(new)
        seen |= keys
    return _spread(passages)


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What tells whether two texts say the same: their words by threes, and their numbers."""

    triples: frozenset[tuple[str, ...]]
    numbers: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Self:
        words = [word.casefold() for word in _LETTERS.findall(text)]
        triples = zip(words, words[1:], words[2:], strict=False)
        return cls(frozenset(triples), frozenset(word for word in words if not word.isalpha()))

    def repeats(self, other: Self) -> bool:
        """Nearly the same words and exactly the same numbers: 14 days and 21 days are two rules."""
        both, either = self.triples & other.triples, self.triples | other.triples
        return self.numbers == other.numbers and bool(both) and len(both) >= _SAME_SHARE * len(either)


def _spread(passages: Sequence[_Passage]) -> list[_Passage]:
    """The order in which they are taken: of each document the PER_DOCUMENT best, then of each the next ones."""
    taken: Counter[str] = Counter()
    rounds: list[int] = []
    for passage in passages:
        document = passage.hit.document_id or passage.hit.chunk_id
        rounds.append(taken[document] // PER_DOCUMENT)
        taken[document] += 1
    order = sorted(range(len(passages)), key=lambda at: rounds[at])
    return [passages[at] for at in order]


def _within(
    passages: Sequence[_Passage], given: Sequence[_Passage], counter: TokenCounter, max_tokens: int, first: int
) -> list[_Passage]:
    """Those not `given` that fit together by the sum of their counts, best first; the very first cut where it must
    be."""
    known = {passage.hit.chunk_id for passage in given}
    fresh = [passage for passage in passages if passage.hit.chunk_id not in known]
    if not fresh:
        return []
    costs = counter.count_tokens([_measured(first + len(passages), passage) for passage in fresh])
    chosen: list[_Passage] = []
    left = max_tokens
    for passage, cost in zip(fresh, costs, strict=True):
        if cost <= left:
            chosen.append(passage)
            left -= cost
        elif not (chosen or given) and (shorter := _beginning(passage, counter, max_tokens, first)):
            chosen.append(shorter)
            left -= counter.count_tokens([_measured(first, shorter)])[0]
    return chosen


def _beginning(passage: _Passage, counter: TokenCounter, max_tokens: int, first: int) -> _Passage | None:
    """The most whole sentences from the start that fit; None where not even one does."""
    ends = [end for _, end in sentence_spans(passage.text)]
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high + 1) // 2
        shorter = _Passage(passage.hit, passage.text[: ends[middle - 1]])
        if counter.count_tokens([_measured(first, shorter)])[0] <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return _Passage(passage.hit, passage.text[: ends[low - 1]]) if low else None


def _reading_order(passages: Sequence[_Passage]) -> list[_Passage]:
    """Best first, but each with its neighbours of the same document around it, as in the document."""
    places: dict[tuple[str | None, int | None], _Passage] = {}
    for passage in passages:
        places.setdefault(_place(passage.hit), passage)
    ordered: dict[str, _Passage] = {}
    for passage in passages:
        document, index = _place(passage.hit)
        if document is None or index is None or places[document, index] is not passage:
            ordered[passage.hit.chunk_id] = passage
        elif passage.hit.chunk_id not in ordered:
            while (document, index - 1) in places:
                index -= 1
            while (document, index) in places:
                ordered[places[document, index].hit.chunk_id] = places[document, index]
                index += 1
    return list(ordered.values())


def _place(hit: Hit) -> tuple[str | None, int | None]:
    return hit.document_id, hit.chunk_index


def _without_overlaps(passages: Sequence[_Passage]) -> list[_Passage]:
    kept: list[_Passage] = []
    before: _Passage | None = None
    for passage in passages:
        text = passage.text
        if before is not None and _follows(passage.hit, before.hit):
            text = text[_shared(before.text, text) :].lstrip()
        if text:
            kept.append(_Passage(passage.hit, text))
        before = passage
    return kept


def _neighbours(hit: Hit, other: Hit) -> bool:
    return _follows(hit, other) or _follows(other, hit)


def _follows(hit: Hit, before: Hit) -> bool:
    if hit.chunk_index is None or before.chunk_index is None:
        return False
    return hit.document_id == before.document_id and hit.chunk_index == before.chunk_index + 1


def _shared(before: str, text: str) -> int:
    """How many characters at the start of `text` repeat `before`: the same first line, then its last words."""
    head, line, _ = text.partition("\n")
    start = len(head) + 1 if line and before.startswith(head + line) else 0
    last = before.split()[-_OVERLAP_WORDS:]
    words = list(_WORD.finditer(text, start))[:_OVERLAP_WORDS]
    first = [word[0] for word in words]
    for size in range(min(len(last), len(first)), _LEAST_OVERLAP - 1, -1):
        if last[-size:] == first[:size]:
            return words[size - 1].end()
    return start


def _render(passages: Sequence[_Passage], first: int) -> str:
    return "\n\n".join(_block(number, passage) for number, passage in enumerate(passages, first))


def _measured(number: int, passage: _Passage) -> str:
    return _block(number, passage) + "\n\n"


def _block(number: int, passage: _Passage) -> str:
    source = f"[{number}] {_source(passage.hit)} (fragmento {_short(_one_line(passage.hit.chunk_id))})"
    return f"{source}\n<fragmento>\n{_inert(passage.text)}\n</fragmento>"


def _source(hit: Hit) -> str:
    """Where it comes from. Without a title, its id and not its first words: a document's text stays in its passage."""
    name = hit.title or (None if hit.headings else hit.document_id or hit.chunk_id)
    return _one_line(label(name, hit.headings, hit.page, ""))[:MAX_LABEL_CHARS]


def _short(chunk_id: str) -> str:
    """A UUID's first part: the whole takes as many tokens as two sentences, and `[n]` is what is cited."""
    return chunk_id[:8] if _UUID.fullmatch(chunk_id) else chunk_id


def _one_line(text: str) -> str:
    return " ".join(_inert(clean(text)).split())


def _inert(text: str) -> str:
    return _TAG.sub("‹", text)
