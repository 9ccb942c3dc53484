"""Agents: a question, answered by a chat model from the company's own passages, with citations that were checked."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ateneo.errors import BadArgument, EmptyQuery, QueryTooLong
from ateneo.lang import tr
from ateneo.ports import ChatModel
from ateneo.services.agents.answering import Answering
from ateneo.services.agents.events import Done, Event, Failed
from ateneo.services.vector_search import VectorSearchService
from ateneo.text.citations import MARKER
from ateneo.text.clean import clean
from ateneo.types import Agent, Answer, Turn

DEFAULT_AGENT = "asistente"


class AgentService:
    """`answer_tokens` is the longest answer, `context_tokens` the most that passages take, `passages` how many are
    looked at, `may_search` whether the model may search again: what agents have that say nothing else."""

    def __init__(
        self,
        search: VectorSearchService,
        chat: ChatModel,
        *,
        answer_tokens: int = 4096,
        context_tokens: int = 4000,
        passages: int = 20,
        may_search: bool = True,
    ) -> None:
        self.vector_search = search
        self._chat = chat
        self._answer_tokens = answer_tokens
        self._default = Agent(
            DEFAULT_AGENT, k=passages, context_tokens=context_tokens, tools=("search",) if may_search else ()
        )

    async def chat(
        self,
        empresa_id: str,
        agent_id: str,
        message: str,
        *,
        history: Sequence[Turn] | None = None,
        max_tokens: int | None = None,
    ) -> Answer:
        """The whole answer to `message` from the passages of `empresa_id`; see `stream`.

        Where the provider fails after something was said, that is the answer (`state` interrupted, `error`); where it
        fails before, its error is raised.
        """
        events = self.stream(empresa_id, agent_id, message, history=history, max_tokens=max_tokens)
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
        empresa_id: str,
        agent_id: str,
        message: str,
        *,
        history: Sequence[Turn] | None = None,
        max_tokens: int | None = None,
    ) -> AsyncGenerator[Event]:
        """What happens while `message` is answered; `history` is oldest first. The last event is Done or Failed.

        In a conversation the question is rewritten first, so that it can be searched alone. Where no passage is found
        no model is asked, and the answer says so (`state` unknown, `stop_reason` no_passages). Closing the generator
        ends the request to the provider.

        Raises EmptyQuery, QueryTooLong, BadArgument before the first event; what fails later is a Failed event.
        """
        answering = self._begun(empresa_id, agent_id, message, history or (), max_tokens)
        async with aclosing(answering.events()) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        await self._chat.close()

    def _begun(
        self, empresa_id: str, agent_id: str, message: str, history: Sequence[Turn], max_tokens: int | None
    ) -> Answering:
        agent = self._default
        tokens = max_tokens if max_tokens is not None else agent.answer_tokens or self._answer_tokens
        if tokens < 1:
            raise BadArgument(name="max_tokens", value=tokens, rule=tr("tiene que ser 1 o más", "it must be 1 or more"))
        return Answering(
            self.vector_search,
            self._chat,
            agent,
            empresa_id,
            self._checked_message(message),
            _checked(history),
            tokens,
        )

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
    # numbers of earlier answers would point to other passages now
    return tuple(Turn(turn.role, MARKER.sub("", turn.content) or "…") for turn in turns)
