"""The protocols that services speak; providers implement them."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from ateneo.types import Caller, ChatPart, ChatRequest, Embedded, Kind, Limits, Usage


class Embedder(Protocol):
    """A model that turns texts into unit vectors. One instance a process; safe under asyncio.

    `dims` is None until it is known (an unknown model on a compatible server tells it with its first answer).
    `dense_weight` is the share that meaning gets in hybrid search with this model (DESIGN: a property of the embedder).
    `price` is US dollars per million tokens, None where unknown, 0.0 for local models.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def dims(self) -> int | None: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def dense_weight(self) -> float: ...
    @property
    def price(self) -> float | None: ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens that each text costs, counted by the model's own tokeniser, before any truncation."""
        ...

    def truncate(self, text: str) -> str:
        """The longest beginning of `text` that fits `limits.tokens_per_input`; the text itself when it fits."""
        ...

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        """One request, no retries: vectors in the order of `texts`. Raises the ProviderError that fits."""
        ...

    async def close(self) -> None: ...


class ChatModel(Protocol):
    """A model that answers a question from passages.

    `writes`: it is a language model, which can rewrite a question, sum up a conversation and ask for searches.
    `native_citations`: it takes passages as blocks of their own, not in the system prompt. `counter` is its own way of
    counting tokens, None where that is not at hand.
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def writes(self) -> bool: ...
    @property
    def native_citations(self) -> bool: ...
    @property
    def counter(self) -> "TokenCounter | None": ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatPart]:
        """The answer as it is made; the last part is an EndPart. Closing it ends the request to the provider.

        Raises the ProviderError that fits, perhaps after some parts.
        """
        ...

    def cost(self, usage: Usage, model: str) -> float | None:
        """US dollars; None where the price is not known, 0.0 for what runs here."""
        ...

    async def close(self) -> None: ...


class Reranker(Protocol):
    """A model that reads a question and a passage together and says how well the one answers the other."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """A score for each text, in their order, the higher the better; of one scale within a call.

        May be cancelled at any moment. Raises the ProviderError that fits, or ModelError.
        """
        ...

    async def close(self) -> None: ...


class TokenCounter(Protocol):
    """Counts tokens; used for chunk sizes and context budgets."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]: ...


class TokenVerifier(Protocol):
    """Checks the tokens of a login that is not ours."""

    async def verify(self, token: str) -> Caller:
        """Raises AccessDenied, the same for whatever is wrong."""
        ...
