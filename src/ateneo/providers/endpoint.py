"""What clients of services over HTTP share: keys and addresses as people write them, and what an answer says."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

from ateneo.errors import SettingsError
from ateneo.i18n import tr
from ateneo.text.clean import clean

_LONGEST_QUOTE = 300
_SHORTEST_KEY = 8
"""A shorter one is a stand-in for servers that need none ("none", "ollama"), and may be a word of the message."""
_ANY_KEY = re.compile(r"\bsk-[\w*.-]+")
EVENTS = (b"data:", b"event:", b"id:", b":")
"""How server-sent events begin."""
_PAGE = re.compile(r"\s*<(!doctype|html|\?xml)", re.IGNORECASE)


def checked_key(key: str | None, name: str, *, needed: bool = False) -> str:
    """The key without what surrounds it, "" where there is none. Raises SettingsError, which names the variable, for
    one of no use."""
    key = (key or "").strip()
    if not key and needed:
        raise SettingsError(name=name, detail=tr("no está configurada.", "it is not set."))
    if not (key.isascii() and key.isprintable()) or set(key) & set(" \"'"):
        detail = tr("tiene caracteres que una clave no lleva.", "it has characters that no key has.")
        raise SettingsError(name=name, detail=detail)
    return key


def checked_url(url: str, name: str) -> str:
    """The address without what surrounds it, and without a slash at its end. Raises SettingsError, which names the
    variable, for what is no http(s) address."""
    url = url.strip()
    if not host_of(url) or not url.isprintable() or " " in url:
        detail = tr("no es una dirección http:// o https://.", "it is not an http:// or https:// address.")
        raise SettingsError(name=name, detail=detail)
    return url.rstrip("/")


def host_of(url: str) -> str:
    """The host and port of an http(s) address: what a message may show of it (the rest can hold a password)."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in {"http", "https"}:
        return ""
    return f"{host}:{port}" if port else host


def redacted(message: str, key: str) -> str:
    """A vendor's message, shortened, without the key that it may quote."""
    quoted = key if len(key) >= _SHORTEST_KEY else None
    return clean(_ANY_KEY.sub("***", message.replace(quoted, "***") if quoted else message)[:500])


def said(body: bytes) -> str:
    """What an answer says that is not what was asked for: its error, or its beginning."""
    found = error_in(body)
    if found is not None:
        return found[0]
    text = " ".join(clean(body[: 4 * _LONGEST_QUOTE].decode("utf-8", "replace")).split())
    if _PAGE.match(text):
        return tr("es una página web, no una respuesta de la API", "it is a web page, not an answer of the API")
    if not text:
        return tr("está vacía", "it is empty")
    return text[:_LONGEST_QUOTE]


def error_in(body: bytes) -> tuple[str, int | None] | None:
    """The message and the HTTP status of an error in a JSON answer, in the shapes that servers have; None where there
    is no error in it."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    error = answer.get("error") or answer.get("errors") or answer.get("detail") or answer.get("message")
    error = error[0] if isinstance(error, list) and error else error
    if not error:
        return None
    inner: dict[str, Any] = error if isinstance(error, dict) else {}
    message = inner.get("message") or inner.get("msg") or inner.get("detail") or error
    text = clean(message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)) or ascii(message)
    codes = (source.get(name) for source in (inner, answer) for name in ("status", "code", "status_code"))
    return text[:_LONGEST_QUOTE], next((code for code in map(_status, codes) if code), None)


def is_stream(content_type: str) -> bool:
    """Whether a body of this type may be server-sent events: servers give them all sorts of names."""
    return content_type.partition(";")[0].strip().lower() not in ("application/json", "text/html")


def _status(code: object) -> int | None:
    try:
        number = int(str(code))
    except ValueError:
        return None
    return number if 400 <= number <= 599 else None
