"""One answer in the making: what to search, what was found, what the model says of it, and how it ended."""

import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ateneo.agents.citation_check import CitationWriter
from ateneo.agents.claims import ClaimCheck, claims_of
from ateneo.agents.events import CitationEvent, ClaimsChecked, Done, Event, Failed, Passages, Searching, TextDelta
from ateneo.agents.extractive import do_not_know
from ateneo.agents.followup import standalone
from ateneo.agents.prompt import repository, stable_prompt
from ateneo.errors import AteneoError
from ateneo.i18n import tr
from ateneo.ports import ChatModel, TokenCounter
from ateneo.search.context import Context, build_context
from ateneo.search.options import SearchOptions
from ateneo.search.service import VectorSearchService
from ateneo.text.clean import clean
from ateneo.text.sentences import sentence_units
from ateneo.types import (
    Agent,
    Answer,
    AnswerState,
    ChatRequest,
    Claim,
    EndPart,
    Hit,
    QuotePart,
    SearchPart,
    SearchRound,
    Spent,
    TextPart,
    Turn,
    Usage,
)
from ateneo.unexpected import as_ours, log_unexpected

MOST_SEARCHES = 2
"""Searches that a model may ask for while it answers, each within half of the agent's context."""

_STOPS: dict[str | None, AnswerState] = {
    "max_tokens": "cut",
    "length": "cut",
    "model_context_window_exceeded": "cut",
    "refusal": "refused",
    "content_filter": "refused",
}
_UNKNOWING = re.compile(r"\W*(no lo s[eé]|no s[eé]|i do not know|i don['’]t know|não sei)\b", re.IGNORECASE)


