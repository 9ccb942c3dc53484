"""Passages: a document cut where its author paused, each small enough for the embedder.

    sections ── stretches (one heading path) ── pieces (sentences) ── groups ── chunks

A piece never grows: it is a sentence, or a part of one where a sentence alone exceeds a chunk. A group is what
chunks do not leave: one stretch, or tiny neighbours together. Tokens are counted for many texts at once.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.ports import TokenCounter
from ateneo.text.sentences import sentence_spans
from ateneo.types import Chunk, Document, Section

LEAST_TOKENS = 16
CHARS_PER_TOKEN = 16
"""A text longer than this many characters a token counts as more tokens: tokenisers that read a 100,000-character
word as one unknown token would otherwise make it one chunk."""

_SEPARATOR = " > "
_CONTEXT_SHARE = 3
_TINY_SHARE = 16

_BLANK_LINE = re.compile(r"\n\s*\n")
_JOINERS = "\u200d\ufe0e\ufe0f"

Headings = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text with the white space that follows it; `cost` in tokens, without the tokeniser's fixed ones."""

    text: str
    page: int | None
    opens: bool
    cost: int = -1

    @property
    def introduces(self) -> bool:
        """Whether it is the head of what follows: "Se necesita:"."""
        return self.text.rstrip().endswith(":")


