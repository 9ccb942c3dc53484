"""`/jobs`: uploads on their way to being documents, watched, cancelled, tried again."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData

from ateneo.api import sse
from ateneo.api.audit_middleware import count
from ateneo.api.idempotency import RepeatableRoute
from ateneo.api.limits import MIB
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import OpenContainer, Tenant
from ateneo.errors import AteneoError, BadArgument
from ateneo.i18n import both
from ateneo.settings import Settings
from ateneo.types.jobs import Job

PATH = "/jobs"
router = APIRouter(tags=["documents"], responses=RESPONSES, route_class=RepeatableRoute)

_WAIT = both(
    "true: contesta cuando el documento está guardado; false: enseguida, con 202; sin él, según el tamaño",
    "true: answers when the document is stored; false: at once, by 202; without it, by the size",
)
WAIT_FIELD: dict[str, Any] = {"type": "boolean", "description": _WAIT}
Wait = Annotated[bool | None, Query(description=_WAIT)]
JobId = Annotated[str, Path(examples=["0b8d6c1e-5a0e-4b53-9a57-8f6d2f6f3c11"])]


class JobErrorResponse(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    code: str = Field(examples=["document-corrupt"])
    message: str = Field(examples=["manual.pdf no se puede leer: no es un PDF."])
    remedy: str = Field(examples=["Abrilo y guardalo otra vez."])


class JobResponse(BaseModel):
    """`state`: queued, reading, chunking, embedding; at its end ready, unchanged (the bytes were there), superseded (a
    later upload was quicker), failed or cancelled. `status`: what became of the document, as in its own answer.

    `embedded` of `chunks`; `error`: why it failed, or what its last try ended with; `bulk`: nobody waits for it.
    """

    model_config = ConfigDict(from_attributes=True)

    job_id: str = Field(examples=["0b8d6c1e-5a0e-4b53-9a57-8f6d2f6f3c11"])
    state: str = Field(examples=["embedding"])
    source: str = Field(examples=["manual-autoclave.pdf"])
    bytes: int = Field(examples=[18_231_100])
    document_id: str | None = Field(examples=["0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"])
    status: str | None = Field(examples=[None])
    chunks: int | None = Field(examples=[340])
    embedded: int = Field(examples=[128])
    attempts: int = Field(examples=[1])
    error: JobErrorResponse | None
    bulk: bool = Field(examples=[False])
    created_at: str = Field(examples=["2026-11-27T16:00:00+00:00"])
    started_at: str | None = Field(examples=["2026-11-27T16:00:01+00:00"])
    updated_at: str = Field(examples=["2026-11-27T16:00:07+00:00"])
    ended_at: str | None = Field(examples=[None])
    next_try_at: str | None = Field(examples=[None])


class JobPage(BaseModel):
    """`next` is the `after` of the next page, null where there is none."""

    jobs: list[JobResponse]
    next: str | None = Field(examples=["0b8d6c1e-5a0e-4b53-9a57-8f6d2f6f3c11"])


QUEUED: dict[str, Any] = {
    "model": JobResponse,
    "description": both("guardado; se lee después (`Location`)", "stored, to be read later (`Location`)"),
}


def waits(asked: bool | None, form: FormData, size: int, settings: Settings) -> bool:
    """Whether an upload is answered when its document is stored."""
    if asked is None:
        asked = _yes_or_no(form)
    return size <= settings.wait_mb * MIB if asked is None else asked


def _yes_or_no(form: FormData) -> bool | None:
    value = form.get("wait")
    if value is None or value == "":
        return None
    text = value.lower() if isinstance(value, str) else ""
    if text not in ("true", "false", "1", "0"):
        raise BadArgument(name="wait", value=str(value)[:40], rule="true, false")
    return text in ("true", "1")


def accepted(request: Request, job: Job) -> Response:
    """The answer to an upload that is read later."""
    count(request, 0, job.job_id)
    body = JobResponse.model_validate(job).model_dump()
    return JSONResponse(
        body, HTTPStatus.ACCEPTED, {"Location": f"{request.scope.get('root_path', '')}{PATH}/{job.job_id}"}
    )


@router.get(
    PATH,
    operation_id="list_jobs",
    summary=both("Las cargas, de la más nueva a la más vieja", "The jobs, the newest first"),
)
async def list_jobs(
    request: Request,
    container: OpenContainer,
    empresa_id: Tenant,
    state: Annotated[list[str] | None, Query(description=both("de estos estados", "of these states"))] = None,
    limit: Annotated[int, Query(json_schema_extra={"minimum": 1, "maximum": 1000})] = 100,
    after: Annotated[
        str | None, Query(description=both("`next` de la página anterior", "`next` of the last page"))
    ] = None,
) -> JobPage:
    found = await container.jobs.listed(empresa_id, states=state, after=after, limit=limit)
    count(request, len(found))
    shown = [JobResponse.model_validate(one) for one in found]
    return JobPage(jobs=shown, next=found[-1].job_id if len(found) == limit else None)


@router.get(f"{PATH}/{{job_id}}", operation_id="get_job", summary=both("Una carga", "A job"))
async def get_job(request: Request, container: OpenContainer, empresa_id: Tenant, job_id: JobId) -> JobResponse:
    found = await container.jobs.get(empresa_id, job_id)
    count(request, 1)
    return JobResponse.model_validate(found)


@router.get(
    f"{PATH}/{{job_id}}/events",
    operation_id="watch_job",
    summary=both("Una carga, mientras avanza", "A job, as it goes on"),
    description=both(
        "Eventos (server-sent events): `job` cada vez que cambia, con lo de `GET /jobs/{job_id}`, y `end` al terminar.",
        "Server-sent events: `job` whenever it changes, as `GET /jobs/{job_id}`, and `end` when it has ended.",
    ),
    response_class=Response,
    responses={200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def watch_job(request: Request, container: OpenContainer, empresa_id: Tenant, job_id: JobId) -> Any:
    events = container.jobs.events(empresa_id, job_id)
    count(request, 1)
    return await sse.respond(events, _framed, _broken, request.scope["state"]["request_id"])


@router.post(
    f"{PATH}/{{job_id}}/cancel",
    operation_id="cancel_job",
    summary=both("Cancela una carga que no terminó", "Cancels a job that has not ended"),
    description=both("La que está en curso termina un momento después.", "One that is under way ends a moment later."),
)
async def cancel_job(container: OpenContainer, empresa_id: Tenant, job_id: JobId) -> JobResponse:
    return JobResponse.model_validate(await container.jobs.cancel(empresa_id, job_id))


@router.post(
    f"{PATH}/{{job_id}}/retry",
    operation_id="retry_job",
    summary=both("Intenta otra vez una carga que falló", "Tries a failed job again"),
)
async def retry_job(container: OpenContainer, empresa_id: Tenant, job_id: JobId) -> JobResponse:
    return JobResponse.model_validate(await container.jobs.retry(empresa_id, job_id))


def _framed(job: Job) -> bytes:
    shown = asdict(job)
    del shown["empresa_id"]
    return sse.frame("job" if job.open else "end", shown)


def _broken(error: AteneoError) -> bytes:
    return sse.frame("error", {"code": error.code, "detail": error.message, "remedy": error.remedy})
