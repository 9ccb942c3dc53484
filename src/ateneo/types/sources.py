"""A table of the product's as a source of texts (docs/adr/0047-tables-as-sources.md)."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

Follow = Literal["triggers", "poll"]

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
PARENT = "parent."
"""Before the name of a column of the parent's row."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The table that has the row that each row belongs to. `key`: column here -> column there."""

    relation: str
    key: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """What is what in a table, by the names of its columns. Of JSON: `metadata->>tag`, and as metadata `metadata->*`
    for all keys but those that begin with an underscore. Of the row in `parent`: `parent.title`. Neither in `key`,
    `cursor` and `vector`.

    `tenant`: whose a row is, or `empresa_id`: all rows are this company's. The columns of `text` are joined with a
    blank line. `document`: rows of one value are one document, in the order of `position`; without it each row is one.
    `metadata`: what searches filter by. `condition`: SQL that a row must meet to be found. `url`: a template,
    `https://app/kb/{id}`. `cursor`: what grows with every change, for polling. `vector`: embeddings of the text, made
    by `model` (`openai/text-embedding-3-small`), which are taken over. `html`: the text is HTML, and read as such.
    """

    key: tuple[str, ...]
    text: tuple[str, ...]
    tenant: str | None = None
    empresa_id: str | None = None
    title: str | None = None
    document: str | None = None
    position: str | None = None
    metadata: tuple[str, ...] = ()
    condition: str | None = None
    url: str | None = None
    cursor: str | None = None
    vector: str | None = None
    model: str | None = None
    parent: Parent | None = None
    html: bool = False

    @property
    def url_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.url or "")))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that it names, the condition's aside."""
        single = (self.tenant, self.title, self.document, self.position, self.cursor, self.vector)
        return (*self.key, *self.text, *self.metadata, *self.url_columns, *(one for one in single if one))

    def filled_url(self, values: Mapping[str, str | None], quote: Any) -> str | None:
        """The template with a row's values; None where there is none, or one of them is null."""
        if self.url is None or any(values.get(name) is None for name in self.url_columns):
            return None
        return _PLACEHOLDER.sub(lambda found: quote(values[found[1]]), self.url)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"url_columns": self.url_columns}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        known = {one.name for one in fields(cls)}
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in stored.items() if n in known}
        if values.get("parent") is not None:
            values["parent"] = Parent(**values["parent"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `kind`: its type as PostgreSQL writes it; `category`: the type's, B boolean, S text ..."""

    name: str
    kind: str
    category: str
    length: int | None = None


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What the catalog says of a table or view. `relation`: with its schema, quoted; `key`: the columns of its primary
    key, or of another unique one without nulls; `readable`: all of its rows, whatever its policies say."""

    relation: str
    name: str
    is_view: bool
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    readable: bool


@dataclass(frozen=True, slots=True)
class SourceDraft:
    """A source as it would be added. `unused_vector`: a column of vectors that no model is named for. `node`: the field
    that has the node of LlamaIndex whose vector it is, which is of the text with its metadata before it."""

    name: str
    relation: str
    follow: Follow
    mapping: SourceMapping
    unused_vector: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class VectorCount:
    """How many rows have a vector of so many dimensions, and the characters of their texts."""

    dims: int
    rows: int
    characters: int


@dataclass(frozen=True, slots=True)
class TextWithVector:
    """A row's text and its vector. `metadata`: what `SourceDraft.node` names, where it names anything."""

    body: str
    vector: tuple[float, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """What a source would bring. `rows` meet the condition, `hidden` do not; `without_company` are left out;
    `repeated` is a key that several rows have; `sample`: some texts, to estimate by. `vectors`: those that rows have,
    of each length; `dims`: the model's length."""

    rows: int = 0
    hidden: int = 0
    without_company: int = 0
    companies: int = 0
    characters: int = 0
    repeated: tuple[str, ...] | None = None
    sample: tuple[str, ...] = ()
    vectors: tuple[VectorCount, ...] = ()
    dims: int | None = None

    @property
    def usable(self) -> VectorCount:
        """The vectors of as many dimensions as the model's."""
        return next((one for one in self.vectors if one.dims == self.dims), VectorCount(self.dims or 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it stands. `rows`: stored; `pending`: changes that wait for the worker; `error`: why it waits."""

    source_id: int
    name: str
    relation: str
    follow: Follow
    mapping: SourceMapping
    rows: int = 0
    pending: int = 0
    polled_at: str | None = None
    checked_at: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFault:
    """What stands in the way of a source: an error of the worker's, a table that is gone, triggers that are missing."""

    name: str
    error: str | None
    gone: bool
    triggers: int


@dataclass(frozen=True, slots=True)
class OwnSource:
    """A source that a company has rows of; its name is what a filter by `source` takes."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What a check found. `differences`: rows that were stored otherwise than they are; `triggers`: those that were not
    there; `without_company`: keys of rows that belong to nobody, the first ones, of so many."""

    differences: int = 0
    triggers: int = 0
    without_company: int = 0
    keys: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """What a stretch of work did: changes taken, rows stored (so many of them with the vector that they brought) and
    removed, rows that could not be read."""

    changes: int = 0
    stored: int = 0
    removed: int = 0
    failed: int = 0
    companies: frozenset[str] = field(default_factory=frozenset)
    vectors: int = 0

    def __add__(self, other: "SourceProgress") -> "SourceProgress":
        return SourceProgress(
            self.changes + other.changes,
            self.stored + other.stored,
            self.removed + other.removed,
            self.failed + other.failed,
            self.companies | other.companies,
            self.vectors + other.vectors,
        )
