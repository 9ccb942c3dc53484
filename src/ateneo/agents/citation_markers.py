"""The `[n]` of an answer that is still being written: held back until they are whole, shown once they are vouched for.

    markers = MarkerStream(last=12)
    for piece in markers.feed("Cobrás el doble [1"): ...   # "Cobrás el doble"
    for piece in markers.feed(", 14]."): ...               # Marker((1,), removed=1), then "."

What a marker says is decided by the caller, between two pieces: `markers.show(text)`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ateneo.agents.citations import MARKER, numbers_of

_HELD_CHARS = 80
_UNFINISHED = re.compile(r"(?:(?<![ \t])[ \t]++)?\[[\[\s0-9,;yand–-]{0," + str(_HELD_CHARS) + r"}$|(?<![ \t])[ \t]++$")
_FALSE = re.compile(r"(\[\s*[0-9]{1,3}\s*)\]")


@dataclass(frozen=True, slots=True)
class Marker:
    """`numbers` within what was given, in order; `removed`: how many were not; `space`: the white space before it."""

    numbers: tuple[int, ...]
    removed: int
    space: str


class MarkerStream:
    """Cuts a text that comes in pieces into plain text and markers. `shown` is all that was shown so far.

    Plain text never holds a `[n]`: where what is left after a marker was taken out would read as one, its bracket goes.
    """

    def __init__(self) -> None:
        self.shown = ""
        self._held = ""

    def feed(self, text: str, last: int) -> Iterator[str | Marker]:
        """What can be shown now that `text` has come; `last` is the highest number of a passage given so far."""
        self._held += text
        while found := MARKER.search(self._held):
            yield from self._plain(self._held[: found.start()])
            self._held = self._held[found.end() :]
            numbers, removed = numbers_of(found["items"], last)
            yield Marker(numbers, removed, found["space"])
        unfinished = _UNFINISHED.search(self._held)
        end = unfinished.start() if unfinished else len(self._held)
        safe, self._held = self._held[:end], self._held[end:]
        yield from self._plain(safe)

    def rest(self) -> Iterator[str]:
        """What is still held back at the end of the answer."""
        held, self._held = self._held.rstrip(), ""
        yield from self._plain(held)

    def show(self, text: str) -> str:
        """Adds what the caller puts in the place of a marker; returns it."""
        self.shown += text
        return text

    def _plain(self, text: str) -> Iterator[str]:
        if not text:
            return
        before = self.shown[-_HELD_CHARS:]
        # a marker that the caller put there ends with its bracket, and is not looked at again
        open_at = before.rfind("[")
        before = before[open_at:] if open_at > before.rfind("]") else ""
        text = _FALSE.sub(r"\1", before + text)[len(before) :]
        if text:
            self.shown += text
            yield text
