"""`/sources`: which tables of the product a company has rows of. Adding one is the operator's: `ateneo sources`."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api.audit_middleware import count
from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.db.sources import own_sources
from ateneo.i18n import both

router = APIRouter(tags=["search"], responses=RESPONSES, route_class=CompanyRoute)


class SourceResponse(BaseModel):
    """`name` is what a filter by `source` takes."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["kb_chunks"])
    rows: int = Field(examples=[2536])


class SourcesResponse(BaseModel):
    sources: list[SourceResponse]


@router.get(
    "/sources",
    operation_id="list_sources",
    summary=both("Las tablas del producto en las que se busca", "The product's tables that are searched"),
)
async def list_sources(request: Request, container: OpenContainer, empresa_id: Tenant) -> SourcesResponse:
    found = await own_sources(container.db, empresa_id)
    count(request, len(found))
    return SourcesResponse(sources=[SourceResponse.model_validate(one) for one in found])
