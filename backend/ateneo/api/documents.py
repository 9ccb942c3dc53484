"""`/documents`: a company's files, uploaded, listed, deleted."""

import json
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile

from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenHouse, Tenant, refuse_other
from ateneo.api.trail import count
from ateneo.errors import BadArgument
from ateneo.lang import both, tr
from ateneo.types import StoredDocument

PATH = "/documents"
router = APIRouter(tags=["documents"], responses=RESPONSES)

_FIELD_BYTES = 64 * 1024
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "title": {"type": "string", "examples": ["Manual de la autoclave"]},
                        "document_id": {"type": "string", "description": both("uno propio", "one of your own")},
                        "metadata": {"type": "string", "description": "JSON", "examples": ['{"area": "calidad"}']},
                    },
                }
            }
        },
    }
}


class DocumentResponse(BaseModel):
    """`status`: created, replaced, unchanged (the same bytes were there already), or stored (in a list)."""

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


class DocumentPage(BaseModel):
    """`next` is the `after` of the next page, null where there is none."""

    documents: list[DocumentResponse]
    next: str | None = Field(examples=["manual-autoclave.pdf"])


@router.post(
    PATH,
    operation_id="upload_document",
    summary=both("Carga un archivo (PDF, DOCX, HTML, Markdown...)", "Loads a file (PDF, DOCX, HTML, Markdown...)"),
    description=both(
        "El mismo archivo otra vez no hace nada; otro contenido con el mismo nombre reemplaza al anterior.",
        "The same file again does nothing; other content under the same name replaces the earlier one.",
    ),
    status_code=HTTPStatus.CREATED,
    responses={
        200: {"model": DocumentResponse, "description": both("ya estaba, o reemplazado", "was there, or replaced")}
    },
    openapi_extra=_FORM,
)
async def upload_document(
    request: Request, response: Response, house: OpenHouse, empresa_id: Tenant
) -> DocumentResponse:
    # The form is read here and not by FastAPI, which would take the whole upload in before it asks for the key.
    async with request.form(max_files=1, max_fields=8, max_part_size=_FIELD_BYTES) as form:
        refuse_other(form.getlist("empresa_id"), empresa_id)
        file = _file(form)
        stored = await house.ingestion.process_document(
            file,
            empresa_id,
            name=_base_name(file.filename or ""),
            document_id=_text(form, "document_id"),
            title=_text(form, "title"),
            metadata=_metadata(form),
        )
    count(request, stored.chunks, stored.document_id)
    if stored.status != "created":
        response.status_code = HTTPStatus.OK
    return DocumentResponse.model_validate(stored)


@router.get(
    PATH,
    operation_id="list_documents",
    summary=both("Los documentos, por nombre", "The documents, by name"),
)
async def list_documents(
    request: Request,
    house: OpenHouse,
    empresa_id: Tenant,
    limit: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": 1000})] = 100,
    after: Annotated[
        str | None, Query(description=both("`next` de la página anterior", "`next` of the last page"))
    ] = None,
) -> DocumentPage:
    found: list[StoredDocument] = await house.ingestion.list_documents(empresa_id, limit=limit, after=after)
    count(request, len(found))
    return DocumentPage(
        documents=[DocumentResponse.model_validate(one) for one in found],
        next=found[-1].source if len(found) == limit else None,
    )


@router.delete(
    f"{PATH}/{{document_id}}",
    operation_id="delete_document",
    summary=both("Borra un documento y todo lo suyo", "Deletes a document and all that is its"),
    status_code=HTTPStatus.NO_CONTENT,
)
async def delete_document(house: OpenHouse, empresa_id: Tenant, document_id: Annotated[str, Path()]) -> None:
    await house.ingestion.delete_document(empresa_id, document_id)


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
