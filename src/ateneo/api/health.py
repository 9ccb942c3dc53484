"""`/health`: the process lives. `/ready`: it can serve."""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from ateneo.api.problems import RESPONSES, of_error
from ateneo.api.tenant import OpenContainer
from ateneo.errors import AteneoError
from ateneo.i18n import both
from ateneo.operations.readiness import check_ready

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    model: str = Field(examples=["local/ateneo-e5-es-v3"])
    vectors: bool = Field(description=both("si ya hay embeddings", "whether there are embeddings yet"))


@router.get("/health", operation_id="health", summary=both("El proceso vive", "The process lives"))
async def health() -> Health:
    return Health()


@router.get(
    "/ready",
    operation_id="ready",
    summary=both("Puede atender: base al día y del mismo modelo", "It can serve: database upgraded, of the same model"),
    response_model=Ready,
    responses=RESPONSES,
)
async def ready(container: OpenContainer) -> Ready | Response:
    try:
        found = await check_ready(container.db, container.models)
    except AteneoError as error:
        return of_error(error, status=503)
    embedding = found.embedding if found else container.embedding
    return Ready(model=f"{embedding.provider}/{embedding.model}", vectors=found is not None)
