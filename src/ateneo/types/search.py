"""What a search takes and gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ateneo.text.same_text import SameText
from ateneo.text.source_label import label
from ateneo.types.usage import Spent

Mode = Literal["hybrid", "dense", "lexical"]
Fusion = Literal["convex", "rrf"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that stands around a hit in its document."""

    chunk_id: str
    chunk_index: int
    contenido: str
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, best first.

    `score` is the fused score, about 0 to 1 and comparable within this query alone; `dense_score` is the cosine
    similarity in [-1, 1]; `lexical_score` is BM25 (>= 0). A rank is None where that leg did not bring it in.
    """

    chunk_id: str
    document_id: str | None
    chunk_index: int | None
    contenido: str
    score: float
    dense_score: float | None
    lexical_score: float | None
    dense_rank: int | None
    lexical_rank: int | None
    tokens_count: int | None = None
    title: str | None = None
    source: str | None = None
    page: int | None = None
    headings: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    """The query's words (folded) that the passage has."""
    rerank_score: float | None = None
    """Where a reranker ordered it: that model's own score, comparable within this result alone."""
    words_share: float | None = None
    """BM25 over an ideal passage's, which has every word of the query once; None where words were not asked."""
    relevance: float | None = None
    """Where `min_score` was asked: how probable it is that it answers, in (0, 1), comparable between queries."""
    highlights: tuple[tuple[int, int], ...] = ()
    """On request: where forms of those words stand, as spans [start, end) of `contenido` in code points."""
    before: tuple[Passage, ...] = ()
    after: tuple[Passage, ...] = ()
    section: tuple[Passage, ...] = ()
    """On request, in the document's order: its neighbours, and all passages under its heading, itself among them."""
    page_breaks: tuple[tuple[int, int], ...] = ()
    """Where its text stands on several pages: where each begins, (offset in `contenido` in code points, page)."""
    duplicates: int = 0
    """How many more passages were found that have exactly this text; `same_text` are the first ten of them."""
    same_text: tuple[SameText, ...] = ()
    key: tuple[str, ...] = ()
    url: str | None = None
    """Of a row of a table (`ateneo sources`), whose source is `source`: its own key, and the link to it."""

    @property
    def label(self) -> str:
        """Where it comes from, for people."""
        return self.label_at(None)

    def page_at(self, offset: int) -> int | None:
        """The page of what stands at `offset` of `contenido` (code points)."""
        return next((page for begins, page in reversed(self.page_breaks) if begins <= offset), self.page)

    def label_at(self, offset: int | None) -> str:
        """The label with the page of what stands at `offset`; None: with that of its beginning."""
        page = self.page if offset is None else self.page_at(offset)
        return label(self.title, self.headings, page, self.contenido)


@dataclass(frozen=True, slots=True)
class DocumentHits:
    """The best hits of one document, best first. Hits without a document are each a group of their own."""

    document_id: str | None
    title: str | None
    source: str | None
    hits: tuple[Hit, ...]

    @property
    def chunk_ids(self) -> tuple[str, ...]:
        return tuple(hit.chunk_id for hit in self.hits)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search gives back. `mode` is the one that was used; `warnings` say where it is not the one asked."""

    query: str
    mode: Mode
    hits: tuple[Hit, ...]
    dense_weight: float
    warnings: tuple[str, ...] = ()
    corrected: Mapping[str, str] = field(default_factory=dict)
    """Words that no passage of the company has -> its own words that were searched instead ("quisiste decir")."""
    plan: Mapping[str, Any] | None = None
    """How it was done, where asked for: legs, candidates, what the filter left."""
    spent: tuple[Spent, ...] = ()
    """What language models billed for it: those that reranked."""
    groups: tuple[DocumentHits, ...] = ()
    """Where grouped by document: the same hits, by document, in the order of each one's best."""
