"""A chat model's stream, gathered."""

from contextlib import aclosing
from dataclasses import dataclass, field

from ateneo.ports import ChatModel
from ateneo.types import ChatRequest, EndPart, QuotePart, SearchPart, TextPart, Usage


@dataclass
class Collected:
    """`pieces` are the texts as they came."""

    pieces: list[str] = field(default_factory=list)
    quotes: list[QuotePart] = field(default_factory=list)
    call: SearchPart | None = None
    stop_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    model: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


async def collected(model: ChatModel, request: ChatRequest) -> Collected:
    found = Collected()
    async with aclosing(model.stream(request)) as parts:
        async for part in parts:
            match part:
                case TextPart(text):
                    found.pieces.append(text)
                case QuotePart():
                    found.quotes.append(part)
                case SearchPart():
                    found.call = part
                case EndPart(stop_reason, usage, name):
                    found.stop_reason, found.usage, found.model = stop_reason, usage, name
    return found
