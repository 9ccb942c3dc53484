"""How to search: every option that an interface offers, checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, get_args

from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.search.filters import narrowed
from ateneo.search.passages import MOST_NEIGHBOURS
from ateneo.types import Agent, Fusion, Mode

MOST_HITS = 200
"""How many passages one search gives back at most."""
MOST_SKIPPED = 1000


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """The k best passages (1 <= k <= 200) after the first `skip` (<= 1000), found by `mode`.

    `dense_weight`: the share of meaning in hybrid search, 0 to 1; None: the model's own. `fusion`: how meaning and
    words are put together.

    `filter` restricts to passages whose document or chunk metadata fit: `{"tipo": "manual", "pais": ["AR", "MX"],
    "fecha": {"gte": "2024-01-01"}}`; also document_id, source, title, mime, page, chunk_index, created_at; see
    search/filters.py. `language` (es, en, pt ... unknown; as ingestion found it) is short for `{"language": "es"}`.

    `neighbours` (<= 10): that many chunks before and after each hit in its document; `section`: all under its heading
    (20 to each side at most). `group_by_document`: k and skip count documents, of the best 200 passages, up to 3 of
    each. `min_score`: hits that answer less probably than this, 0 to 1, are left out; what it means does not depend on
    the question, the company or the model. `highlight`: where the matched words stand in each hit. `rerank`: None
    reranks where a reranker is configured, True insists on it; `rewrite`: the
    same for a chat model's other wording of the question, which is searched beside it. `explain`: the result has the
    `plan`.

    Raises BadArgument, which names the option and its rule.
    """

    k: int = 10
    mode: Mode = "hybrid"
    dense_weight: float | None = None
    filter: Mapping[str, Any] | None = None
    language: str | None = None
    fusion: Fusion = "convex"
    skip: int = 0
    explain: bool = False
    neighbours: int = 0
    section: bool = False
    group_by_document: bool = False
    min_score: float | None = None
    highlight: bool = False
    rerank: bool | None = None
    rewrite: bool | None = None
    conditions: Mapping[str, Any] | None = field(init=False, repr=False, compare=False)
    """`filter` and `language` as one filter, None where there is no condition."""

    @classmethod
    def for_agent(cls, agent: Agent) -> "SearchOptions":
        return cls(agent.k, dense_weight=agent.dense_weight, filter=agent.filter)

    @property
    def whole(self) -> bool:
        """Whether the first results among all of the company's passages are asked for."""
        return self.conditions is None and not self.skip

    def __post_init__(self) -> None:
        _between("k", self.k, 1, MOST_HITS)
        _between("skip", self.skip, 0, MOST_SKIPPED)
        _between("neighbours", self.neighbours, 0, MOST_NEIGHBOURS)
        _one_of("mode", self.mode, get_args(Mode))
        if self.dense_weight is not None:
            _between("dense_weight", self.dense_weight, 0, 1)
        if self.min_score is not None:
            _between("min_score", self.min_score, 0, 1)
        _one_of("fusion", self.fusion, get_args(Fusion))
        object.__setattr__(self, "conditions", narrowed(self.filter, "language", self.language))


class NamedOptions(TypedDict, total=False):
    """The options but k, for functions that take them by their names."""

    mode: Mode
    dense_weight: float | None
    filter: Mapping[str, Any] | None
    language: str | None
    fusion: Fusion
    skip: int
    explain: bool
    neighbours: int
    section: bool
    group_by_document: bool
    min_score: float | None
    highlight: bool
    rerank: bool | None
    rewrite: bool | None


def _between(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        rule = tr(f"va de {least} a {most}", f"it goes from {least} to {most}")
        raise BadArgument(name=name, value=value, rule=rule)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadArgument(name=name, value=value, rule=", ".join(allowed))
