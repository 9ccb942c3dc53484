"""`/documents`: a company's files, uploaded, listed, deleted."""

import json
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile

from ateneo.api.audit_middleware import count
from ateneo.api.idempotency import RepeatableRoute
from ateneo.api.jobs import QUEUED, WAIT_FIELD, Wait, accepted, waits
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenContainer, Tenant, refuse_other
from ateneo.errors import BadArgument
from ateneo.i18n import both, tr
from ateneo.ingestion.upload import place
from ateneo.types import ReadingReport, StoredDocument

PATH = "/documents"
router = APIRouter(tags=["documents"], responses=RESPONSES, route_class=RepeatableRoute)

_FIELD_BYTES = 64 * 1024
_IDENTITY: dict[str, Any] = {
    "document_id": {"type": "string", "description": both("uno propio", "one of your own")},
    "external_id": {
        "type": "string",
        "description": both("tu id; document_id lo pone Ateneo", "your id; Ateneo makes document_id"),
    },
    "replace": {
        "type": "boolean",
        "description": both("reemplaza al único del mismo nombre", "replaces the only one of the same name"),
    },
}


def _form(more: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "file": {"type": "string", "format": "binary"},
        "title": {"type": "string", "examples": ["Manual de la autoclave"]},
        **more,
        "wait": WAIT_FIELD,
        "metadata": {"type": "string", "description": "JSON", "examples": ['{"area": "calidad"}']},
    }
    schema = {"type": "object", "required": ["file"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _locate_form() -> dict[str, Any]:
    properties = {
        "file": {"type": "string", "format": "binary"},
        "quote": {"type": "string", "examples": ["la cuota vence el día diez"]},
        "page": {"type": "integer", "minimum": 1},
    }
    schema = {"type": "object", "required": ["file", "quote"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


class DocumentResponse(BaseModel):
    """`status`: created; replaced (a new version); updated (the same bytes, another title or metadata); unchanged;
    superseded (a later upload was quicker, and this one is not stored); stored (in a list).

    `same_name` and `same_bytes`, after it was created: the newest other documents with its name, or its bytes.

    `reading`: the pages without text, and those of them read by OCR; the tables, the attachments; what was skipped.
    """

    model_config = ConfigDict(from_attributes=True)

    document_id: str = Field(examples=["0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"])
    title: str = Field(examples=["Manual de la autoclave"])
    source: str = Field(examples=["manual-autoclave.pdf"])
    mime: str = Field(examples=["application/pdf"])
    chunks: int = Field(examples=[14])
    bytes: int = Field(examples=[182_311])
    pages: int | None = Field(examples=[6])
    status: str = Field(examples=["created"])
    created_at: str | None = Field(examples=["2026-11-22T16:00:00+00:00"])
    metadata: dict[str, Any] = Field(examples=[{"area": "calidad", "language": "es"}])
    origin: str | None = Field(examples=["contratos"])
    external_id: str | None = Field(examples=["2026/manual-autoclave.pdf"])
    same_name: tuple[str, ...] = Field(examples=[[]])
    same_bytes: tuple[str, ...] = Field(examples=[[]])
    reading: ReadingReport | None


class BoxResponse(BaseModel):
    """In points from the page's lower left corner."""

    model_config = ConfigDict(from_attributes=True)

    left: float = Field(examples=[72.0])
    bottom: float = Field(examples=[610.5])
    right: float = Field(examples=[420.3])
    top: float = Field(examples=[622.0])


class MarkedPageResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    page: int = Field(examples=[2])
    width: float = Field(examples=[595.3])
    height: float = Field(examples=[841.9])
    boxes: list[BoxResponse]


class LocatedQuote(BaseModel):
    pages: list[MarkedPageResponse]


class DocumentPage(BaseModel):
    """`next` is the `after` of the next page, null where there is none."""

    documents: list[DocumentResponse]
    next: str | None = Field(examples=["WyJtYW51YWwucGRmIiwgImQxIl0"])


@router.post(
    PATH,
    operation_id="upload_document",
    summary=both("Carga un archivo (PDF, DOCX, HTML, Markdown...)", "Loads a file (PDF, DOCX, HTML, Markdown...)"),
    description=both(
        "Sin document_id ni external_id es un documento nuevo, aunque haya otro con su nombre (same_name). "
        "Con uno de ellos, o con replace, es la versión nueva del que hay.",
        "Without document_id and external_id it is a new document, whatever others have its name (same_name). "
        "With one of them, or with replace, it is a new version of the one that is there.",
    ),
    status_code=HTTPStatus.CREATED,
    responses={
        200: {"model": DocumentResponse, "description": both("ya estaba, o reemplazado", "was there, or replaced")},
        202: QUEUED,
    },
    response_model=DocumentResponse,
    openapi_extra=_form(_IDENTITY),
)
async def upload_document(
    request: Request, response: Response, container: OpenContainer, empresa_id: Tenant, wait: Wait = None
) -> Any:
    arrival = await container.ingestion.arrive(empresa_id)  # now, and not when the last byte is here
    # The form is read here and not by FastAPI, which would take the whole upload in before it asks for the key.
    async with request.form(max_files=1, max_fields=9, max_part_size=_FIELD_BYTES) as form:
        refuse_other(form.getlist("empresa_id"), empresa_id)
        file = _file(form)
        arrived = await container.jobs.arriving(
            file.file,
            empresa_id,
            name=_base_name(file.filename or ""),
            document_id=_text(form, "document_id"),
            external_id=_text(form, "external_id"),
            title=_text(form, "title"),
            metadata=_metadata(form),
            replace=_yes(form, "replace"),
            arrival=arrival,
        )
        if not waits(wait, form, arrived.size, container.settings):
            return accepted(request, await container.jobs.queue(arrived))
        stored = await container.jobs.do(arrived)
    count(request, stored.chunks, stored.document_id)
    if stored.status != "created":
        response.status_code = HTTPStatus.OK
    return DocumentResponse.model_validate(stored)


@router.put(
    f"{PATH}/{{document_id}}",
    operation_id="replace_document",
    summary=both("Reemplaza un documento por otra versión", "Replaces a document by another version"),
    responses={202: QUEUED},
    response_model=DocumentResponse,
    openapi_extra=_form({}),
)
async def replace_document(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    document_id: Annotated[str, Path()],
    wait: Wait = None,
) -> Any:
    arrival = await container.ingestion.arrive(empresa_id)
    async with request.form(max_files=1, max_fields=9, max_part_size=_FIELD_BYTES) as form:
        refuse_other(form.getlist("empresa_id"), empresa_id)
        file = _file(form)
        arrived = await container.jobs.arriving(
            file.file,
            empresa_id,
            document_id=document_id,
            must_exist=True,
            name=_base_name(file.filename or ""),
            title=_text(form, "title"),
            metadata=_metadata(form),
            arrival=arrival,
        )
        if not waits(wait, form, arrived.size, container.settings):
            return accepted(request, await container.jobs.queue(arrived))
        stored = await container.jobs.do(arrived)
    count(request, stored.chunks, stored.document_id)
    return DocumentResponse.model_validate(stored)


@router.get(
    PATH,
    operation_id="list_documents",
    summary=both("Los documentos, por nombre", "The documents, by name"),
)
async def list_documents(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    limit: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": 1000})] = 100,
    after: Annotated[
        str | None, Query(description=both("`next` de la página anterior", "`next` of the last page"))
    ] = None,
) -> DocumentPage:
    found: list[StoredDocument] = await container.ingestion.list_documents(empresa_id, limit=limit, after=after)
    count(request, len(found))
    return DocumentPage(
        documents=[DocumentResponse.model_validate(one) for one in found],
        next=place(found[-1]) if len(found) == limit else None,
    )


@router.get(
    f"{PATH}/{{document_id}}",
    operation_id="get_document",
    summary=both(
        "Un documento: lo guardado de él, y cómo se leyó", "A document: what is stored of it, and its reading"
    ),
)
async def get_document(
    request: Request, container: OpenContainer, empresa_id: Tenant, document_id: Annotated[str, Path()]
) -> DocumentResponse:
    found = await container.ingestion.get_document(empresa_id, document_id)
    count(request, 1, found.document_id)
    return DocumentResponse.model_validate(found)


@router.post(
    f"{PATH}/locate",
    operation_id="locate_quote",
    summary=both("Dónde está una cita en su PDF", "Where a quote stands in its PDF"),
    description=both(
        "El original viaja en el pedido: no se guarda. Sin páginas donde no es seguro.",
        "The original comes along: it is not stored. No pages where that is not sure.",
    ),
    tags=["search"],
    openapi_extra=_locate_form(),
)
async def locate_quote(request: Request, container: OpenContainer, empresa_id: Tenant) -> LocatedQuote:
    async with request.form(max_files=1, max_fields=3, max_part_size=_FIELD_BYTES) as form:
        refuse_other(form.getlist("empresa_id"), empresa_id)
        file = _file(form)
        pages = await container.ingestion.locate(
            file, _text(form, "quote") or "", name=_base_name(file.filename or ""), page=_number(form, "page")
        )
    count(request, len(pages))
    return LocatedQuote(pages=[MarkedPageResponse.model_validate(page) for page in pages])


@router.delete(
    f"{PATH}/{{document_id}}",
    operation_id="delete_document",
    summary=both("Borra un documento y todo lo suyo", "Deletes a document and all that is its"),
    status_code=HTTPStatus.NO_CONTENT,
)
async def delete_document(container: OpenContainer, empresa_id: Tenant, document_id: Annotated[str, Path()]) -> None:
    await container.ingestion.delete_document(empresa_id, document_id)


def _file(form: FormData) -> UploadFile:
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        rule = tr(
            "hace falta un archivo con nombre, como multipart/form-data",
            "a named file is needed, as multipart/form-data",
        )
        raise BadArgument(name="file", value="", rule=rule)
    return file


def _base_name(filename: str) -> str:
    return PurePosixPath(filename.replace("\\", "/")).name


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _number(form: FormData, name: str) -> int | None:
    value = _text(form, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and 0 < len(value) < 8):
        raise BadArgument(name=name, value=value[:40], rule=tr("un número desde 1", "a number from 1"))
    return int(value)


def _yes(form: FormData, name: str) -> bool:
    value = _text(form, name) or "false"
    if value.lower() not in ("true", "false", "1", "0"):
        raise BadArgument(name=name, value=value[:40], rule="true, false")
    return value.lower() in ("true", "1")


def _metadata(form: FormData) -> dict[str, Any] | None:
    text = _text(form, "metadata")
    if text is None:
        return None
    rule = tr("tiene que ser un objeto JSON", "it must be a JSON object")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadArgument(name="metadata", value=text[:40], rule=rule) from error
    if not isinstance(value, dict):
        raise BadArgument(name="metadata", value=text[:40], rule=rule)
    return value
