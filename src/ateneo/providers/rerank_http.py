"""A reranker behind HTTP: Cohere's and Jina's `/rerank`, and servers that speak like them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx2
from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, ValidationError

from ateneo.errors import ProviderAnswerInvalid, ProviderError, ProviderUnavailable, SettingsError
from ateneo.i18n import tr
from ateneo.providers.endpoint import checked_key, checked_url, redacted, said
from ateneo.providers.http_environment import check_environment, made
from ateneo.providers.http_refusals import refusal
from ateneo.providers.loops import PerLoop
from ateneo.validation_messages import broken_rule

SERVICES = {
    "cohere": ("https://api.cohere.com/v2/rerank", "rerank-v3.5"),
    "jina": ("https://api.jina.ai/v1/rerank", "jina-reranker-v2-base-multilingual"),
}
"""Service -> its address and the model that is asked where none is named."""


class _Row(BaseModel):
    index: int
    score: float = Field(validation_alias=AliasChoices("relevance_score", "score"))


class _Results(BaseModel):
    rows: list[_Row] = Field(validation_alias=AliasChoices("results", "data"))


_ANSWER: TypeAdapter[_Results | list[_Row]] = TypeAdapter(_Results | list[_Row])


class HttpReranker:
    """The port Reranker on `POST url` with `{"model", "query", "documents", "top_n"}`.

    Understands `{"results": [{"index", "relevance_score"}]}` (Cohere, Jina), the same under `data`, with `score`, or
    as a bare list. One request a call, no retries: the search has its own order to fall back to.
    """

    def __init__(
        self,
        *,
        service: str | None = None,
        url: str | None = None,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 3.0,
    ) -> None:
        """`service`: cohere, jina, or None for another server at `url`. Raises SettingsError."""
        usual_url, usual_model = SERVICES[service] if service else (None, None)
        if service and url is None and not api_key:
            detail = tr(
                f"falta, y ATENEO_RERANKER={service} la necesita.",
                f"is missing, and ATENEO_RERANKER={service} needs it.",
            )
            raise SettingsError(name="ATENEO_RERANKER_API_KEY", detail=detail)
        self._url = checked_url(url or usual_url or "", "ATENEO_RERANKER_URL" if service else "ATENEO_RERANKER")
        self._service = service
        self._provider = service or urlsplit(self._url).hostname or "?"
        self._model = model or usual_model
        self._key = checked_key(api_key, "ATENEO_RERANKER_API_KEY")
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        check_environment()
        self._clients = PerLoop(lambda: made(lambda: httpx2.AsyncClient(timeout=timeout_s, headers=headers)))

    def __repr__(self) -> str:
        return f"HttpReranker(provider={self.provider!r}, model={self.model!r})"

    @property
    def provider(self) -> str:
        return self._provider

    @property
    def model(self) -> str:
        return self._model or "?"

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """The service's relevance of each text, in their order. Raises the ProviderError that fits."""
        body: dict[str, Any] = {"query": query, "documents": list(texts), "top_n": len(texts)}
        if self._model:
            body["model"] = self._model
        if self._service == "jina":
            body["return_documents"] = False
        problem: ProviderError
        try:
            answer = await self._clients.get().post(self._url, json=body)
        except httpx2.HTTPError as error:
            problem = self._problem(ProviderUnavailable, str(error) or type(error).__name__)
        else:
            if answer.is_success:
                return self._scores(answer.content, len(texts))
            problem = refusal(answer, provider=self._provider, key=self._key)
        # raised here, not in the handler: the client's exception holds the request, and with it the key
        raise problem

    async def close(self) -> None:
        await self._clients.close(lambda client: client.aclose())

    def _scores(self, content: bytes, count: int) -> list[float]:
        try:
            read = _ANSWER.validate_json(content)
        except ValidationError as error:
            missing = broken_rule(error.errors(include_input=False)[0])
            raise self._problem(ProviderAnswerInvalid, f"{missing}: {said(content)}") from None
        rows = read if isinstance(read, list) else read.rows
        if sorted(row.index for row in rows) != list(range(count)):
            detail = tr(
                f"resultados: {len(rows)}, y textos: {count}; o los índices no son los suyos",
                f"results: {len(rows)}, and texts: {count}; or the indexes are not theirs",
            )
            raise self._problem(ProviderAnswerInvalid, detail)
        return [row.score for row in sorted(rows, key=lambda row: row.index)]

    def _problem(self, kind: type[ProviderError], detail: str) -> ProviderError:
        return kind(provider=self._provider, detail=redacted(detail, self._key))
