"""`/entrar`, `/salir`: in with a company's key, and out."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from ateneo.console.access import OpenContainer, same_origin, sessions
from ateneo.console.pages import SIGN_IN, CompanyRoute, PageRoute, render
from ateneo.console.session import COOKIE, LONGEST_S
from ateneo.db import keys
from ateneo.errors import AccessDenied, RateLimited, TooManyFailures
from ateneo.i18n import tr
from ateneo.text.clean import clean

router = APIRouter(route_class=PageRoute, include_in_schema=False)
way_out = APIRouter(route_class=CompanyRoute, include_in_schema=False)
FIRST = "/preguntar"
_LONGEST_KEY = 512


@router.get("/")
async def home() -> Response:
    return RedirectResponse(FIRST, HTTPStatus.SEE_OTHER)


@router.get(SIGN_IN)
async def sign_in_page(request: Request, a: Annotated[str, Query()] = "") -> Response:
    return render(request, "sign_in.html", after=_own_address(a), problem="")


@router.post(SIGN_IN, operation_id="console_sign_in", dependencies=[Depends(same_origin)])
async def sign_in(
    request: Request,
    opened: OpenContainer,
    key: Annotated[str, Form(max_length=_LONGEST_KEY)] = "",
    a: Annotated[str, Form()] = "",
) -> Response:
    secret, after = clean(key).strip(), _own_address(a)
    try:
        if not keys.looks_like_one(secret):
            raise AccessDenied()
        request.state.caller = await opened.access.caller(secret, request.client.host if request.client else "")
    except (RateLimited, TooManyFailures) as error:
        return render(request, "sign_in.html", error.status, after=after, problem=f"{error.message} {error.remedy}")
    except AccessDenied:
        problem = tr("Esa clave no abre nada: revisa que esté entera y que siga vigente.",
                     "That key opens nothing: check that it is whole and still valid.")  # fmt: skip
        return render(request, "sign_in.html", HTTPStatus.UNAUTHORIZED, after=after, problem=problem)
    answer = RedirectResponse(after or FIRST, HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        sessions(request).made(secret),
        max_age=LONGEST_S,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@way_out.post("/salir", operation_id="console_sign_out", tags=["search"])
async def sign_out() -> Response:
    answer = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


def _own_address(asked: str) -> str:
    """A path of this server, for where to go on; empty for anything else."""
    return asked if asked.startswith("/") and not asked.startswith(("//", "/\\")) and asked.isprintable() else ""
