"""The text that an agent answers from: numbered passages, their sources named, within a budget of tokens.

    [1] Licencias y vacaciones · Plazos · p. 3 (fragmento 7c1e...)
    <fragmento>
    El personal goza de 14 días corridos.
    </fragmento>

A passage is data. Its text cannot close its own `<fragmento>`, so nothing in a document stands outside of one.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ateneo.errors import BadArgument
from ateneo.lang import tr
from ateneo.ports import TokenCounter
from ateneo.text.clean import clean
from ateneo.text.sentences import sentence_spans
from ateneo.types import Hit

MAX_LABEL_CHARS = 200

# White space, slashes, and characters that show nothing: what a reader, or a model, reads over.
_UNSEEN = (
    r"[\s/\u2044\u2215\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]*"
)
_TAG = re.compile(r"[<＜﹤](?=" + _UNSEEN + _UNSEEN.join("fragmento") + ")", re.IGNORECASE)
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
    document stand together in reading order, without the words that they share; no text stands twice. Numbers begin at
    `first`.
    Raises BadArgument where max_tokens < 1.
    """
    if max_tokens < 1:
        rule = tr("tiene que ser 1 o más", "it must be 1 or more")
        raise BadArgument(name="max_tokens", value=max_tokens, rule=rule)
    chosen = _within(_distinct(hits), counter, max_tokens, first)
    while chosen:
        passages = _without_overlaps(_reading_order(chosen))
        text = _render(passages, first)
        tokens = counter.count_tokens([text])[0]
        if tokens <= max_tokens:
            return Context(text, tuple(passage.hit for passage in passages), tokens)
        # A tokeniser may count a whole higher than the sum of its parts.
        chosen.pop()
    return Context("", (), 0)


def _distinct(hits: Iterable[Hit]) -> list[_Passage]:
    """The passages with text, in order, none twice by id or by words."""
    seen: set[str] = set()
    passages = []
    for hit in hits:
        text = clean(hit.contenido).strip()
        keys = {f"id {hit.chunk_id}", "text " + " ".join(text.split()).casefold()}
        if text and seen.isdisjoint(keys):
            passages.append(_Passage(hit, text))
        seen |= keys
    return passages


def _within(passages: Sequence[_Passage], counter: TokenCounter, max_tokens: int, first: int) -> list[_Passage]:
    """Those that fit together by the sum of their counts, best first; the first cut where it must be."""
    if not passages:
        return []
    costs = counter.count_tokens([_measured(first + len(passages), passage) for passage in passages])
    chosen: list[_Passage] = []
    left = max_tokens
    for passage, cost in zip(passages, costs, strict=True):
        if cost <= left:
            chosen.append(passage)
            left -= cost
        elif not chosen and (shorter := _beginning(passage, counter, max_tokens, first)):
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
    label = _one_line(passage.hit.label)[:MAX_LABEL_CHARS]
    source = f"[{number}] {label} (fragmento {_one_line(passage.hit.chunk_id)})"
    return f"{source}\n<fragmento>\n{_inert(passage.text)}\n</fragmento>"


def _one_line(text: str) -> str:
    return " ".join(_inert(clean(text)).split())


def _inert(text: str) -> str:
    return _TAG.sub("‹", text)
