"""What happens while an agent answers, in order: searching, passages, text and citations, then done or error."""

from dataclasses import dataclass
from typing import ClassVar

from ateneo.errors import AteneoError
from ateneo.types import Answer, Citation, Claim, Hit


@dataclass(frozen=True, slots=True)
class Searching:
    """A search begins: for the question as it stands alone, or for what the model asked to look up."""

    type: ClassVar[str] = "searching"
    query: str


@dataclass(frozen=True, slots=True)
class Passages:
    """What the model was given of what was found. Which of them a `[n]` cites is told by its Cited."""

    type: ClassVar[str] = "passages"
    passages: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer. All of them together are the answer's text."""

    type: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class CitationEvent:
    """A citation that was verified, for a `[n]` shown just before."""

    type: ClassVar[str] = "citation"
    citation: Citation


@dataclass(frozen=True, slots=True)
class ClaimsChecked:
    """Where claims are checked: all of the answer's, after its text, each with its verdict."""

    type: ClassVar[str] = "claims"
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The end: the whole answer."""

    type: ClassVar[str] = "done"
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The end, by an error; `answer` is what was said so far."""

    type: ClassVar[str] = "error"
    error: AteneoError
    answer: Answer


Event = Searching | Passages | TextDelta | CitationEvent | ClaimsChecked | Done | Failed
