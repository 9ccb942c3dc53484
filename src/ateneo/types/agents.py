"""Agents and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ateneo.types.search import Hit


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


Support = Literal["supported", "unsupported", "not_checked"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer that cites passages, without its markers. `numbers` are those of its `[n]`; `support`:
    whether a chat model found that these passages say it. `not_checked` where it was not asked, or gave no verdict."""

    text: str
    numbers: tuple[int, ...]
    support: Support = "not_checked"


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
    `claims` are the sentences that cite, each with whether its passages support it; () where that is not checked
    (`ATENEO_VERIFY_CLAIMS`).
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
    claims: tuple[Claim, ...] = ()

    @property
    def unsupported(self) -> tuple[Claim, ...]:
        """The claims that their passages do not support."""
        return tuple(one for one in self.claims if one.support == "unsupported")

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
