"""Texts in, checked unit vectors out: batches, retries and checks around any provider.

async with EmbeddingService(embedder) as service:
    results = await service.generate_batch_embeddings(["hola", "mundo"])
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from typing import Self

import numpy as np
import structlog

from ateneo.embedding.batch_limit import BatchLimit, pack
from ateneo.embedding.limiter import AdaptiveLimiter
from ateneo.errors import (
    AteneoError,
    BadArgument,
    EmptyQuery,
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    Unexpected,
)
from ateneo.i18n import tr
from ateneo.ports import Embedder
from ateneo.providers.loops import PerLoop
from ateneo.providers.query_threads import in_thread
from ateneo.text.clean import clean
from ateneo.types import Embedded, EmbeddingResult, Kind, Matrix
from ateneo.unexpected import as_ours, log_unexpected

Sleep = Callable[[float], Awaitable[None]]

_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_LONGEST_WAIT_S = 120.0
"""A provider that asks for a longer wait is reported instead of waited for."""
_TRIES_AFTER_INVALID = 2
HARMLESS = "prueba"
"""A text that no provider refuses: where it is refused, the provider is the problem."""
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
    each text as sent; `billed` by the provider for all of them. `about_text`: the error is that of this one text, since
    the provider takes others."""

    members: range
    tokens: list[int]
    vectors: Matrix | None
    billed: int
    error: AteneoError | None
    about_text: bool = False


