"""The citations of one answer while it is written: each is checked against the database before it is shown."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from ateneo.services.agents.events import Cited, Said
from ateneo.store import passages as store
from ateneo.store.pool import Database
from ateneo.text.citations import cite, claim_at_end, locate
from ateneo.text.clean import clean
from ateneo.text.markers import Marker, MarkerStream
from ateneo.types import Citation, Hit

Shown = AsyncGenerator[Said | Cited]


class Citing:
    """Takes what the model says and gives what may be shown. `given[n - 1]` is the passage that `[n]` cites.

    A citation holds where the chunk is the company's, still exists, and has the quoted words in it now.
    """

    def __init__(self, db: Database, empresa_id: str) -> None:
        self.given: list[Hit] = []
        self.citations: list[Citation] = []
        self.removed = 0
        self.dropped = 0
        self._db = db
        self._empresa_id = empresa_id
        self._markers = MarkerStream()
        self._gap, self._gap_at = "", -1

    @property
    def text(self) -> str:
        """All that was shown."""
        return self._markers.shown

    async def say(self, text: str) -> Shown:
        """Shows the text, its markers checked."""
        for piece in self._markers.feed(clean(text), len(self.given)):
            if isinstance(piece, Marker):
                async for event in self._marker(piece):
                    yield event
            else:
                yield Said(piece)

    async def quote(self, chunk_id: str, quote: str) -> Shown:
        """Shows a citation of the model's own behind what it said last."""
        number = next((at for at, hit in enumerate(self.given, 1) if hit.chunk_id == chunk_id), None)
        citation = None
        if number is not None:
            citation = await self._verified(
                replace(cite(number, self.given[number - 1], ""), quote=clean(quote).strip())
            )
        if citation is None:
            self.dropped += 1
            return
        if not self.text.endswith(f"[{number}]"):
            space = "" if self.text.endswith((" ", "\n", "]")) else " "
            yield Said(self._markers.show(f"{space}[{number}]"))
        for event in self._new([citation]):
            yield event

    async def rest(self) -> Shown:
        """Shows what was held back, at the end of the answer or before a search."""
        for piece in self._markers.rest():
            yield Said(piece)

    async def _marker(self, marker: Marker) -> Shown:
        self.removed += marker.removed
        claim = claim_at_end(self.text)
        held: list[Citation] = []
        for number in marker.numbers:
            citation = await self._verified(cite(number, self.given[number - 1], claim))
            if citation is None:
                self.dropped += 1
            else:
                held.append(citation)
        # the space before a marker that was taken out is the next one's, where nothing stands between
        space = marker.space or (self._gap if self._gap_at == len(self.text) else "")
        self._gap, self._gap_at = space, len(self.text)
        if held:
            yield Said(self._markers.show(space + "".join(f"[{one.number}]" for one in held)))
        for event in self._new(held):
            yield event

    async def _verified(self, citation: Citation) -> Citation | None:
        now = await store.current(self._db, self._empresa_id, [citation.chunk_id])
        place = locate(citation.quote, now.get(citation.chunk_id, ""))
        return None if place is None else replace(citation, start=place[0], end=place[1])

    def _new(self, citations: Sequence[Citation]) -> list[Cited]:
        """Events for those that were not shown yet."""
        fresh = [one for one in citations if one not in self.citations]
        self.citations += fresh
        return [Cited(one) for one in fresh]
