"""`/documents/{document_id}/original`: the file as it was sent, whole or by ranges (RFC 9110)."""

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import StreamingResponse

from ateneo.api.audit_middleware import count
from ateneo.api.context import response_headers
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.i18n import both
from ateneo.types.jobs import Original

router = APIRouter(tags=["documents"], responses=RESPONSES, route_class=CompanyRoute)

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_NOT_IN_A_TOKEN = re.compile(r"[^A-Za-z0-9._ -]")
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


@router.get(
    "/documents/{document_id}/original",
    operation_id="get_original",
    summary=both("El archivo de un documento, como llegó", "A document's file, as it was sent"),
    description=both(
        "Entero, o por rangos (`Range`); `ETag` es el sha256.", "Whole, or by ranges (`Range`); `ETag` is the sha256."
    ),
    response_class=Response,
    responses={
        200: _BYTES,
        206: {**_BYTES, "description": both("una parte", "a part")},
        304: {"description": both("no cambió", "not modified")},
        416: {"description": both("fuera del archivo", "outside of the file")},
    },
)
async def get_original(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    document_id: Annotated[str, Path()],
    range_: Annotated[str | None, Header(alias="Range", include_in_schema=False)] = None,
) -> Response:
    found = await container.jobs.original(empresa_id, document_id)
    count(request, 1, document_id)
    tag = f'"{found.sha256.hex()}"'
    headers = _headers(request, found, tag)
    if _names(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    asked = range_ if request.headers.get("if-range", tag) == tag else None
    part = _part(asked, found.bytes)
    if part is None:
        return Response(
            status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers=headers | {"Content-Range": f"bytes */{found.bytes}"},
        )
    start, end, partial = part
    headers["Content-Length"] = str(end - start)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{found.bytes}"
    body: AsyncIterator[bytes] = container.jobs.read(empresa_id, found, start, end)
    return StreamingResponse(
        body, HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, headers, media_type=found.mime
    )


def _headers(request: Request, found: Original, tag: str) -> dict[str, str]:
    return response_headers(request.scope["state"]["request_id"]) | {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Disposition": disposition(found.source),
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def disposition(name: str) -> str:
    """An attachment of that name (RFC 6266): plain for old programs, and whole."""
    name = name.rpartition("/")[2]
    return f"attachment; filename=\"{_NOT_IN_A_TOKEN.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}"


def _names(listed: str, tag: str) -> bool:
    return listed.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in listed.split(","))


def _part(asked: str | None, size: int) -> tuple[int, int, bool] | None:
    """(start, end, whether that is a part) of what is asked for: all of it for what is no single range. None: there is
    no such part."""
    found = _RANGE.fullmatch((asked or "").replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return 0, size, False
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return 0, size, False
    return (start, end, True) if start < end else None