@dataclass(frozen=True, slots=True)
class _Context:
    """The first line of a chunk, with its line end; empty where there is none."""

    line: str = ""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    headings: Headings
    context: _Context
    budget: int
    pieces: tuple[_Piece, ...]

    @property
    def cost(self) -> int:
        return sum(piece.cost for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class _Measure:
    """Counts many texts at once. `fixed`: the tokens that the tokeniser adds to every text."""

    counter: TokenCounter
    fixed: int
    max_tokens: int

    def costs(self, texts: Sequence[str]) -> list[int]:
        """What each text costs, or for one that is too long by its characters alone, at least."""
        least = [-(-len(text) // CHARS_PER_TOKEN) for text in texts]
        short = [text for text, cost in zip(texts, least, strict=True) if cost <= self.max_tokens]
        counts = iter(self.counter.count_tokens(short) if short else [])
        return [cost if cost > self.max_tokens else max(next(counts) - self.fixed, cost) for cost in least]

    def room(self, context: _Context) -> int:
        return self.max_tokens - self.fixed - context.cost


def chunk(document: Document, counter: TokenCounter, *, max_tokens: int, overlap: int) -> list[Chunk]:
    """Returns the passages of `document` in reading order; every word of its sections is in one of them.

    Each has at most `max_tokens` tokens by `counter`, its first line included: the heading path ("Manual >
    Licencias"), shortened from the left where it would take more than a third. Neighbours under the same heading
    share up to `overlap` tokens, whole sentences only. `page` is where a passage's own (not shared) text begins.

    Raises BadArgument where `max_tokens` < 16, or `overlap` is negative or more than half of `max_tokens`.
    """
    _check(max_tokens, overlap)
    measure = _Measure(counter, counter.count_tokens([""])[0], max_tokens)
    stretches = _stretches(document.sections)
    contexts = _contexts([headings for headings, _ in stretches], measure)
    groups = _merge_tiny(_groups(stretches, contexts, measure), contexts, measure)
    chunks = [one for packed in _packed(groups, measure, overlap) for one in packed]
    return [replace(one, index=index) for index, one in enumerate(chunks)]


def _check(max_tokens: int, overlap: int) -> None:
    if max_tokens < LEAST_TOKENS:
        rule = tr(f"tiene que ser {LEAST_TOKENS} o más", f"it must be {LEAST_TOKENS} or more")
        raise BadArgument(name="max_tokens", value=max_tokens, rule=rule)
    if not 0 <= overlap <= max_tokens // 2:
        rule = tr("va de 0 a la mitad de max_tokens", "it goes from 0 to half of max_tokens")
        raise BadArgument(name="overlap", value=overlap, rule=rule)


# --- from sections to groups --------------------------------------------------------------------------------------


def _stretches(sections: Iterable[Section]) -> list[tuple[Headings, list[_Piece]]]:
    found = []
    for headings, run in groupby(sections, key=lambda section: section.headings):
        pieces = [piece for continued in _continued(run) for piece in _pieces(continued)]
        if pieces:
            found.append((headings, pieces))
    return found


def _continued(sections: Iterable[Section]) -> list[list[Section]]:
    """Each section with those that continue it."""
    runs: list[list[Section]] = []
    for section in sections:
        if runs and section.continues:
            runs[-1].append(section)
        else:
            runs.append([section])
    return runs


def _pieces(sections: Sequence[Section]) -> list[_Piece]:
    """The sentences of sections that continue each other, each with the page where it begins."""
    text = " ".join(section.text for section in sections)
    begins = [0, *accumulate(len(section.text) + 1 for section in sections[:-1])]
    spans = sentence_spans(text)
    pieces = []
    opens = True
    for at, (start, end) in enumerate(spans):
        gap = text[end : spans[at + 1][0]] if at + 1 < len(spans) else "\n\n"
        page = sections[bisect_right(begins, start) - 1].page
        pieces.append(_Piece(text[start:end] + gap, page, opens))
        opens = _BLANK_LINE.search(gap) is not None
    return pieces


def _contexts(paths: Iterable[Headings], measure: _Measure) -> dict[Headings, _Context]:
    """Each path and each of its parents, with the line that stands for it: its longest end that is short enough."""
    wanted = {path[:length] for path in paths for length in range(len(path) + 1)}
    lines = {path: [_SEPARATOR.join(path[at:]) + "\n" for at in range(len(path))] for path in wanted}
    distinct = sorted({line for candidates in lines.values() for line in candidates})
    cost = dict(zip(distinct, measure.costs(distinct), strict=True))
    limit = measure.room(_Context()) // _CONTEXT_SHARE
    return {
        path: next((_Context(line, cost[line]) for line in lines[path] if cost[line] <= limit), _Context())
        for path in wanted
    }


def _groups(
    stretches: list[tuple[Headings, list[_Piece]]], contexts: dict[Headings, _Context], measure: _Measure
) -> list[_Group]:
    groups = []
    for headings, pieces in stretches:
        context = contexts[headings]
        heading = [_heading(headings, pieces)] if headings and not context.line else []
        groups.append(_Group(headings, context, measure.room(context), (*heading, *pieces)))
    return _fitted(groups, measure)


def _heading(headings: Headings, pieces: Sequence[_Piece]) -> _Piece:
    return _Piece(headings[-1] + "\n", pieces[0].page, opens=True)


def _merge_tiny(groups: list[_Group], contexts: dict[Headings, _Context], measure: _Measure) -> list[_Group]:
    """Joins a group of a few words with its neighbour under the same parent, where both fit one chunk. What stands
    under the parent's own heading is joined with a section as short only: a longer one keeps its own path."""
    tiny = measure.max_tokens // _TINY_SHARE
    merged: list[_Group] = []
    for group in groups:
        joined = None
        opens = bool(merged) and merged[-1].headings == group.headings[:-1]
        if merged and (group.cost if opens else min(merged[-1].cost, group.cost)) < tiny:
            joined = _joined(merged[-1], group, contexts, measure)
        if joined is None:
            merged.append(group)
        else:
            merged[-1] = joined
    return merged


def _joined(left: _Group, right: _Group, contexts: dict[Headings, _Context], measure: _Measure) -> _Group | None:
    """Both as one group under their common parent; None where they are strangers or too long together."""
    parent = next((path for path in (left.headings, left.headings[:-1]) if path and path == right.headings[:-1]), ())
    context = contexts[parent]
    budget = measure.room(context)
    if not context.line or left.cost + right.cost > budget:
        return None
    pieces = (*_titled(left, parent), *_titled(right, parent))
    [joined] = _fitted([_Group(parent, context, budget, pieces)], measure)
    return joined if joined.cost <= budget else None


def _titled(group: _Group, parent: Headings) -> list[_Piece]:
    if group.headings == parent or not group.context.line:
        return list(group.pieces)
    return [_heading(group.headings, group.pieces), *group.pieces]


# --- pieces that fit ----------------------------------------------------------------------------------------------


def _fitted(groups: Sequence[_Group], measure: _Measure) -> list[_Group]:
    """The groups with every piece counted, and cut until its cost is within the group's budget."""
    pieces = [[*group.pieces] for group in groups]
    while True:
        unknown = [piece.text for listed in pieces for piece in listed if piece.cost < 0]
        if not unknown:
            return [replace(group, pieces=tuple(listed)) for group, listed in zip(groups, pieces, strict=True)]
        costs = iter(measure.costs(unknown))
        for at, group in enumerate(groups):
            pieces[at] = [
                part
                for piece in pieces[at]
                for part in _cut(piece if piece.cost >= 0 else replace(piece, cost=next(costs)), group.budget)
            ]


def _cut(piece: _Piece, budget: int) -> list[_Piece]:
    """The piece in parts of equal length, as many as its cost takes, without those that hold no letter; whether each
    fits is for the next count to say."""
    end = len(piece.text.rstrip())
    if piece.cost <= budget or len(piece.text.strip()) < 2:
        return [piece]
    step = -(-end // (piece.cost // budget + 1))
    parts = []
    start = 0
    while end - start > step:
        at = _break(piece.text, start, start + step)
        parts.append(_Piece(piece.text[start:at], piece.page, piece.opens and not start))
        start = at
    parts.append(_Piece(piece.text[start:], piece.page, piece.opens and not start))
    return [part for part in parts if part.text.strip()]


def _break(text: str, start: int, end: int) -> int:
    """Where to cut a part of `text` that may reach from `start` to `end`: behind a word, else inside the word."""
    space = max(text.rfind(space, start + 1, end) for space in " \n\t\u00a0")
    if space > start and text[start:space].strip():
        return space + 1
    at = end
    while at > max(start + 1, end - 32) and (unicodedata.combining(text[at]) or text[at] in _JOINERS):
        at -= 1
    return at


# --- from groups to chunks ----------------------------------------------------------------------------------------


def _packed(groups: list[_Group], measure: _Measure, overlap: int) -> list[list[Chunk]]:
    """The chunks of each group. A group whose chunks come out too long (tokens at the joints) is packed tighter."""
    done: list[list[Chunk]] = [[] for _ in groups]
    todo = list(range(len(groups)))
    while todo:
        drafts = [(at, draft) for at in todo for draft in _drafts(groups[at], overlap)]
        counts = measure.counter.count_tokens([draft.contenido for _, draft in drafts])
        over = {
            at
            for (at, _), count in zip(drafts, counts, strict=True)
            if count > measure.max_tokens and groups[at].budget > 1
        }
        for (at, draft), count in zip(drafts, counts, strict=True):
            if at not in over:
                done[at].append(replace(draft, tokens=count))
        todo = sorted(over)
        for at, group in zip(todo, _fitted([_tightened(groups[at]) for at in todo], measure), strict=True):
            groups[at] = group
    return done


def _tightened(group: _Group) -> _Group:
    budget = group.budget * 3 // 4
    uncounted = tuple(piece if piece.cost <= budget else replace(piece, cost=-1) for piece in group.pieces)
    return replace(group, budget=budget, pieces=uncounted, context=group.context if budget >= 4 else _Context())


def _drafts(group: _Group, overlap: int) -> list[Chunk]:
    drafts = []
    fresh = 0
    for start, end in _cuts(group.pieces, group.budget, overlap):
        pieces = group.pieces[start:end]
        body = "".join(piece.text for piece in pieces).strip()
        breaks = _page_breaks(pieces, len(group.context.line))
        drafts.append(Chunk(0, group.context.line + body, 0, group.pieces[fresh].page, group.headings, breaks))
        fresh = end
    return drafts


def _page_breaks(pieces: Sequence[_Piece], offset: int) -> tuple[tuple[int, int], ...]:
    """Where each page begins, the first one included; () where there is but one. `offset`: of the first piece."""
    offset -= len(pieces[0].text) - len(pieces[0].text.lstrip())
    breaks: list[tuple[int, int]] = []
    for piece in pieces:
        if piece.page is not None and (not breaks or breaks[-1][1] != piece.page):
            breaks.append((max(offset, 0) if breaks else 0, piece.page))
        offset += len(piece.text)
    return tuple(breaks) if len(breaks) > 1 else ()


def _best_end(pieces: Sequence[_Piece], least: int, most: int) -> int:
    """Where a chunk best ends: before a paragraph, and not between a list and its head."""
    ends = [at for at in range(most, least - 1, -1) if not pieces[at - 1].introduces]
    return next((at for at in ends if pieces[at].opens), ends[0] if ends else most)


def _cuts(pieces: Sequence[_Piece], budget: int, overlap: int) -> list[tuple[int, int]]:
    """Half-open ranges of pieces, each within `budget`, each beginning with up to `overlap` of the one before."""
    total = [0, *accumulate(piece.cost for piece in pieces)]
    cuts: list[tuple[int, int]] = []
    start = fresh = 0
    while fresh < len(pieces):
        end = max(bisect_right(total, total[start] + budget) - 1, fresh + 1)
        if end < len(pieces):
            half_full = max(bisect_left(total, total[start] + budget // 2), fresh + 1)
            end = _best_end(pieces, half_full, end)
        cuts.append((start, end))
        if end == len(pieces):
            break
        shared = bisect_left(total, total[end] - overlap)
        start = min(max(shared, bisect_left(total, total[end + 1] - budget), start + 1), end)
        fresh = end
    return cuts
