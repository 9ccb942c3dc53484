"""What every client of OpenAI's protocol shares: its address, and what its refusals mean."""

import json
import re
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
)
from ateneo.extras import extra
from ateneo.i18n import tr
from ateneo.providers.endpoint import checked_url, error_in, host_of, redacted, said
from ateneo.providers.retry_after import retry_after

with extra("openai"):
    from openai import APIError, APIStatusError

DEFAULT_BASE_URL = "https://api.openai.com/v1"
NO_KEY = "no-key"
"""What the SDK sends where a server needs no key."""

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
_ENDPOINT = re.compile(r"/(embeddings|chat/completions|completions|models)$")
_VERSION_TWICE = re.compile(r"(/v\d+)(\1)+$")
_LIMIT = re.compile(r"\blimit:? *(\d{1,18})\b.{0,40}\brequested:? *(\d{1,18})\b", re.IGNORECASE)
_VERSION = re.compile(r"/v\d")


@dataclass(frozen=True, slots=True)
class Address:
    """A server that speaks the protocol. `label`: as people know it; `key`: what no message may quote; `hint`: what may
    be wrong with the address where nothing is found there, "" where it looks right."""

    url: str
    label: str
    key: str
    hint: str

    @classmethod
    def of(cls, url: str | None, name: str, key: str) -> "Address":
        """As it was written in the variable `name`, None for OpenAI's own: what people paste around the part that is
        wanted is taken off (slashes, the path of a call, a version twice). Raises SettingsError."""
        if url is None:
            return cls(DEFAULT_BASE_URL, "openai", key, "")
        parts = urlsplit(checked_url(url, name))
        path = _ENDPOINT.sub("", parts.path.rstrip("/")).rstrip("/")
        path = _VERSION_TWICE.sub(r"\1", path)
        whole = urlunsplit(parts._replace(path=path))
        host = host_of(whole)
        hint = "" if _VERSION.search(path) else _version_missing(name, f"{parts.scheme}://{host}{path}/v1")
        return cls(whole, f"openai ({host})", key, hint)

    def refusal(self, error: APIStatusError) -> ProviderError:
        """The error of ours that fits an answer with an HTTP status of failure."""
        status = error.status_code
        body = _content(error)
        detail = said(body) if body.strip() else error.message
        out_of_quota = "insufficient_quota" in (error.code, error.type)
        of_text = error.param not in _SETTINGS_OF_A_REQUEST
        wait = retry_after(error.response.headers)
        return self._problem(status, detail, wait=wait, out_of_quota=out_of_quota, of_text=of_text)

    def broken_off(self, error: APIError) -> ProviderError:
        """The error that fits one inside a stream that began well."""
        inside = {"error": error.body if isinstance(error.body, dict) else error.message}
        found = error_in(json.dumps(inside, default=str).encode())
        if found is not None and found[1] is not None:
            return self._problem(found[1], found[0])
        return ProviderUnavailable(provider=self.label, detail=redacted(error.message, self.key))

    def unusable(self, body: bytes, problem: str) -> ProviderError:
        """The error that fits an answer of success whose body is not what was asked for. `problem`: what it lacks."""
        found = error_in(body)
        if found is not None and found[1] is not None:
            return self._problem(found[1], found[0])
        text = f"{problem}: {said(body)}{self.hint}"
        return ProviderAnswerInvalid(provider=self.label, detail=redacted(text, self.key))

    def _problem(
        self,
        status: int,
        detail: str,
        *,
        wait: float | None = None,
        out_of_quota: bool = False,
        of_text: bool = True,
    ) -> ProviderError:
        detail = redacted(detail + (self.hint if status in {404, 405} else ""), self.key)
        if status == 429 and _too_large(detail):
            return ProviderRefusedInput(provider=self.label, detail=detail, http_status=status)
        if status == 429 and not out_of_quota:
            return ProviderBusy(provider=self.label, detail=detail, retry_after=wait)
        if status in {400, 413, 422} and of_text:
            return ProviderRefusedInput(provider=self.label, detail=detail, http_status=status)
        if status >= 500 or status in {408, 409, 425}:
            return ProviderUnavailable(provider=self.label, detail=detail, retry_after=wait)
        return ProviderRejected(provider=self.label, detail=detail, http_status=status)


def _too_large(detail: str) -> bool:
    """Whether a 429 is that of a request that alone exceeds what a minute holds: waiting does not help."""
    found = _LIMIT.search(detail)
    return "request too large" in detail.lower() or (found is not None and int(found[2]) > int(found[1]))


def _content(error: APIStatusError) -> bytes:
    try:
        return error.response.content
    except RuntimeError:  # it was not read to its end
        return b""


def _version_missing(name: str, likely: str) -> str:
    return tr(f" ({name} no termina en /v1: ¿es {likely}?)", f" ({name} does not end in /v1: is it {likely}?)")