@dataclass(slots=True)
class Answering:
    """Runs once; `answer` tells at any moment what was said so far. `max_tokens` is the longest answer, `verify_s` the
    seconds that checking its claims may take, None: they are not checked."""

    search: VectorSearchService
    chat: ChatModel
    agent: Agent
    empresa_id: str
    message: str
    history: Sequence[Turn]
    max_tokens: int
    verify_s: float | None = None
    writer: CitationWriter = field(init=False)
    queries: list[str] = field(default_factory=list)
    rounds: list[SearchRound] = field(default_factory=list)
    context: str = ""
    usage: Usage = field(default_factory=Usage)
    spent: list[Spent] = field(default_factory=list)
    model: str = ""
    stop_reason: str | None = None
    state: AnswerState = "cancelled"
    error: str | None = None
    claims: tuple[Claim, ...] = ()
    _started: float = field(default_factory=time.perf_counter)
    _first_text_ms: int | None = None

    def __post_init__(self) -> None:
        self.writer = CitationWriter(self.search.db, self.empresa_id)
        self.model = self.agent.model or self.chat.model

    async def events(self) -> AsyncGenerator[Event]:
        """Everything that happens; the last event is Done or Failed."""
        try:
            async with aclosing(self._steps()) as events:
                async for event in events:
                    if isinstance(event, TextDelta) and self._first_text_ms is None:
                        self._first_text_ms = self._ms()
                    yield event
        except Exception as error:  # noqa: BLE001 - the outermost edge of an answer: whoever reads it is told of its end
            where = tr("la respuesta", "the answer")
            log_unexpected(error, where)
            yield self._failed(as_ours(error, where))
        else:
            yield Done(self.answer())

    def _failed(self, error: AteneoError) -> Failed:
        self.state, self.error = "interrupted", error.code
        return Failed(error, self.answer())

    def answer(self) -> Answer:
        usage = sum((one.usage for one in self.spent), self.usage)
        costs = [self.chat.cost(self.usage, self.model), *(one.cost for one in self.spent)]
        known = [one for one in costs if one is not None]
        return Answer(
            text=self.writer.text.strip(),
            citations=tuple(self.writer.verified),
            provider=self.chat.provider,
            model=self.model,
            extractive=not self.chat.writes and self.stop_reason != "no_passages",
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cost=sum(known) if len(known) == len(costs) else None,
            stop_reason=self.stop_reason,
            state=self.state,
            context=self.context,
            markers_removed=self.writer.removed,
            citations_dropped=self.writer.dropped,
            queries=tuple(self.queries),
            passages=self.writer.passages,
            latency_ms=self._ms(),
            first_text_ms=self._first_text_ms,
            error=self.error,
            claims=self.claims,
        )

    async def _steps(self) -> AsyncGenerator[Event]:
        query, spent = await standalone(
            self.chat,
            self.history,
            self.message,
            model=self.agent.model,
            most_chars=self.search.max_query_chars,
        )
        self.usage += spent
        yield self._searching(query)
        found = await self._fresh_context(query, self.agent.context_tokens)
        self.context = found.text
        self.writer.given += found.hits
        yield Passages(found.hits)
        if not found.hits:
            self.state, self.stop_reason = "unknown", "no_passages"
            async for shown in self.writer.write(do_not_know()):
                yield shown
            return
        async with aclosing(self._model_output()) as events:
            async for event in events:
                yield event
        async for shown in self._conclusion():
            yield shown
        if self.verify_s is not None and self.chat.writes:
            async for checked in self._checked(self.verify_s):
                yield checked

    async def _checked(self, timeout_s: float) -> AsyncGenerator[ClaimsChecked]:
        """The claims with their verdicts. Until these are there, and if nobody waits for them, none is checked."""
        self.claims = claims_of(self.writer.text, len(self.writer.passages))
        if not self.claims:
            return
        check = ClaimCheck(self.chat, self.agent.model, self._counter, timeout_s)
        self.claims, spent = await check.verdicts(self.queries[0], self.writer.text, self.writer.passages)
        self.usage += spent
        yield ClaimsChecked(self.claims)

    async def _model_output(self) -> AsyncGenerator[Event]:
        """What the model says, with the searches that it asks for."""
        while True:
            call = None
            async with aclosing(self.chat.stream(await self._request())) as parts:
                async for part in parts:
                    if isinstance(part, TextPart):
                        async for shown in self.writer.write(part.text):
                            yield shown
                    elif isinstance(part, QuotePart):
                        async for shown in self.writer.quote(part.chunk_id, part.quote):
                            yield shown
                    elif isinstance(part, SearchPart):
                        call = part
                    else:
                        self._count(part)
            if call is None or not self._may_search():
                return
            async for shown in self.writer.rest():
                yield shown
            async for event in self._search_again(call):
                yield event

    async def _search_again(self, call: SearchPart) -> AsyncGenerator[Event]:
        query = clean(call.query).strip()[: self.search.max_query_chars]
        found = Context("", (), 0)
        first = len(self.writer.given) + 1
        if query:
            yield self._searching(query)
            found = await self._fresh_context(query, max(1, self.agent.context_tokens // 2))
            yield Passages(found.hits)
        self.writer.given += found.hits
        self.rounds.append(SearchRound(call.call_id, query, found.hits, found.text, first, call.raw))
        if self.writer.text:
            async for shown in self.writer.write("\n\n"):
                yield shown

    async def _conclusion(self) -> AsyncGenerator[TextDelta | CitationEvent]:
        """The last of the text, the answer's state, and the word of warning where nothing holds it up."""
        async for shown in self.writer.rest():
            yield shown
        self.state = _STOPS.get(self.stop_reason, "complete")
        if self.writer.verified or self.state == "refused":
            return
        if self.state == "complete" and _UNKNOWING.match(self.writer.text):
            self.state = "unknown"
            return
        warning = tr(
            "(Ninguna cita de los documentos respalda esta respuesta.)",
            "(No citation from the documents supports this answer.)",
        )
        async for shown in self.writer.write(("\n\n" if self.writer.text else "") + warning):
            yield shown

    async def _request(self) -> ChatRequest:
        stable = stable_prompt(self.agent)
        context = "" if self.chat.native_citations else self.context
        return ChatRequest(
            system=stable + repository(context),
            stable=len(stable),
            message=self.message,
            passages=tuple(self.writer.given),
            max_tokens=self.max_tokens,
            history=self.history,
            may_search=self._may_search(),
            rounds=tuple(self.rounds),
            model=self.agent.model,
            units={hit.chunk_id: sentence_units(clean(hit.contenido)) for hit in self._cited_natively()},
            generation=None if self.chat.writes else await self.search.generation(),
        )

    def _cited_natively(self) -> list[Hit]:
        return self.writer.given if self.chat.native_citations else [hit for one in self.rounds for hit in one.passages]

    def _may_search(self) -> bool:
        return self.chat.writes and "search" in self.agent.tools and len(self.rounds) < MOST_SEARCHES

    def _searching(self, query: str) -> Searching:
        self.queries.append(query)
        return Searching(query)

    async def _fresh_context(self, query: str, budget: int) -> Context:
        """Passages that were not given yet, within `budget` tokens."""
        options = SearchOptions.for_agent(self.agent)
        if not self.chat.writes:
            options = replace(options, min_score=0.0)  # what quotes passages is told how relevant they are
        result = await self.search.search(self.empresa_id, query, options=options, charge=False)
        self.spent += result.spent
        known = {hit.chunk_id for hit in self.writer.given}
        fresh = [hit for hit in result.hits if hit.chunk_id not in known]
        return build_context(fresh, self._counter, max_tokens=budget, first=len(known) + 1)

    @property
    def _counter(self) -> TokenCounter:
        return self.chat.counter or self.search.context_counter

    def _count(self, end: EndPart) -> None:
        self.usage += end.usage
        self.model, self.stop_reason = end.model, end.stop_reason

    def _ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)
