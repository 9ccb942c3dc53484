"""Embeddings from OpenAI, or from any server that speaks its protocol (Ollama, vLLM, Azure, TEI)."""

import asyncio
import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from ateneo.errors import ProviderAnswerInvalid, ProviderError, ProviderUnavailable
from ateneo.extras import extra
from ateneo.i18n import number, tr
from ateneo.providers import tokens
from ateneo.providers.endpoint import checked_key, redacted
from ateneo.providers.http_environment import check_environment, made
from ateneo.providers.loops import PerLoop
from ateneo.providers.openai_protocol import NO_KEY, Address
from ateneo.providers.prices import EMBEDDING_MODELS
from ateneo.providers.query_threads import in_thread
from ateneo.types import Embedded, Kind, Limits, Matrix
from ateneo.validation_messages import broken_rule

with extra("openai"):
    import openai
    from openai import AsyncOpenAI, omit

DEFAULT_MODEL = "text-embedding-3-small"
OPENAI_LIMITS = Limits(inputs=2048, tokens=300_000, tokens_per_input=8192)
COMPATIBLE_LIMITS = Limits(inputs=32, tokens=300_000, tokens_per_input=8192)
"""For models that are not OpenAI's: 32 inputs is what TEI takes unless it is started otherwise."""

_DENSE_WEIGHT = 0.5


class _Row(BaseModel):
    embedding: str | list[float]
    index: int | None = None


class _Answer(BaseModel):
    data: list[_Row]
    usage: Any = None


class OpenAIEmbedder:
    """The port Embedder over the official SDK. Works across event loops; `close` may be called at any time, and
    a call after it opens a new connection.

    Tokens are counted by cl100k_base: exact for OpenAI's models, an estimate for others.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: str | None = None,
        base_url: str | None = None,
        dimensions: int | None = None,
        timeout_s: float = 30.0,
        names: tuple[str, str] = ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ) -> None:
        """`timeout_s`: seconds that one request may take as a whole; `names`: the variables that key and address come
        from. Raises SettingsError for a missing or unusable key (a compatible server may need none) and for a
        `base_url` that is not an address."""
        self._key = checked_key(api_key, names[0], needed=base_url is None)
        self._address = Address.of(base_url, names[1], self._key)
        self._model = model or DEFAULT_MODEL
        self._dimensions = dimensions
        self._timeout_s = timeout_s
        known = EMBEDDING_MODELS.get(self._model)
        self._dims = dimensions or (known.dims if known else None)
        self._price = known.price if known else None
        self._limits = OPENAI_LIMITS if known else COMPATIBLE_LIMITS
        check_environment()
        self._clients = PerLoop(lambda: made(self._new_client))

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(model={self._model!r}, dims={self._dims})"

    @property
    def provider(self) -> str:
        return "openai"

    @property
    def model(self) -> str:
        return self._model

    @property
    def dims(self) -> int | None:
        return self._dims

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def dense_weight(self) -> float:
        return _DENSE_WEIGHT

    @property
    def price(self) -> float | None:
        return self._price

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return tokens.count_tokens(texts)

    def truncate(self, text: str) -> str:
        return tokens.truncate(text, self._limits.tokens_per_input)

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        """One request; `kind` makes no difference to these models. Raises the ProviderError that fits."""
        body = await self._post(texts)
        vectors, billed = await in_thread(kind == "query", self._decoded, body)
        if self._dims is None:
            self._dims = vectors.shape[1]
        return Embedded(vectors=vectors, tokens=sum(self.count_tokens(texts)) if billed is None else billed)

    async def close(self) -> None:
        await self._clients.close(lambda client: client.close())

    def _new_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key=self._key or NO_KEY, base_url=self._address.url, timeout=self._timeout_s, max_retries=0
        )

    async def _post(self, texts: Sequence[str]) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._clients.get().embeddings.with_raw_response.create(
                    input=list(texts),
                    model=self._model,
                    dimensions=self._dimensions if self._dimensions is not None else omit,
                    encoding_format="base64",
                )
            return answer.content
        except openai.APIError as error:
            problem = self._translated(error)
        except TimeoutError:
            problem = self._unavailable(self._took_too_long())
        # Raised here, not in the handlers: the vendor's exception may quote the key, and would be printed as the cause.
        raise problem

    def _decoded(self, body: bytes) -> tuple[Matrix, int | None]:
        """The vectors and the tokens billed, None where the server does not tell."""
        answer = self._parsed(body)
        return self._matrix(answer.data), _billed(answer.usage)

    def _parsed(self, body: bytes) -> _Answer:
        try:
            return _Answer.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "JSON"
            problem = self._address.unusable(body, f"{place}: {broken_rule(first)}")
        raise problem

    def _matrix(self, rows: list[_Row]) -> Matrix:
        """The vectors in the order asked, shape (n, dims)."""
        indexes = [row.index for row in rows]
        if any(index is not None for index in indexes):
            if sorted(-1 if index is None else index for index in indexes) != list(range(len(rows))):
                raise self._invalid(tr("índices repetidos o que faltan", "indexes repeated or missing"))
            rows = sorted(rows, key=lambda row: row.index or 0)
        vectors = [self._vector(row.embedding) for row in rows]
        lengths = {len(vector) for vector in vectors}
        if len(lengths) != 1 or 0 in lengths:
            raise self._invalid(
                tr(f"vectores de largos {sorted(lengths)}", f"vectors of lengths {sorted(lengths)}")
                if vectors
                else tr("ningún vector", "no vectors")
            )
        return np.stack(vectors)

    def _vector(self, value: str | list[float]) -> Matrix:
        try:
            if isinstance(value, str):
                return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
            with np.errstate(over="ignore"):
                return np.asarray(value, dtype=np.float32)
        except ValueError:
            problem = self._invalid(tr("base64 dañado", "broken base64"))
        raise problem

    def _translated(self, error: openai.APIError) -> ProviderError:
        if isinstance(error, openai.APIStatusError):
            return self._address.refusal(error)
        if isinstance(error, openai.APITimeoutError):
            return self._unavailable(self._took_too_long())
        return self._unavailable(self._redacted(str(error.__cause__ or error) or type(error.__cause__).__name__))

    def _redacted(self, message: str) -> str:
        return redacted(message, self._key)

    def _took_too_long(self) -> str:
        return tr(
            f"más de {number(self._timeout_s, None)} s sin respuesta",
            f"no answer within {number(self._timeout_s, None)} s",
        )

    def _unavailable(self, detail: str) -> ProviderUnavailable:
        return ProviderUnavailable(provider=self._address.label, detail=detail)

    def _invalid(self, detail: str) -> ProviderAnswerInvalid:
        return ProviderAnswerInvalid(provider=self._address.label, detail=detail)


def _billed(usage: Any) -> int | None:
    """The tokens of a bill; None where it does not tell them, or not as a number of tokens."""
    if not isinstance(usage, dict):
        return None
    for name in ("total_tokens", "prompt_tokens"):
        count = usage.get(name)
        if isinstance(count, int | float) and not isinstance(count, bool) and 0 < count < 1e12:
            return math.ceil(count)
    return None
