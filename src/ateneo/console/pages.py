"""Pages as HTML: the templates, what they may use, and the headers that keep everything else out."""

import hashlib
import secrets
from collections.abc import Callable, Coroutine, Sequence
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ateneo import i18n
from ateneo.console.access import CSRF, SignInNeeded, identify
from ateneo.console.session import Session
from ateneo.errors import AteneoError
from ateneo.i18n import tr
from ateneo.text.clean import showable

FOLDER = Path(__file__).parent
ASSETS = "/estaticos"
SIGN_IN = "/entrar"
_log = structlog.get_logger("ateneo.console")


def render(request: Request, template: str, status: int = HTTPStatus.OK, **values: Any) -> HTMLResponse:
    """The page, for the reader's language. Scripts run by this answer's nonce alone, and nothing comes from outside."""
    nonce = secrets.token_urlsafe(16)
    session: Session | None = getattr(request.state, "session", None)
    caller = getattr(request.state, "caller", None)
    values |= {
        "nonce": nonce,
        "lang": i18n.current(),
        "path": request.url.path,
        "company": caller.empresa_id if session and caller else None,
        "csrf": f"{CSRF}={quote(session.csrf)}" if session else "",
        "version": version("ateneo"),
    }
    # without a referrer browsers send `Origin: null`, which tells nothing
    headers = {"Content-Security-Policy": _policy(nonce), "Referrer-Policy": "same-origin"}
    return HTMLResponse(_environment().get_template(template).render(values), int(status), headers)


def _policy(nonce: str) -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_shown,
    )
    made.globals |= {"t": tr, "asset": asset, "number": i18n.number, "count": i18n.count, "size": i18n.size}
    made.filters |= {"marked": marked, "cited": cited, "percent": i18n.percent}
    return made


def _shown(value: object) -> object:
    """What a template says, without what hides in it."""
    if isinstance(value, Markup):
        return Markup(showable(value))
    return showable(value) if isinstance(value, str) else value


@cache
def asset(name: str) -> str:
    """Its address, which changes with its content."""
    digest = hashlib.sha256((FOLDER / "assets" / name).read_bytes()).hexdigest()[:12]
    return f"{ASSETS}/{name}?v={digest}"


def marked(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """The text with the spans [start, end), in code points, marked; spans that overlap are one."""
    parts, at = [], 0
    for begins, end in sorted(spans):
        start = max(begins, at)
        if end > start:
            parts += [escape(text[at:start]), Markup("<mark>"), escape(text[start:end]), Markup("</mark>")]
            at = end
    return Markup("").join([*parts, escape(text[at:])])


def cited(text: str, numbers: dict[int, str]) -> Markup:
    """The text with each `[n]` as a link to what `numbers` says of it; numbers of nothing stay as they are."""
    out = escape(text)
    for number, target in numbers.items():
        link = Markup('<a class="cite" href="#{}">{}</a>').format(target, number)
        out = Markup(out.replace(f"[{number}]", link))
    return out


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                await self.admit(request)
                return await handle(request)
            except SignInNeeded:
                return _to_sign_in(request)
            except RequestValidationError:
                detail = tr("La dirección o el formulario no son válidos.", "The address or the form is not valid.")
                return render(request, "error.html", HTTPStatus.UNPROCESSABLE_ENTITY, detail=detail, remedy="")
            except AteneoError as error:
                if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    _log.warning("problem", code=error.code, detail=error.loggable)
                return render(request, "error.html", error.status, detail=error.message, remedy=error.remedy)

        return answered

    async def admit(self, request: Request) -> None:
        """Open to everybody."""


class CompanyRoute(PageRoute):
    """A page of one company's; who asks is known before anything of the body is read."""

    async def admit(self, request: Request) -> None:
        await identify(request)


def _to_sign_in(request: Request) -> Response:
    if request.method != "GET" or request.headers.get("hx-request"):
        # what a script asked for is not to be replaced by another page
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": SIGN_IN})
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN}?a={quote(asked)}", HTTPStatus.SEE_OTHER)
