"""Embeddings from services that speak a protocol of their own: Voyage, Cohere, Gemini, Mistral."""

import asyncio
from collections.abc import Sequence

import httpx2
import numpy as np
from pydantic import ValidationError

from ateneo.errors import ProviderAnswerInvalid, ProviderError, ProviderUnavailable
from ateneo.i18n import number, tr
from ateneo.providers.embedding_protocols import SERVICES, Asked
from ateneo.providers.endpoint import checked_key, checked_url, redacted, said
from ateneo.providers.http_environment import check_environment, made
from ateneo.providers.http_refusals import refusal
from ateneo.providers.loops import PerLoop
from ateneo.providers.query_threads import in_thread
from ateneo.types import Embedded, Kind, Limits, Matrix
from ateneo.validation_messages import broken_rule

_BYTES_A_TOKEN = 4
"""Of Spanish or English, on average: the tokenisers of these models are not here."""
_DENSE_WEIGHT = 0.5


class HttpEmbedder:
    """The port Embedder over HTTP. Works across event loops; `close` may be called at any time, and a call after it
    opens a new connection."""

    def __init__(
        self,
        service: str,
        *,
        api_key: str | None,
        model: str | None = None,
        url: str | None = None,
        dimensions: int | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """`service`: one of SERVICES; `url`: another address for it. Raises SettingsError for a missing or unusable key
        and for a `url` that is none."""
        self._name = service
        self._service = SERVICES[service]
        self._key = checked_key(api_key, f"{service.upper()}_API_KEY", needed=True)
        self._model = model or self._service.model
        base = checked_url(url or self._service.url, "ATENEO_EMBEDDING_URL")
        self._url = base + self._service.path.format(model=self._model)
        self._dimensions = dimensions
        self._dims = dimensions or self._service.dims.get(self._model)
        self._timeout_s = timeout_s
        check_environment()
        self._clients = PerLoop(lambda: made(self._new_client))

    def __repr__(self) -> str:
        return f"HttpEmbedder(provider={self._name!r}, model={self._model!r}, dims={self._dims})"

    @property
    def provider(self) -> str:
        return self._name

    @property
    def model(self) -> str:
        return self._model

    @property
    def dims(self) -> int | None:
        return self._dims

    @property
    def limits(self) -> Limits:
        return self._service.limits

    @property
    def dense_weight(self) -> float:
        return _DENSE_WEIGHT

    @property
    def price(self) -> float | None:
        return self._service.prices.get(self._model)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """An estimate."""
        return [-(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN) for text in texts]

    def truncate(self, text: str) -> str:
        most = self.limits.tokens_per_input * _BYTES_A_TOKEN
        return text.encode("utf-8", "surrogatepass")[:most].decode("utf-8", "ignore")

    async def embed(self, texts: Sequence[str], kind: Kind = "passage") -> Embedded:
        """One request; the service is told what the texts are. Raises the ProviderError that fits."""
        answer = await self._post(texts, kind)
        if not answer.is_success:
            raise refusal(answer, provider=self._name, key=self._key)
        vectors, billed = await in_thread(kind == "query", self._decoded, answer.content)
        if self._dims is None:
            self._dims = vectors.shape[1]
        return Embedded(vectors=vectors, tokens=billed or sum(self.count_tokens(texts)))

    async def close(self) -> None:
        await self._clients.close(lambda client: client.aclose())

    def _new_client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(timeout=self._timeout_s, headers=self._service.headers(self._key))

    async def _post(self, texts: Sequence[str], kind: Kind) -> httpx2.Response:
        body = self._service.body(Asked(self._model, texts, kind, self._dimensions))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._clients.get().post(self._url, json=body)
        except (TimeoutError, httpx2.TimeoutException):
            problem = self._unavailable(self._took_too_long())
        except httpx2.HTTPError as error:
            problem = self._unavailable(redacted(str(error) or type(error).__name__, self._key))
        # raised here, not in the handlers: the client's exception holds the request, and with it the key
        raise problem

    def _decoded(self, body: bytes) -> tuple[Matrix, int | None]:
        """The vectors in the order asked, shape (n, dims), and the tokens billed, None where it does not tell."""
        problem: ProviderError
        try:
            answer = self._service.answer.model_validate_json(body)
            return _matrix(answer.vectors()), answer.billed()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "JSON"
            problem = self._invalid(f"{place}: {broken_rule(first)}: {said(body)}")
        except ValueError:
            detail = tr("vectores que no son los de los textos", "vectors that are not those of the texts")
            problem = self._invalid(detail)
        raise problem

    def _took_too_long(self) -> str:
        seconds = number(self._timeout_s, None)
        return tr(f"más de {seconds} s sin respuesta", f"no answer within {seconds} s")

    def _unavailable(self, detail: str) -> ProviderUnavailable:
        return ProviderUnavailable(provider=self._name, detail=detail)

    def _invalid(self, detail: str) -> ProviderAnswerInvalid:
        return ProviderAnswerInvalid(provider=self._name, detail=redacted(detail, self._key))


def _matrix(vectors: Sequence[Sequence[float]]) -> Matrix:
    """Raises ValueError for none, and for different lengths."""
    with np.errstate(over="ignore"):
        matrix = np.array(vectors, dtype=np.float32)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError("shape")
    return matrix
