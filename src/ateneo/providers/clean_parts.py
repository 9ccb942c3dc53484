"""What chat models answer, as text and figures that can be stored, searched and sent back.

Their JSON may hold NUL and half characters, whose halves may come in two pieces, and the SDKs do not validate it.
"""

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from ateneo.text.clean import clean
from ateneo.types import ChatPart, EndPart, QuotePart, SearchPart, TextPart, Usage

_MOST = 10**8
"""Tokens of a request: an answer of several is stored as an int4."""
_LONGEST_NAME = 200
"""Of a call, a model, or a reason to stop."""


async def cleaned(parts: AsyncGenerator[ChatPart]) -> AsyncGenerator[ChatPart]:
    """The parts, each of them text and figures that can be stored."""
    held = ""
    async with aclosing(parts):
        async for part in parts:
            if isinstance(part, TextPart):
                text = held + part.text
                held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
                if shown := _whole(text.removesuffix(held)):
                    yield TextPart(shown)
                continue
            if held:
                yield TextPart(_whole(held))
                held = ""
            yield _cleaned(part)


def storable(value: Any) -> Any:
    """The same JSON, its texts cleaned."""
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, dict):
        return {_whole(name): storable(one) for name, one in value.items()}
    return [storable(one) for one in value] if isinstance(value, list) else value


def _cleaned(part: QuotePart | SearchPart | EndPart) -> ChatPart:
    if isinstance(part, QuotePart):
        return QuotePart(_whole(part.chunk_id), _whole(part.quote))
    if isinstance(part, SearchPart):
        return SearchPart(_whole(part.call_id), _whole(part.query), storable(part.raw))
    reason = None if part.stop_reason is None else _whole(part.stop_reason)[:_LONGEST_NAME]
    return EndPart(reason, _counted(part.usage), _whole(part.model)[:_LONGEST_NAME])


def _whole(text: object) -> str:
    """The halves of a character that stand side by side are that character; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    joined = text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return clean(joined)


def _counted(usage: Usage) -> Usage:
    """What was billed, which is no less than nothing."""
    figures = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
    return Usage(*map(_figure, figures))


def _figure(figure: object) -> int:
    if not isinstance(figure, int | float) or not math.isfinite(figure):
        return 0
    return min(max(int(figure), 0), _MOST)
