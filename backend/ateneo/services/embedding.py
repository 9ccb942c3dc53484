"""Texts in, checked unit vectors out: batches, retries and checks around any provider.

async with EmbeddingService(embedder) as service:
    results = await service.generate_batch_embeddings(["hola", "mundo"])
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import structlog

from ateneo.errors import (
    AteneoError,
    BadArgument,
    EmptyQuery,
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderUnavailable,
)
from ateneo.lang import tr
from ateneo.ports import Embedder
from ateneo.providers.loops import PerLoop
from ateneo.services.pacing import Pace
from ateneo.text.clean import clean
from ateneo.types import Embedded, EmbeddingResult, Kind, Limits, Matrix

Sleep = Callable[[float], Awaitable[None]]

_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_LONGEST_WAIT_S = 120.0
"""A provider that asks for more patience than this is reported instead of waited for."""
_TRIES_AFTER_INVALID = 2
_CACHED_QUERIES = 256

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """`vectors`: (n, dims), unit length, in the order of the texts (dims 0 where n is 0 and no answer told it yet);
    `tokens`: of each text as it was sent, `billed`: by the provider for all of them; `truncated`: how many were cut to
    the provider's limit."""

    vectors: Matrix
    tokens: list[int]
    truncated: int
    billed: int


@dataclass(frozen=True, slots=True)
class EmbeddedPart:
    """What became of one request: `vectors` (n, dims) of the texts `members`, or the error it ended with. `tokens` of
    each text as sent; `billed` by the provider for all of them."""

    members: range
    tokens: list[int]
    vectors: Matrix | None
    billed: int
    error: AteneoError | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    texts: list[str]
    tokens: list[int]
    cut: frozenset[int]


def pack(tokens: Sequence[int], limits: Limits) -> list[range]:
    """Splits texts, given by their token counts, into requests within `limits`: consecutive, in order, none left out.

    A text that alone exceeds `limits.tokens` travels alone.
    """
    requests: list[range] = []
    start = total = 0
    for index, count in enumerate(tokens):
        if index > start and (index - start == limits.inputs or total + count > limits.tokens):
            requests.append(range(start, index))
            start, total = index, 0
        total += count
    if tokens:
        requests.append(range(start, len(tokens)))
    return requests


