"""`/documentos`: what the company has, how each file was read, and how it was cut."""

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from ateneo.console.access import Company, OpenContainer
from ateneo.console.pages import CompanyRoute, render
from ateneo.container import Container
from ateneo.db import document_chunks
from ateneo.errors import AteneoError
from ateneo.ingestion.upload import place
from ateneo.text.clean import clean
from ateneo.types import StoredDocument

router = APIRouter(route_class=CompanyRoute, include_in_schema=False)
PATH = "/documentos"
_LISTED = 50
_CHUNKS = 100
_MOST_FILES = 50

DocumentId = Annotated[str, Path(max_length=500)]


@router.get(PATH, operation_id="console_documents")
async def documents_page(
    request: Request, opened: OpenContainer, empresa_id: Company, after: Annotated[str, Query()] = ""
) -> Response:
    return await _page(request, opened, empresa_id, after or None, (), ())


@router.post(PATH, operation_id="console_upload")
async def upload(request: Request, opened: OpenContainer, empresa_id: Company) -> Response:
    """Stores each file; what is wrong with one is said beside the others."""
    stored: list[StoredDocument] = []
    refused: list[tuple[str, AteneoError]] = []
    async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FILES) as form:
        for file in form.getlist("file"):
            if not isinstance(file, UploadFile) or not file.filename:
                continue
            name = PurePosixPath(file.filename.replace("\\", "/")).name
            try:
                stored.append(await opened.ingestion.process_document(file, empresa_id, name=name, replace=True))
            except AteneoError as error:
                refused.append((name, error))
    request.state.results = len(stored)
    return await _page(request, opened, empresa_id, None, stored, refused)


@router.get(f"{PATH}/{{document_id}}", operation_id="console_document")
async def document_page(
    request: Request,
    opened: OpenContainer,
    empresa_id: Company,
    document_id: DocumentId,
    desde: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    found = await opened.ingestion.get_document(empresa_id, clean(document_id))
    chunks = await document_chunks.page(opened.db, empresa_id, found.document_id, skip=desde, limit=_CHUNKS)
    more = desde + len(chunks) if len(chunks) == _CHUNKS else None
    return render(request, "document.html", document=found, chunks=chunks, first=desde, more=more)


@router.post(f"{PATH}/{{document_id}}/borrar", operation_id="console_delete_document")
async def delete(opened: OpenContainer, empresa_id: Company, document_id: DocumentId) -> Response:
    await opened.ingestion.delete_document(empresa_id, clean(document_id))
    return RedirectResponse(PATH, HTTPStatus.SEE_OTHER)


async def _page(
    request: Request,
    opened: Container,
    empresa_id: str,
    after: str | None,
    stored: Sequence[StoredDocument],
    refused: Sequence[tuple[str, AteneoError]],
) -> Response:
    found = await opened.ingestion.list_documents(empresa_id, limit=_LISTED, after=after)
    return render(
        request,
        "documents.html",
        documents=found,
        more=place(found[-1]) if len(found) == _LISTED else None,
        first=after is None,
        stored=stored,
        refused=refused,
    )
