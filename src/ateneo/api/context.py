"""What surrounds every request: its language, its id, the headers of its answer, one line in the log."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ateneo import i18n
from ateneo.i18n import Lang
from ateneo.text.clean import shown_on_a_line

_LANGUAGES: dict[str, Lang] = {"es": "es", "en": "en"}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("ateneo.api")


class RequestContext:
    """ASGI middleware. The log has the path and never the query string, which is what people ask.

    What nobody foresaw ends here, as `failed` answers it: a server's log would have the exception's words and frames.
    """

    def __init__(self, app: ASGIApp, *, default: Lang, failed: Callable[[Scope, Exception], ASGIApp]) -> None:
        self.app = app
        self.default = default
        self.failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        i18n.use(preferred(headers.get("accept-language", ""), self.default))
        request_id = _request_id(headers.get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers = MutableHeaders(scope=message)
                for name, value in response_headers(request_id).items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception as error:  # noqa: BLE001 - the outermost edge of a request
                answer = self.failed(scope, error)
                if not status:  # else the connection ends in the middle of the answer
                    await answer(scope, receive, send_with_headers)
            finally:
                ms = round((time.perf_counter() - started) * 1000, 1)
                _log.info("request", method=scope["method"], path=shown_on_a_line(scope["path"]), status=status, ms=ms)


def response_headers(request_id: str) -> dict[str, str]:
    """no-store, because a shared cache knows nothing of X-API-Key and would mix companies up."""
    return {
        "X-Request-ID": request_id,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Content-Language": i18n.current(),
    }


def preferred(accept_language: str, default: Lang) -> Lang:
    """The one of our languages that an Accept-Language header likes best; `default` where it names none."""
    best, weight = default, 0.0
    for item in accept_language.split(","):
        tag, _, quality = item.strip().partition(";q=")
        try:
            liked = float(quality or 1)
        except ValueError:
            continue
        language = _LANGUAGES.get(tag.split("-")[0].lower())
        if language is not None and liked > weight:
            best, weight = language, liked
    return best


def _request_id(given: str) -> str:
    return given if _ID.fullmatch(given) else uuid.uuid4().hex