class EmbeddingService:
    """One a process; safe under asyncio, for several tasks and for one event loop after the other."""

    def __init__(
        self,
        embedder: Embedder,
        *,
        concurrency: int = 4,
        retries: int = 5,
        rpm: int | None = None,
        tpm: int | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`concurrency`: requests at the same time, all callers together, fewer while the provider complains;
        `retries`: tries after the first; `rpm` and `tpm`: requests and tokens a minute, None: as many as it bears."""
        self._embedder = embedder
        self._concurrency = concurrency
        self._retries = retries
        self._sleep = sleep
        self._paces = PerLoop(lambda: Pace(concurrency, rpm=rpm, tpm=tpm, sleep=sleep))
        self._queries: OrderedDict[tuple[str | None, str], Matrix] = OrderedDict()

    def __repr__(self) -> str:
        return f"EmbeddingService(provider={self.provider!r}, model={self.model!r}, dims={self.dims})"

    @property
    def provider(self) -> str:
        return self._embedder.provider

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dims(self) -> int | None:
        """Length of the vectors; None before the first answer of a model that is not known."""
        return self._embedder.dims

    @property
    def dense_weight(self) -> float:
        return self._embedder.dense_weight

    @property
    def price(self) -> float | None:
        """US dollars per million tokens; None where unknown, 0.0 for local models."""
        return self._embedder.price

    @property
    def concurrency(self) -> int:
        """Requests at the same time that the provider bears at present."""
        return self._paces.get().limit

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's own tokeniser, before any truncation."""
        return self._embedder.count_tokens([clean(text) for text in texts])

    def billable_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it would be sent: no more than the provider takes of one."""
        return [min(count, self._embedder.limits.tokens_per_input) for count in self.count_tokens(texts)]

    async def generate_embedding(self, text: str) -> EmbeddingResult:
        """The embedding of one passage. Raises BadArgument where it is empty, and ProviderError."""
        [result] = await self.generate_batch_embeddings([text])
        return result

    async def generate_batch_embeddings(self, texts: Sequence[str]) -> list[EmbeddingResult]:
        """The embeddings of passages, in their order. Raises as `embed_matrix`."""
        prepared = await asyncio.to_thread(self._prepared, texts)
        embedded = await self._embedded(prepared, "passage")
        rows = zip(embedded.vectors.tolist(), prepared.tokens, strict=True)
        return [
            EmbeddingResult(embedding=row, tokens=tokens, model=self.model, truncated=index in prepared.cut)
            for index, (row, tokens) in enumerate(rows)
        ]

    async def embed_matrix(self, texts: Sequence[str], kind: Kind = "passage") -> EmbeddedTexts:
        """All vectors or none: the first error that retries do not cure ends it, and requests under way are dropped.

        Raises BadArgument for an empty text, ProviderRefusedInput where a text is the problem, other ProviderErrors.
        """
        prepared = await asyncio.to_thread(self._prepared, texts)
        embedded = await self._embedded(prepared, kind)
        return EmbeddedTexts(embedded.vectors, prepared.tokens, len(prepared.cut), embedded.tokens)

    async def embed_parts(self, texts: Sequence[str]) -> list[EmbeddedPart]:
        """Passages, each request for itself: what one costs or breaks does not touch the others. Raises BadArgument for
        an empty text."""
        prepared = await asyncio.to_thread(self._prepared, texts)

        async def part(members: range) -> EmbeddedPart:
            tokens = [prepared.tokens[index] for index in members]
            try:
                answer = await self._request([prepared.texts[index] for index in members], sum(tokens), "passage")
            except AteneoError as error:
                return EmbeddedPart(members, tokens, None, 0, error)
            return EmbeddedPart(members, tokens, answer.vectors, answer.tokens, None)

        return await asyncio.gather(*map(part, pack(prepared.tokens, self._embedder.limits)))

    async def embed_query(self, text: str, empresa_id: str | None = None) -> Matrix:
        """The vector of a query, shape (dims,), read-only. The last ones are remembered, each for its company, which is
        not to learn from the time it takes what another has asked; without a company none is. Raises EmptyQuery."""
        if not clean(text).strip():
            raise EmptyQuery()
        key = (empresa_id, clean(text))
        vector = self._queries.get(key)
        if vector is None:
            vector = (await self.embed_matrix([text], kind="query")).vectors[0]
            vector.setflags(write=False)
        if empresa_id is not None:
            self._queries[key] = vector
            self._queries.move_to_end(key)
            if len(self._queries) > _CACHED_QUERIES:
                self._queries.popitem(last=False)
        return vector

    async def close(self) -> None:
        """Closes connections and frees the model; a later call opens them again."""
        self._queries.clear()
        await self._embedder.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _prepared(self, texts: Sequence[str]) -> _Prepared:
        cleaned = _cleaned(texts)
        tokens = self._embedder.count_tokens(cleaned)
        limit = self._embedder.limits.tokens_per_input
        cut = [index for index, count in enumerate(tokens) if count > limit]
        for index in cut:
            cleaned[index] = self._embedder.truncate(cleaned[index])
            [tokens[index]] = self._embedder.count_tokens([cleaned[index]])
        if cut:
            log.warning("embedding.truncated", texts=len(cut), of=len(cleaned), limit_tokens=limit, model=self.model)
        return _Prepared(texts=cleaned, tokens=tokens, cut=frozenset(cut))

    async def _embedded(self, prepared: _Prepared, kind: Kind) -> Embedded:
        requests = pack(prepared.tokens, self._embedder.limits)
        if not requests:
            return Embedded(np.zeros((0, self.dims or 0), dtype=np.float32), 0)
        waiting = deque(enumerate(requests))
        answers: dict[int, Embedded] = {}

        async def work() -> None:
            while waiting:
                number, members = waiting.popleft()
                try:
                    tokens = sum(prepared.tokens[index] for index in members)
                    texts = [prepared.texts[index] for index in members]
                    answers[number] = await self._request(texts, tokens, kind)
                except BaseException:
                    waiting.clear()
                    raise

        workers = [asyncio.create_task(work()) for _ in range(min(self._concurrency, len(requests)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        in_order = [answers[number] for number in range(len(requests))]
        return Embedded(np.concatenate([one.vectors for one in in_order]), sum(one.tokens for one in in_order))

    async def _request(self, texts: list[str], tokens: int, kind: Kind) -> Embedded:
        """One request, tried again while that can help."""
        failures: list[ProviderError] = []
        pace = self._paces.get()
        begun = 0.0
        while True:
            try:
                async with pace.request(tokens, urgent=kind == "query", again=bool(failures)) as begun:
                    answer = await self._embedder.embed(texts, kind)
                checked = self._checked(answer.vectors, len(texts))
                pace.bore()
                return Embedded(vectors=checked, tokens=answer.tokens)
            except (ProviderBusy, ProviderUnavailable, ProviderAnswerInvalid) as error:
                if not isinstance(error, ProviderAnswerInvalid):
                    asked = error.fields.get("retry_after")
                    pace.slowed(begun, asked if isinstance(asked, float) and asked <= _LONGEST_WAIT_S else None)
                failures.append(error)
                wait = self._wait(failures)
                if wait is None:
                    raise
                log.warning("embedding.retry", attempt=len(failures), wait_s=round(wait, 2), reason=error.code)
            await self._sleep(wait)

    def _wait(self, failures: Sequence[ProviderError]) -> float | None:
        """Seconds before the next try: what the provider asks, plus backoff with full jitter. None: give up."""
        invalid = sum(isinstance(failure, ProviderAnswerInvalid) for failure in failures)
        asked = failures[-1].fields.get("retry_after")
        least = asked if isinstance(asked, float) else 0.0
        if len(failures) > self._retries or invalid > _TRIES_AFTER_INVALID or least > _LONGEST_WAIT_S:
            return None
        ceiling = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** (len(failures) - 1))
        return least + random.uniform(0.0, ceiling)

    def _checked(self, vectors: Matrix, expected: int) -> Matrix:
        """The vectors at unit length. Raises ProviderAnswerInvalid for anything that must not be stored."""
        dims = self.dims
        if vectors.ndim != 2 or len(vectors) != expected:
            problem = tr(
                f"{len(vectors)} vectores para {expected} textos", f"{len(vectors)} vectors for {expected} texts"
            )
        elif dims is not None and vectors.shape[1] != dims:
            problem = tr(
                f"vectores de {vectors.shape[1]} dimensiones, y el modelo {self.model} da {dims}",
                f"vectors of {vectors.shape[1]} dimensions, and the model {self.model} gives {dims}",
            )
        elif not np.isfinite(vectors).all():
            problem = tr("un vector con NaN o infinito", "a vector with NaN or infinity")
        else:
            norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
            if norms.all():
                unit: Matrix = (vectors / norms[:, None]).astype(np.float32)
                return unit
            problem = tr("un vector nulo", "a zero vector")
        raise ProviderAnswerInvalid(provider=self.provider, detail=problem)


def _cleaned(texts: Sequence[str]) -> list[str]:
    """Raises BadArgument for anything that is not a text with something in it."""
    if isinstance(texts, str):
        rule = tr("hace falta una lista de textos, no un texto", "a list of texts is needed, not a text")
        raise BadArgument(name="texts", value="str", rule=rule)
    cleaned: list[str] = []
    for index, text in enumerate(texts):
        if not isinstance(text, str) or not clean(text).strip():
            rule = tr("cada texto debe tener algo escrito", "each text must have something written in it")
            raise BadArgument(name=f"texts[{index}]", value=repr(text)[:20], rule=rule)
        cleaned.append(clean(text))
    return cleaned
