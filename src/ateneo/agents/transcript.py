"""Stored conversations as they may be shown: each citation is checked again, since documents change."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ateneo.agents.citations import MARKER, locate, numbers_of
from ateneo.db import conversations, passages
from ateneo.db.conversations import StoredTurn
from ateneo.db.pool import Database
from ateneo.tenant_id import tenant_id
from ateneo.types import Citation, Tenant


async def transcript(db: Database, empresa_id: Tenant, conversation_id: str) -> list[StoredTurn]:
    """The turns, with the citations that still hold, where they stand now, numbered from 1. What does not hold any more
    is taken out of the text, too, and counted in `citations_dropped`. The verdicts on claims are those of then.

    Raises Unknown, DatabaseError."""
    empresa_id = tenant_id(empresa_id)
    await conversations.get(db, empresa_id, conversation_id)
    turns = await conversations.turns(db, empresa_id, conversation_id)
    cited = {one.chunk_id for turn in turns for one in turn.citations}
    texts = await passages.current(db, empresa_id, sorted(cited)) if cited else {}
    return [_checked(turn, texts) for turn in turns]


def _checked(turn: StoredTurn, texts: dict[str, str]) -> StoredTurn:
    held = list(_still_valid(turn.citations, texts))
    kept = {one.number for one in held}
    last = max((one.number for one in turn.citations), default=0)
    now: dict[int, int] = {}

    def left(found: re.Match[str]) -> str:
        numbers = [n for n in numbers_of(found["items"], last)[0] if n in kept]
        return (found["space"] if numbers else "") + "".join(f"[{now.setdefault(n, len(now) + 1)}]" for n in numbers)

    answer = MARKER.sub(left, turn.answer)
    citations = tuple(replace(one, number=now[one.number]) for one in held if one.number in now)
    return replace(
        turn,
        answer=answer,
        citations=citations,
        claims=tuple(
            replace(one, numbers=tuple(now[n] for n in one.numbers if n in now))
            for one in turn.claims
            if not now.keys().isdisjoint(one.numbers)
        ),
        citations_dropped=turn.citations_dropped + len(turn.citations) - len(held),
        passages=tuple(dict.fromkeys([*(one.chunk_id for one in citations), *turn.passages])),
    )


def _still_valid(citations: Sequence[Citation], texts: dict[str, str]) -> Iterator[Citation]:
    for one in citations:
        place = locate(one.quote, texts.get(one.chunk_id, ""))
        if place is not None:
            yield replace(one, start=place[0], end=place[1])
