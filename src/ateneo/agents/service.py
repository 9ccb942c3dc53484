"""Agents: a question, answered by a chat model from the company's own passages, with citations that were checked."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypedDict, TypeVar, Unpack

from ateneo.agents.answering import Answering
from ateneo.agents.citations import MARKER
from ateneo.agents.events import Done, Event, Failed
from ateneo.agents.memory import Memory, bounded, recall
from ateneo.db import agents, conversations
from ateneo.errors import AteneoError, BadArgument, EmptyQuery, ModelNotAllowed, QueryTooLong, Unknown
from ateneo.i18n import tr
from ateneo.ports import ChatModel
from ateneo.search.filters import with_checked_filter
from ateneo.search.service import VectorSearchService
from ateneo.tenant_id import tenant_id
from ateneo.text.clean import clean
from ateneo.types import Agent, Answer, Tenant, Turn, Usage

T = TypeVar("T")

DEFAULT_AGENT = "asistente"


class ChatOptions(TypedDict, total=False):
    """`history`: earlier turns of the caller's own, oldest first; `store` begins a conversation that is kept,
    `conversation_id` goes on with one; `max_tokens`: the longest answer."""

    history: Sequence[Turn] | None
    conversation_id: str | None
    store: bool
    max_tokens: int | None


class AgentService:
    """`context_tokens` is the most that passages take, `passages` how many are looked at, `may_search` whether the
    model may search again: what agents have that say nothing else. `answer_tokens` is the longest answer of any.
    `history_tokens` is the most that earlier turns take: of a stored conversation the older ones are summed up, of a
    caller's history they are left out. `models` are those that an agent may name beside the chat model's own.
    `verify_s`: a chat model's claims are checked against the passages that they cite, in so many seconds at most; None:
    they are not."""

    def __init__(
        self,
        search: VectorSearchService,
        chat: ChatModel,
        *,
        answer_tokens: int = 4096,
        context_tokens: int = 4000,
        passages: int = 20,
        may_search: bool = True,
        history_tokens: int = 2000,
        models: Collection[str] = (),
        verify_s: float | None = None,
    ) -> None:
        self.vector_search = search
        self._chat = chat
        self._answer_tokens = answer_tokens
        self._history_tokens = history_tokens
        self._models = tuple(dict.fromkeys([chat.model, *models]))
        self._verify_s = verify_s
        self._unfinished: set[asyncio.Task[Any]] = set()
        self._default = Agent(
            DEFAULT_AGENT, k=passages, context_tokens=context_tokens, tools=("search",) if may_search else ()
        )

    async def chat(self, empresa_id: Tenant, agent_id: str, message: str, **options: Unpack[ChatOptions]) -> Answer:
        """The whole answer to `message` from the passages of `empresa_id`; see `stream`.

        Where the provider fails after something was said, that is the answer (`state` interrupted, `error`); where it
        fails before, its error is raised.
        """
        events = self.stream(empresa_id, agent_id, message, **options)
        answer: Answer | None = None
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Failed) and not event.answer.text:
                    raise event.error
                if isinstance(event, Done | Failed):
                    answer = event.answer
        assert answer is not None
        return answer

    async def stream(
        self,
        empresa_id: Tenant,
        agent_id: str,
        message: str,
        *,
        history: Sequence[Turn] | None = None,
        conversation_id: str | None = None,
        store: bool = False,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Event]:
        """What happens while `message` is answered. The last event is Done or Failed.

        `agent_id` names one of the company's agents; the default one answers to DEFAULT_AGENT, and to every name where
        the company has none. `history` (oldest first) is the caller's own; `conversation_id` is one that is stored
        here, with this agent, and goes on; `store` begins one. In a conversation the question is rewritten first, so
        that it can be searched alone. Where no passage is found no model is asked, and the answer says so (`state`
        unknown, `stop_reason` no_passages). Closing the generator ends the request to the provider; what was said so
        far is stored all the same.

        Raises Unknown, AgentUnusable, ModelNotAllowed, OtherAgent, EmptyQuery, QueryTooLong, BadArgument before the
        first event, and ProviderError where a long conversation cannot be summed up; a Failed event tells what fails
        later.
        """
        empresa_id = tenant_id(empresa_id)
        text = self._checked_message(message)
        agent = await self._agent(empresa_id, clean(agent_id))
        conversation_id = conversation_id and clean(conversation_id)
        answering = await self._answering(empresa_id, agent, text, history, conversation_id, max_tokens)
        if store and conversation_id is None:
            conversation_id = await conversations.begin(self.vector_search.db, empresa_id, agent.agent_id, text)
        async with aclosing(self._recorded(empresa_id, conversation_id, answering)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Waits for what is still to be stored, and closes the model's connections."""
        await asyncio.gather(*self._unfinished, return_exceptions=True)
        await self._chat.close()

    async def _agent(self, empresa_id: str, agent_id: str) -> Agent:
        found, any_at_all = await agents.find(self.vector_search.db, empresa_id, agent_id)
        if found is None and any_at_all and agent_id != DEFAULT_AGENT:
            raise Unknown(what=tr(f"el agente «{agent_id}»", f"agent “{agent_id}”"))
        agent = with_checked_filter(empresa_id, found or self._default)
        if self._chat.writes and agent.model is not None and agent.model not in self._models:
            raise ModelNotAllowed(
                empresa_id=empresa_id,
                agent_id=agent.agent_id,
                model=agent.model,
                allowed=", ".join(self._models),
                own=self._chat.model,
            )
        return agent

    async def _answering(
        self,
        empresa_id: str,
        agent: Agent,
        text: str,
        history: Sequence[Turn] | None,
        conversation_id: str | None,
        max_tokens: int | None,
    ) -> Answering:
        tokens = max_tokens if max_tokens is not None else agent.answer_tokens or self._answer_tokens
        if tokens < 1:
            raise BadArgument(name="max_tokens", value=tokens, rule=tr("tiene que ser 1 o más", "it must be 1 or more"))
        tokens = min(tokens, self._answer_tokens)
        memory = await self._memory(empresa_id, agent, history, conversation_id)
        return Answering(
            self.vector_search,
            self._chat,
            agent,
            empresa_id,
            text,
            memory.history,
            tokens,
            verify_s=self._verify_s,
            usage=memory.usage,
        )

    async def _memory(
        self, empresa_id: str, agent: Agent, history: Sequence[Turn] | None, conversation_id: str | None
    ) -> Memory:
        if conversation_id is None:
            given = bounded(_checked(history or ()), self.vector_search.embedding, budget=self._history_tokens)
            return Memory(_without_numbers(given), Usage())
        if history:
            rule = tr("va history o conversation_id, no los dos", "history or conversation_id, not both")
            raise BadArgument(name="history", value=len(history), rule=rule)
        memory = await recall(
            self.vector_search.db,
            self._chat,
            self.vector_search.embedding,
            empresa_id,
            conversation_id,
            agent=agent,
            budget=self._history_tokens,
        )
        return replace(memory, history=_without_numbers(memory.history))

    async def _recorded(
        self, empresa_id: str, conversation_id: str | None, answering: Answering
    ) -> AsyncGenerator[Event]:
        """The events; the answer is stored before the last of them, or when they are no longer read."""
        ended = False
        try:
            async with aclosing(answering.events()) as events:
                async for event in events:
                    if isinstance(event, Done | Failed):
                        ended = True
                        yield await self._with_position(empresa_id, conversation_id, answering, event)
                    else:
                        yield event
        finally:
            if not ended:
                # In a task of its own, so that whoever cancels this one does not cancel what is to be kept.
                await asyncio.shield(self._background(self._add(empresa_id, conversation_id, answering)))

    async def _with_position(
        self, empresa_id: str, conversation_id: str | None, answering: Answering, event: Done | Failed
    ) -> Done | Failed:
        """The last event, with where its answer was stored."""
        try:
            position = await asyncio.shield(self._background(self._add(empresa_id, conversation_id, answering)))
        except AteneoError as error:
            return Failed(error, event.answer)
        return replace(event, answer=replace(event.answer, conversation_id=conversation_id, position=position))

    async def _add(self, empresa_id: str, conversation_id: str | None, answering: Answering) -> int | None:
        if conversation_id is None:
            return None
        db = self.vector_search.db
        return await conversations.add(db, empresa_id, conversation_id, answering.message, answering.answer())

    def _background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    def _checked_message(self, message: str) -> str:
        text, limit = clean(message).strip(), self.vector_search.max_query_chars
        if not text:
            raise EmptyQuery()
        if len(text) > limit:
            raise QueryTooLong(length=len(text), limit=limit)
        return text


def _checked(history: Sequence[Turn]) -> tuple[Turn, ...]:
    turns = tuple(Turn(turn.role, clean(turn.content)) for turn in history)
    for turn in turns:
        if turn.role not in ("user", "assistant") or not turn.content.strip():
            rule = tr(
                "cada turno es de user o assistant y tiene texto", "each turn is user's or assistant's, with text"
            )
            raise BadArgument(name="history", value=turn.role, rule=rule)
    return turns


def _without_numbers(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns without the numbers of earlier answers: they would point to other passages now."""
    return tuple(Turn(turn.role, MARKER.sub("", turn.content).strip() or "…") for turn in turns)
