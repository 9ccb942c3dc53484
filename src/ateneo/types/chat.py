"""What a chat model and its caller exchange."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ateneo.types.agents import Turn
from ateneo.types.embedding import Generation
from ateneo.types.search import Hit
from ateneo.types.usage import Usage


@dataclass(frozen=True, slots=True)
class SearchRound:
    """A search that the model asked for while answering. `passages` are numbered from `first`; `text` holds them as a
    context does. `raw` is the model's own message that asked, for its provider to send back."""

    call_id: str
    query: str
    passages: Sequence[Hit]
    text: str
    first: int
    raw: Any = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What a chat model is asked. `history` is oldest first, without `message`.

    Passage number n, the one that `[n]` cites, is `passages[n - 1]`; unless the model takes passages as blocks of
    their own (`ChatModel.native_citations`) they stand in `system` already. The first `stable` characters of `system`
    are the same from question to question. `may_search` offers the search tool; `rounds` are the searches made so far.
    `model` is asked instead of the provider's own. `units`: by chunk_id what a model that cites by itself can cite of a
    passage, its sentences, which joined are its text. `generation`: the embedding model that found the passages,
    for who weighs sentences with it.
    """

    system: str
    message: str
    passages: Sequence[Hit]
    max_tokens: int
    history: Sequence[Turn] = ()
    stable: int = 0
    may_search: bool = False
    rounds: Sequence[SearchRound] = ()
    model: str | None = None
    units: Mapping[str, Sequence[str]] = field(default_factory=dict)
    generation: Generation | None = None


@dataclass(frozen=True, slots=True)
class TextPart:
    """What a chat model says next."""

    text: str


@dataclass(frozen=True, slots=True)
class QuotePart:
    """A citation of the model's own: what it said last rests on this text of that chunk. Not verified."""

    chunk_id: str
    quote: str


@dataclass(frozen=True, slots=True)
class SearchPart:
    """The model asks for a search; `raw` as in SearchRound."""

    call_id: str
    query: str
    raw: Any = None


@dataclass(frozen=True, slots=True)
class EndPart:
    """The last part: why the model stopped, in its own word, and what it billed."""

    stop_reason: str | None
    usage: Usage
    model: str


ChatPart = TextPart | QuotePart | SearchPart | EndPart
