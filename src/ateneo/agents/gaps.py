"""What people asked and nobody could answer: what is missing from a company's documents."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from ateneo.db import query_log
from ateneo.db.pool import Database
from ateneo.db.query_log import Asked
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.i18n import tr
from ateneo.search.highlight import fold
from ateneo.tenant_id import tenant_id
from ateneo.types import Tenant

WEAK = 0.05
"""A search whose best passage is less relevant than this was not answered: somewhat less than what makes an extractive
agent silent, since a list with many wrong entries is not read. On examples/, with the bundled model: 12 % of the
questions that the company's documents answer, 33 % of those about another company's, 15 % of those close to what the
documents say and not in them."""
MOST_DAYS, MOST_GAPS = 3650, 1000

Reason = Literal["unknown", "nothing_found", "weak_match", "disliked"]
"""Why a question counts as unanswered: an agent said that it does not know; a search found nothing; no passage that it
found is likely to answer; somebody rated the answer as bad."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that nobody could answer, as it was asked last, and `also` as it was asked before."""

    question: str
    times: int
    last_asked: str
    reasons: tuple[Reason, ...]
    also: tuple[str, ...] = ()
    conversation_id: str | None = None
    """The last conversation that it was asked in."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """The most frequent first. `warnings` say what could not be counted."""

    gaps: tuple[Gap, ...]
    warnings: tuple[str, ...] = ()


async def gaps(
    db: Database,
    empresa_id: Tenant,
    *,
    keep_queries: int,
    days: int = 90,
    limit: int = 50,
    below: float = WEAK,
    embedding: EmbeddingService | None = None,
    near: float | None = None,
) -> Gaps:
    """Questions of the last `days` whose last answer was none, equal ones (but for case, accents and marks) as one.

    `below`: the relevance under which a search's best passage does not answer it. `near`: questions whose vectors of
    `embedding` have this cosine are one, too. `keep_queries`: the setting, 0 where searches are not kept.

    Raises BadArgument, ProviderError, DatabaseError.
    """
    empresa_id = tenant_id(empresa_id)
    _between("days", days, 1, MOST_DAYS)
    _between("limit", limit, 1, MOST_GAPS)
    found = list(unanswered(await query_log.asked(db, empresa_id, days), below))
    if near is not None and embedding is not None and found:
        vectors = (await embedding.embed_matrix([one.question for one in found], kind="query")).vectors
        found = _joined(found, lambda a, b: float(vectors[a] @ vectors[b]) >= near)
    ranked = sorted(found, key=lambda one: (one.times, one.last_asked), reverse=True)
    return Gaps(tuple(ranked[:limit]), () if keep_queries else (_not_kept(),))


def unanswered(asked: Iterable[Asked], below: float) -> Iterable[Gap]:
    """What was `asked`, the last first. A question that was answered since is no gap."""
    groups: dict[tuple[str, ...], list[tuple[Asked, Reason]]] = defaultdict(list)
    answered = set()
    for one in asked:
        key = same_question(one.text)
        reason = _reason(one, below)
        if reason == "answered":
            answered |= {key} - groups.keys()
        elif key and reason is not None and key not in answered:
            groups[key].append((one, reason))
    return map(_gap, groups.values())


def same_question(text: str) -> tuple[str, ...]:
    """Equal for questions that differ in case, accents and marks alone; empty where there is no word."""
    return tuple(_WORD.findall(fold(text)))


def _reason(one: Asked, below: float) -> Reason | Literal["answered"] | None:
    """None: what came of it does not tell."""
    if one.rating is not None:
        return "answered" if one.rating > 0 else "disliked"
    if one.state is not None:
        return "unknown" if one.state == "unknown" else "answered" if one.cited else None
    if one.found == 0:
        return "nothing_found"
    return None if one.best is None else "weak_match" if one.best < below else "answered"


def _gap(group: Sequence[tuple[Asked, Reason]]) -> Gap:
    texts = list(dict.fromkeys(one.text for one, _ in group))
    reasons = {reason for _, reason in group}
    return Gap(
        texts[0],
        sum(one.times for one, _ in group),
        _utc(group[0][0].at),
        tuple(one for one in get_args(Reason) if one in reasons),
        tuple(texts[1:]),
        next((one.conversation_id for one, _ in group if one.conversation_id), None),
    )


def _joined(found: Sequence[Gap], near: Callable[[int, int], bool]) -> list[Gap]:
    """Each with the first, of those asked more often, that it is near to."""
    leaders: dict[int, Gap] = {}
    for at in sorted(range(len(found)), key=lambda at: -found[at].times):
        leader = next((one for one in leaders if near(one, at)), None)
        leaders[at if leader is None else leader] = found[at] if leader is None else _both(leaders[leader], found[at])
    return list(leaders.values())


def _both(one: Gap, other: Gap) -> Gap:
    reasons = {*one.reasons, *other.reasons}
    return replace(
        one,
        times=one.times + other.times,
        last_asked=max(one.last_asked, other.last_asked),
        reasons=tuple(reason for reason in get_args(Reason) if reason in reasons),
        also=(*one.also, other.question, *other.also),
        conversation_id=one.conversation_id or other.conversation_id,
    )


def _utc(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _between(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadArgument(name=name, value=value, rule=tr(f"va de {least} a {most}", f"it goes from {least} to {most}"))


def _not_kept() -> str:
    return tr(
        "Las búsquedas no se guardan: solo se cuentan las conversaciones. Con ATENEO_KEEP_QUERIES=90 la API las guarda"
        " noventa días.",
        "Searches are not kept: conversations alone are counted. With ATENEO_KEEP_QUERIES=90 the API keeps them for"
        " ninety days.",
    )
