"""What an HTTP status of failure means, for services whose protocol is one request and one answer."""

import re

import httpx2

from ateneo.errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
)
from ateneo.providers.endpoint import redacted, said
from ateneo.providers.retry_after import retry_after

_NOT_THE_TEXT = re.compile(
    r"api[ _-]?key|dimension|(unknown|invalid|unsupported)\b.{0,40}\bmodel|\bmodel\b.{0,80}\b(not found|not supported"
    r"|does not exist|not exist|is not available)",
    re.IGNORECASE | re.DOTALL,
)
"""In the message of a refusal: it is about the key, the model or the settings, whatever its status."""


def refusal(answer: httpx2.Response, *, provider: str, key: str) -> ProviderError:
    """The error of ours that fits an answer with an HTTP status of failure, without the key that it may quote."""
    status, message = answer.status_code, said(answer.content)
    fields = {"provider": provider, "detail": redacted(f"HTTP {status} {message}", key)}
    if status == 429:
        return ProviderBusy(**fields, retry_after=retry_after(answer.headers))
    if status in {400, 413, 422} and not _NOT_THE_TEXT.search(message):
        return ProviderRefusedInput(**fields, http_status=status)
    if status >= 500 or status in {408, 409, 425}:
        return ProviderUnavailable(**fields, retry_after=retry_after(answer.headers))
    return ProviderRejected(**fields, http_status=status)
