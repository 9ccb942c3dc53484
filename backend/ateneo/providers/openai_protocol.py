"""What every client of OpenAI's protocol shares: its key, its address, and what its refusals mean."""

import re
from urllib.parse import urlsplit

from openai import APIStatusError

from ateneo.errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.lang import tr
from ateneo.providers.retry_after import retry_after

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_SETTINGS_OF_A_REQUEST = {
    "model",
    "dimensions",
    "encoding_format",
    "max_tokens",
    "max_completion_tokens",
    "stream_options",
    "tools",
    "tool_choice",
}
"""What a refused request may name (`param`) that no text of its caller put there."""
_SHORTEST_KEY = 8
"""A shorter one is a stand-in for servers that need none ("none", "ollama"), and may be a word of the message."""
_ANY_KEY = re.compile(r"\bsk-[\w*.-]+")


def problem_of(error: APIStatusError, label: str, key: str) -> ProviderError:
    """The error of ours that fits an answer with an HTTP status of failure. `label`: the provider as people know it."""
    status = error.status_code
    detail = redacted(error.message, key)
    wait = retry_after(error.response.headers)
    out_of_quota = "insufficient_quota" in (error.code, error.type)
    if status == 429 and not out_of_quota:
        return ProviderBusy(provider=label, detail=detail, retry_after=wait)
    if status in {400, 413, 422} and error.param not in _SETTINGS_OF_A_REQUEST:
        return ProviderRefusedInput(provider=label, detail=detail, http_status=status)
    if status >= 500 or status in {408, 409, 425}:
        return ProviderUnavailable(provider=label, detail=detail, retry_after=wait)
    return ProviderRejected(provider=label, detail=detail, http_status=status)


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