@dataclass(frozen=True, slots=True)
class _Prepared:
    texts: list[str]
    tokens: list[int]
    cut: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Job:
    """`urgent`: somebody waits for it; `whole`: all vectors or none; `divisible`: texts whose requests are divided
    where the provider does not answer, too."""

    prepared: _Prepared
    kind: Kind = "passage"
    urgent: bool = False
    whole: bool = False
    divisible: Set[int] = frozenset()


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
        self._limiters = PerLoop(lambda: AdaptiveLimiter(concurrency, rpm=rpm, tpm=tpm, sleep=sleep))
        self._limit = BatchLimit(lambda: embedder.limits)
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
        return self._limiters.get().limit

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
        embedded = await self._embedded(_Job(prepared, whole=True))
        rows = zip(embedded.vectors.tolist(), prepared.tokens, strict=True)
        return [
            EmbeddingResult(embedding=row, tokens=tokens, model=self.model, truncated=index in prepared.cut)
            for index, (row, tokens) in enumerate(rows)
        ]

    async def embed_matrix(
        self, texts: Sequence[str], kind: Kind = "passage", *, urgent: bool | None = None
    ) -> EmbeddedTexts:
        """All vectors or none: the first error that retries and smaller requests do not cure ends it, and requests
        under way are dropped. `urgent`: somebody waits for it; None: where they are queries.

        Raises BadArgument for an empty text, ProviderRefusedInput where a text is the problem, other ProviderErrors.
        """
        urgent = kind == "query" if urgent is None else urgent
        prepared = await in_thread(urgent, self._prepared, texts)
        embedded = await self._embedded(_Job(prepared, kind, urgent, whole=True))
        return EmbeddedTexts(embedded.vectors, prepared.tokens, len(prepared.cut), embedded.tokens)

    async def embed_parts(self, texts: Sequence[str], divisible: Set[int] = frozenset()) -> list[EmbeddedPart]:
        """Passages, each request for itself: what one costs or breaks does not touch the others. A request that begins
        with one of `divisible` is divided where the provider does not answer it, too. Raises BadArgument for an empty
        text."""
        prepared = await asyncio.to_thread(self._prepared, texts)
        job = _Job(prepared, divisible=divisible)
        requests = pack(prepared.tokens, self._limit.now)
        found = await asyncio.gather(*(self._divided(job, members) for members in requests))
        return [part for parts in found for part in parts]

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

    async def _embedded(self, job: _Job) -> Embedded:
        requests = pack(job.prepared.tokens, self._limit.now)
        if not requests:
            return Embedded(np.zeros((0, self.dims or 0), dtype=np.float32), 0)
        waiting = deque(enumerate(requests))
        answers: dict[int, list[EmbeddedPart]] = {}

        async def work() -> None:
            while waiting:
                number, members = waiting.popleft()
                try:
                    answers[number] = await self._divided(job, members)
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
        in_order = [part for number in range(len(requests)) for part in answers[number]]
        vectors = [part.vectors for part in in_order if part.vectors is not None]
        return Embedded(np.concatenate(vectors), sum(part.billed for part in in_order))

    async def _divided(self, job: _Job, members: range, *, sound: bool = False) -> list[EmbeddedPart]:
        """In one request or, where that does not go through, in halves, down to the text that the provider does not
        take. `sound`: it has taken a harmless text since it refused these."""
        tokens = [job.prepared.tokens[index] for index in members]
        portions = [members[one.start : one.stop] for one in pack(tokens, self._limit.now)]
        tried: EmbeddedPart | None = None
        if len(portions) == 1:
            tried = await self._tried(job, members, sound=sound)
            if tried.error is not None and job.whole and not (tried.about_text and len(members) > 1):
                raise tried.error
            if tried.error is None or not tried.about_text or len(members) == 1:
                return [tried]
            log.warning("embedding.divided", texts=len(members), tokens=sum(tokens), reason=tried.error.code)
            half = (len(members) + 1) // 2
            portions = [members[:half], members[half:]]
        parts = [part for one in portions for part in await self._divided(job, one, sound=sound or tried is not None)]
        refused = None if tried is None else tried.error
        cured = all(part.error is None for part in parts)
        if cured and isinstance(refused, (ProviderRefusedInput, ProviderAnswerInvalid)):
            self._limit.too_large(tokens, of_tokens=refused.fields.get("http_status") == 429)
        return parts

    async def _tried(self, job: _Job, members: range, *, sound: bool) -> EmbeddedPart:
        """One request; `about_text` where it failed for its texts, since the provider takes a harmless one."""
        tokens = [job.prepared.tokens[index] for index in members]
        texts = [job.prepared.texts[index] for index in members]
        try:
            answer = await self._request(texts, sum(tokens), job)
        except AteneoError as error:
            problem = error
        else:
            self._limit.accepted(len(members))
            return EmbeddedPart(members, tokens, answer.vectors, answer.tokens, None)
        about_texts = job.kind == "passage" and _about_texts(problem, divisible=members.start in job.divisible)
        if about_texts and not (sound and isinstance(problem, ProviderRefusedInput)):
            trouble = await self._trouble(job)
            problem, about_texts = trouble or problem, trouble is None
        return EmbeddedPart(members, tokens, None, 0, problem, about_texts)

    async def _trouble(self, job: _Job) -> AteneoError | None:
        """What keeps the provider from taking any text at all; None where nothing does."""
        try:
            await self._request([HARMLESS], self._embedder.count_tokens([HARMLESS])[0], job)
        except ProviderRefusedInput as error:
            return ProviderRejected(**{"http_status": 400} | error.fields)
        except AteneoError as error:
            return error
        return None

    async def _request(self, texts: list[str], tokens: int, job: _Job) -> Embedded:
        """One request, tried again while that can help."""
        failures: list[ProviderError] = []
        limiter = self._limiters.get()
        begun = 0.0
        while True:
            try:
                async with limiter.request(tokens, urgent=job.urgent, again=bool(failures)) as begun:
                    answer = await self._asked(texts, job.kind)
                limiter.succeeded()
                return answer
            except (ProviderBusy, ProviderUnavailable, ProviderAnswerInvalid) as error:
                if not isinstance(error, ProviderAnswerInvalid):
                    asked = error.fields.get("retry_after")
                    limiter.slowed(begun, asked if isinstance(asked, float) and asked <= _LONGEST_WAIT_S else None)
                failures.append(error)
                wait = self._wait(failures)
                if wait is None:
                    raise
                log.warning("embedding.retry", attempt=len(failures), wait_s=round(wait, 2), reason=error.code)
            await self._sleep(wait)

    async def _asked(self, texts: list[str], kind: Kind) -> Embedded:
        """Whatever else a provider's client raises is a fault in it, or in an answer that nobody foresaw."""
        try:
            answer = await self._embedder.embed(texts, kind)
            return Embedded(self._checked(answer.vectors, len(texts)), answer.tokens)
        except AteneoError:
            raise
        except Exception as error:  # noqa: BLE001
            log_unexpected(error, self.provider)
            problem = as_ours(error, self.provider)
        raise problem

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
                f"vectores: {len(vectors)}, y textos: {expected}", f"vectors: {len(vectors)}, and texts: {expected}"
            )
        elif dims is not None and vectors.shape[1] != dims:
            problem = tr(
                f"dimensiones: {vectors.shape[1]}, y el modelo {self.model} da {dims}",
                f"dimensions: {vectors.shape[1]}, and the model {self.model} gives {dims}",
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


def _about_texts(error: AteneoError, *, divisible: bool) -> bool:
    """Whether smaller requests, or others, may go through. `divisible`: also where the provider did not answer."""
    if isinstance(error, ProviderUnavailable):
        return divisible
    return isinstance(error, (ProviderRefusedInput, ProviderAnswerInvalid, Unexpected))


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
