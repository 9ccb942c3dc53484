"""The values that travel between packages. All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ateneo.text.same_text import SameText
from ateneo.text.source_label import label

Matrix = npt.NDArray[np.float32]
"""Vectors as rows, shape (n, dims), float32."""

Tenant: TypeAlias = str | UUID | int
"""The id of a company as the Python API takes it; everything below the services has it as text."""

Mode = Literal["hybrid", "dense", "lexical"]
Fusion = Literal["convex", "rrf"]
Kind = Literal["passage", "query"]
Scope = Literal["read", "write", "agents", "admin"]


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading and on one page, as the parser saw it. `headings` is the path from the
    title down; `page` counts from 1, None where the format has no pages."""

    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file."""

    title: str
    mime: str
    sections: tuple[Section, ...]
    pages: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: the unit that is embedded, searched and cited. `tokens` by the embedder's own tokeniser."""

    index: int
    contenido: str
    tokens: int
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """One embedding, as the guide's code expects it. `embedding` is a list of `dims` floats, unit length."""

    embedding: list[float]
    tokens: int
    model: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one request."""

    inputs: int
    tokens: int
    tokens_per_input: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The provider's answer to one request: unit vectors (n, dims) in the order asked, and the tokens billed."""

    vectors: Matrix
    tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One embedding model's vectors in this database (table `ateneo.vec_g<number>`).

    `legacy`: the guide's column holds its vectors. `active`: what search takes; `filling`: a switch to it is under way;
    `previous`: it was active and can be returned to. `asked_dims`: asked of the provider, None for the model's own.
    """

    number: int
    provider: str
    model: str
    dims: int
    legacy: bool
    active: bool
    state: Literal["filling", "active", "previous"] = "active"
    asked_dims: int | None = None

    @property
    def label(self) -> str:
        return f"{self.provider}/{self.model} ({self.dims})"


@dataclass(frozen=True, slots=True)
class Pending:
    """A chunk that waits for its embedding. `content_hash` is the sha256 of the text as UTF-8; `attempts` is how often
    it was claimed from the queue, this time included."""

    empresa_id: str
    chunk_id: str
    contenido: str
    content_hash: bytes
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that stands around a hit in its document."""

    chunk_id: str
    chunk_index: int
    contenido: str
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A chunk as it is stored. `metadata` is the document's, then the chunk's own over it."""

    chunk_id: str
    document_id: str | None
    chunk_index: int | None
    contenido: str
    title: str | None = None
    source: str | None = None
    page: int | None = None
    headings: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Where it comes from, for people."""
        return label(self.title, self.headings, self.page, self.contenido)


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
    highlights: tuple[tuple[int, int], ...] = ()
    """On request: where forms of those words stand, as spans [start, end) of `contenido` in code points."""
    before: tuple[Passage, ...] = ()
    after: tuple[Passage, ...] = ()
    section: tuple[Passage, ...] = ()
    """On request, in the document's order: its neighbours, and all passages under its heading, itself among them."""
    duplicates: int = 0
    """How many more passages were found that have exactly this text; `same_text` are the first ten of them."""
    same_text: tuple[SameText, ...] = ()

    @property
    def label(self) -> str:
        """Where it comes from, for people."""
        return label(self.title, self.headings, self.page, self.contenido)


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
    groups: tuple[DocumentHits, ...] = ()
    """Where grouped by document: the same hits, by document, in the order of each one's best."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who a file of a folder is: the name of its source, and its path below the source's folder, with `/`. Where the
    folder stands on this machine is kept to tell folders of one name apart."""

    source: str
    path: str
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document of one company; `source` is its name, `status` what an ingestion did: docs/how-to/documents.md.

    `same_name` and `same_bytes`, where it was created: the company's newest others with its name, or its bytes.
    """

    document_id: str
    empresa_id: str
    title: str
    source: str
    mime: str
    chunks: int
    bytes: int
    pages: int | None = None
    status: Literal["created", "replaced", "updated", "unchanged", "superseded", "stored"] = "stored"
    created_at: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    origin: str | None = None
    external_id: str | None = None
    same_name: tuple[str, ...] = ()
    same_bytes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer rests on; `quote` is text that occurs in the chunk.

    `number` is the n of the `[n]` that stands for it in the answer: from 1, in the order of appearance. `start` and
    `end` are where the quote stands in the chunk's text, [start, end) in code points; None until it was verified.
    """

    chunk_id: str
    label: str
    quote: str
    document_id: str | None = None
    page: int | None = None
    number: int = 1
    start: int | None = None
    end: int | None = None
    chunk_index: int | None = None


@dataclass(frozen=True, slots=True)
class TextBlock:
    """The shape of a text block in the Messages API, so that code written for the guide keeps working."""

    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a chat model billed. `input_tokens` leaves out those read from, or written to, its prompt cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )


AnswerState = Literal["complete", "unknown", "cut", "refused", "interrupted", "cancelled"]
"""complete; unknown: no passage to answer from; cut: the longest answer was reached; refused: by the model;
interrupted: the provider failed; cancelled: whoever asked has left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An agent's answer. `extractive`: made of quoted sentences, without a language model.

    Every `[n]` of `text` has its citations, each verified when it was shown; its passage is `passages[n - 1]`, and
    those that are not cited come after. `context` is what the model was given, with the numbers that it knew them by.
    `stop_reason` is the model's own word
    (`end_turn`, `max_tokens`, `refusal` ...), or `no_passages` where nothing was found and no model was asked.
    `markers_removed` counts the `[n]` that pointed to no passage given, `citations_dropped` those that did and could
    not be verified: neither is in the text. `queries` are the searches made; `cost` is US dollars, None where the
    model's price is unknown; times are milliseconds. `error` is the code of what interrupted it.
    """

    text: str
    citations: tuple[Citation, ...]
    provider: str
    model: str
    extractive: bool
    input_tokens: int = 0
    output_tokens: int = 0
    stop_reason: str | None = None
    context: str = ""
    markers_removed: int = 0
    citations_dropped: int = 0
    state: AnswerState = "complete"
    queries: tuple[str, ...] = ()
    passages: tuple[Hit, ...] = ()
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost: float | None = None
    latency_ms: int = 0
    first_text_ms: int | None = None
    error: str | None = None
    conversation_id: str | None = None
    position: int | None = None

    @property
    def content(self) -> list[TextBlock]:
        """As in the guide's `response.content[0].text`."""
        return [TextBlock(self.text)]


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of a conversation, as in the Messages API."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Agent:
    """How one agent of a company answers. None leaves a choice to the settings.

    `language` (es, en, pt ...) is that of its answers, None: the question's. `k` passages are looked at, those that
    fit `context_tokens` are given to the model; `filter` narrows the documents, as in search. `tools`: `search` lets
    the model search again.
    """

    agent_id: str
    name: str = ""
    instructions: str = ""
    model: str | None = None
    language: str | None = None
    k: int = 20
    dense_weight: float | None = None
    filter: Mapping[str, Any] | None = None
    context_tokens: int = 4000
    answer_tokens: int | None = None
    tools: tuple[str, ...] = ("search",)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is stored: never the key itself. Times are ISO 8601, `last_used_at` to the minute."""

    key_id: str
    empresa_id: str
    prefix: str
    name: str
    created_at: str
    revoked: bool
    last_used_at: str | None = None
    scopes: tuple[Scope, ...] = ("read", "write", "agents")
    expires_at: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a company's key or a person of its login. `actor` is what the audit log calls it."""

    empresa_id: str
    actor: str
    scopes: frozenset[str]
