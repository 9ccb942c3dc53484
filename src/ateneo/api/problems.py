"""Errors as `application/problem+json` (RFC 9457): what happened, its stable code, and what to do about it."""

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from ateneo.errors import AccessDenied, AteneoError, BadArgument, ProviderBusy, RateLimited, RequestRunning
from ateneo.i18n import tr
from ateneo.text.clean import shown_on_a_line
from ateneo.text.json_size import depth_rule
from ateneo.unexpected import as_ours, log_unexpected
from ateneo.validation_messages import broken_rule

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger("ateneo.api")


class Problem(BaseModel):
    """`code` is stable, for programs; `detail` and `remedy` are for people, in the language of Accept-Language."""

    type: str = Field(examples=["urn:ateneo:problem:empty-query"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["La consulta está vacía."])
    code: str = Field(examples=["empty-query"])
    remedy: str = Field("", examples=["Escribí una pregunta."])
    errors: list[dict[str, str]] = Field([], description="one for each field that is wrong: field, message")


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "problem+json: 401, 403, 404, 413, 415, 422, 429, 500, 502, 503",
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
}
"""For the OpenAPI description of a route: whatever goes wrong has one shape."""


class ProblemResponse(Response):
    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        # A lone surrogate that came in must not stop the answer that complains about it.
        return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def problem(
    status: int,
    code: str,
    detail: str,
    remedy: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
    more: Mapping[str, Any] | None = None,
) -> ProblemResponse:
    """`more`: what a program of another protocol reads beside it."""
    body = {
        "type": f"urn:ateneo:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "remedy": remedy,
    }
    return ProblemResponse(body | ({"errors": errors} if errors else {}) | dict(more or {}), status, headers)


def of_error(error: AteneoError, status: int | None = None, more: Mapping[str, Any] | None = None) -> ProblemResponse:
    """The problem that an error of ours is; `status` where it is another than the error's own, `more` as above."""
    headers = {}
    if isinstance(error, AccessDenied) and error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="ateneo"'
    if isinstance(error, ProviderBusy | RateLimited | RequestRunning) and error.fields.get("retry_after") is not None:
        headers["Retry-After"] = str(math.ceil(float(str(error.fields["retry_after"]))))
    shown = status or error.status
    if shown >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("problem", code=error.code, detail=shown_on_a_line(error.loggable))
    return problem(shown, error.code, error.message, error.remedy, headers=headers, more=more)


def install(app: FastAPI) -> None:
    """Makes every error that `app` answers with a problem."""
    app.add_exception_handler(AteneoError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_http)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AteneoError)
    return of_error(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _field(item["loc"]), "message": broken_rule(item)} for item in error.errors()]
    said = "; ".join(f"{item['field']}: {item['message']}" for item in errors)
    detail = tr(f"El pedido no es válido. {said}.", f"The request is not valid. {said}.")
    return problem(422, "validation", detail, tr("Los campos están en /docs.", "See /docs."), errors=errors)


def _field(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc[1:] or loc)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, AteneoError):
        return of_error(error.__cause__)
    if isinstance(error.__cause__, RecursionError):
        return of_error(BadArgument(name="JSON", value="…", rule=depth_rule()))
    known = {
        404: ("not-found", tr("Esa dirección no existe.", "There is nothing at this address.")),
        405: ("method-not-allowed", tr("Esa dirección no admite este método.", "This method is not allowed here.")),
    }
    code, detail = known.get(error.status_code, ("http", str(error.detail)))
    return problem(error.status_code, code, detail, headers=error.headers)


def unexpected(scope: Scope, error: Exception) -> Response:
    """What is answered to an exception that nobody foresaw, which is logged."""
    request_id, path = scope["state"]["request_id"], scope["path"]
    log_unexpected(error, path)
    code = as_ours(error, path).code
    detail = tr("Algo falló de nuestro lado.", "Something failed on our side.")
    remedy = tr(f"El registro lo explica: buscá {request_id}.", f"The log explains it: look for {request_id}.")
    return problem(500, code, detail, remedy)
