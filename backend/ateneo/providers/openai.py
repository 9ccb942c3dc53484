"""Embeddings from OpenAI, or from any server that speaks its protocol (Ollama, vLLM, Azure, TEI)."""

import asyncio
import base64
import email.utils
import math
import re
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import numpy as np
import openai
from openai import AsyncOpenAI, omit
from pydantic import BaseModel, ValidationError

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.lang import tr
from ateneo.providers import tokens
from ateneo.providers.loops import PerLoop
from ateneo.providers.prices import EMBEDDING_MODELS
from ateneo.types import Embedded, Kind, Limits, Matrix

DEFAULT_MODEL = "text-embedding-3-small"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
OPENAI_LIMITS = Limits(inputs=2048, tokens=300_000, tokens_per_input=8192)
COMPATIBLE_LIMITS = Limits(inputs=32, tokens=300_000, tokens_per_input=8192)
"""For models that are not OpenAI's: 32 inputs is what TEI takes unless it is started otherwise."""

_DENSE_WEIGHT = 0.5
_SETTINGS_OF_A_REQUEST = {"model", "dimensions", "encoding_format"}
_SHORTEST_KEY = 8
"""A shorter one is a stand-in for servers that need none ("none", "ollama"), and may be a word of the message."""
_ANY_KEY = re.compile(r"\bsk-[\w*.-]+")


class _Row(BaseModel):
    embedding: str | list[float]
    index: int | None = None


class _Usage(BaseModel):
    total_tokens: int | None = None
    prompt_tokens: int | None = None


class _Answer(BaseModel):
    data: list[_Row]
    usage: _Usage | None = None


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
    ) -> None:
        """`timeout_s`: seconds that one request may take as a whole. Raises SettingsError for a missing or unusable
        key (a compatible server may need none) and for a `base_url` that is not an address."""
        self._key = checked_key(api_key, needed=base_url is None)
        self._model = model or DEFAULT_MODEL
        self._base_url = base_url or DEFAULT_BASE_URL
        host = checked_host(self._base_url)
        self._dimensions = dimensions
        self._timeout_s = timeout_s
        known = EMBEDDING_MODELS.get(self._model)
        self._dims = dimensions or (known.dims if known else None)
        self._price = known.price if known else None
        self._limits = OPENAI_LIMITS if known else COMPATIBLE_LIMITS
        self._label = f"openai ({host})" if base_url else "openai"
        self._clients = PerLoop(self._new_client)

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
        vectors, billed = await asyncio.to_thread(self._decoded, body)
        if self._dims is None:
            self._dims = vectors.shape[1]
        return Embedded(vectors=vectors, tokens=sum(self.count_tokens(texts)) if billed is None else billed)

    async def close(self) -> None:
        await self._clients.close(lambda client: client.close())

    def _new_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=self._key, base_url=self._base_url, timeout=self._timeout_s, max_retries=0)

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
        usage = answer.usage or _Usage()
        return self._matrix(answer.data), usage.total_tokens or usage.prompt_tokens

    def _parsed(self, body: bytes) -> _Answer:
        try:
            return _Answer.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "JSON"
            problem = self._invalid(f"{place}: {first['msg']}")
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
            return self._for_status(error)
        if isinstance(error, openai.APITimeoutError):
            return self._unavailable(self._took_too_long())
        return self._unavailable(self._redacted(str(error.__cause__ or error) or type(error.__cause__).__name__))

    def _for_status(self, error: openai.APIStatusError) -> ProviderError:
        status = error.status_code
        detail = self._redacted(error.message)
        wait = retry_after(error.response.headers)
        out_of_quota = "insufficient_quota" in (error.code, error.type)
        if status == 429 and not out_of_quota:
            return ProviderBusy(provider=self._label, detail=detail, retry_after=wait)
        if status in {400, 413, 422} and error.param not in _SETTINGS_OF_A_REQUEST:
            return ProviderRefusedInput(provider=self._label, detail=detail)
        if status >= 500 or status in {408, 409, 425}:
            return ProviderUnavailable(provider=self._label, detail=detail, retry_after=wait)
        return ProviderRejected(provider=self._label, detail=detail, http_status=status)

    def _redacted(self, message: str) -> str:
        return redacted(message, self._key)

    def _took_too_long(self) -> str:
        return tr(f"más de {self._timeout_s:g} s sin respuesta", f"no answer within {self._timeout_s:g} s")

    def _unavailable(self, detail: str) -> ProviderUnavailable:
        return ProviderUnavailable(provider=self._label, detail=detail)

    def _invalid(self, detail: str) -> ProviderAnswerInvalid:
        return ProviderAnswerInvalid(provider=self._label, detail=detail)


def redacted(message: str, key: str) -> str:
    """A vendor's message, shortened, without the key that it may quote."""
    quoted = key if len(key) >= _SHORTEST_KEY else None
    return _ANY_KEY.sub("***", message.replace(quoted, "***") if quoted else message)[:500]


def checked_key(key: str | None, *, needed: bool) -> str:
    """The key without what surrounds it; a stand-in where there is none. Raises SettingsError for one of no use."""
    key = (key or "").strip()
    if not key and needed:
        raise SettingsError(name="OPENAI_API_KEY", detail=tr("no está configurada.", "it is not set."))
    if not (key.isascii() and key.isprintable()) or " " in key:
        detail = tr("tiene caracteres que una clave no lleva.", "it has characters that no key has.")
        raise SettingsError(name="OPENAI_API_KEY", detail=detail)
    return key or "no-key"


def checked_host(url: str) -> str:
    """The host and port of an http(s) address: what a message may show of it (the rest can hold a password)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    else:
        host = host if parts.scheme in {"http", "https"} else None
    if not host:
        detail = tr("no es una dirección http:// o https://", "it is not an http:// or https:// address")
        raise SettingsError(name="OPENAI_BASE_URL", detail=f"{detail}.")
    return f"{host}:{port}" if port else host


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` as seconds or as an HTTP date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        moment = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
