"""The citations of one answer while it is written: each is checked against the database before it is shown."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from ateneo.agents.citation_markers import Marker, MarkerStream
from ateneo.agents.citations import cite, claim_at_end, locate
from ateneo.agents.events import CitationEvent, TextDelta
from ateneo.db import passages as store
from ateneo.db.pool import Database
from ateneo.text.clean import clean
from ateneo.types import Citation, Hit

AnswerEvents = AsyncGenerator[TextDelta | CitationEvent]


class CitationWriter:
    """Takes what the model says and gives what may be shown. `given[n - 1]` is the passage that the model's `[n]`
    cites; what is shown is numbered from 1, in the order in which passages are first cited.

    A citation holds where the chunk is the company's, still exists, and has the quoted words in it now.
    """

    def __init__(self, db: Database, empresa_id: str) -> None:
        self.given: list[Hit] = []
        self.verified: list[Citation] = []
        self.removed = 0
        self.dropped = 0
        self._db = db
        self._empresa_id = empresa_id
        self._markers = MarkerStream()
        self._gap, self._gap_at = "", -1
        self._numbers: dict[int, int] = {}

    @property
    def passages(self) -> tuple[Hit, ...]:
        """Those given: the cited ones in the order of the numbers shown, then the others."""
        others = (place for place in range(1, len(self.given) + 1) if place not in self._numbers)
        return tuple(self.given[place - 1] for place in (*self._numbers, *others))

    @property
    def text(self) -> str:
        """All that was shown."""
        return self._markers.shown

    async def write(self, text: str) -> AnswerEvents:
        """Shows the text, its markers checked."""
        for piece in self._markers.feed(clean(text), len(self.given)):
            if isinstance(piece, Marker):
                async for event in self._marker(piece):
                    yield event
            else:
                yield TextDelta(piece)

    async def quote(self, chunk_id: str, quote: str) -> AnswerEvents:
        """Shows a citation of the model's own behind what it said last."""
        place = next((at for at, hit in enumerate(self.given, 1) if hit.chunk_id == chunk_id), None)
        citation = None if place is None else await self._verified(place, quote=clean(quote).strip())
        if citation is None:
            self.dropped += 1
            return
        if not self.text.endswith(f"[{citation.number}]"):
            space = "" if self.text.endswith((" ", "\n", "]")) else " "
            yield TextDelta(self._markers.show(f"{space}[{citation.number}]"))
        for event in self._new([citation]):
            yield event

    async def rest(self) -> AnswerEvents:
        """Shows what was held back, at the end of the answer or before a search."""
        for piece in self._markers.rest():
            yield TextDelta(piece)

    async def _marker(self, marker: Marker) -> AnswerEvents:
        self.removed += marker.removed
        claim = claim_at_end(self.text)
        held: list[Citation] = []
        for place in marker.numbers:
            citation = await self._verified(place, claim)
            if citation is None:
                self.dropped += 1
            else:
                held.append(citation)
        # the space before a marker that was taken out is the next one's, where nothing stands between
        space = marker.space or (self._gap if self._gap_at == len(self.text) else "")
        self._gap, self._gap_at = space, len(self.text)
        if held:
            yield TextDelta(self._markers.show(space + "".join(f"[{one.number}]" for one in held)))
        for event in self._new(held):
            yield event

    async def _verified(self, place: int, claim: str = "", *, quote: str | None = None) -> Citation | None:
        """The citation of a passage given, with its number; None where it does not hold."""
        cited = cite(place, self.given[place - 1], claim)
        cited = cited if quote is None else replace(cited, quote=quote)
        now = await store.current(self._db, self._empresa_id, [cited.chunk_id])
        found = locate(cited.quote, now.get(cited.chunk_id, ""))
        if found is None:
            return None
        number = self._numbers.setdefault(place, len(self._numbers) + 1)
        return replace(cited, number=number, start=found[0], end=found[1])

    def _new(self, citations: Sequence[Citation]) -> list[CitationEvent]:
        """Events for those that were not shown yet."""
        fresh = [one for one in citations if one not in self.verified]
        self.verified += fresh
        return [CitationEvent(one) for one in fresh]
