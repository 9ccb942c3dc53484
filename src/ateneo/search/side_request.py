"""A request to a chat model on the way to something else: a question put otherwise, an order, a check.

What it cost is noted for whoever meters it, also where its text was of no use.
"""

from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ateneo.ports import ChatModel
from ateneo.types import ChatRequest, EndPart, Spent, TextPart, Usage

_meter: ContextVar[list[Spent] | None] = ContextVar("meter", default=None)


@dataclass(frozen=True, slots=True)
class Reply:
    """`whole`: the model came to its end by itself."""

    text: str
    usage: Usage
    whole: bool


@contextmanager
def metered() -> Iterator[list[Spent]]:
    """What the requests made inside cost, those of tasks begun there included."""
    spent: list[Spent] = []
    token = _meter.set(spent)
    try:
        yield spent
    finally:
        _meter.reset(token)


async def ask(chat: ChatModel, request: ChatRequest) -> Reply:
    """All that the model says. Raises ProviderError."""
    text, usage, whole = "", Usage(), False
    async with aclosing(chat.stream(request)) as parts:
        async for part in parts:
            if isinstance(part, TextPart):
                text += part.text
            elif isinstance(part, EndPart):
                usage, whole = part.usage, part.stop_reason in ("end_turn", "stop")
                _note(Spent(chat.provider, part.model, usage, chat.cost(usage, part.model)))
    return Reply(text.strip(), usage, whole)


def one_line(text: str, most: int) -> str:
    """The text on one line without tags, cut to `most` characters: inside of tags it stays inside."""
    line = " ".join(text.replace("<", "‹").split())
    return line if len(line) <= most else line[:most] + "…"


def _note(spent: Spent) -> None:
    meter = _meter.get()
    if meter is not None:
        meter.append(spent)
