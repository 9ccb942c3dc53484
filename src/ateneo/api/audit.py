"""`/audit`: who did what with a company's documents, for keys with the scope admin."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from ateneo.api.problems import RESPONSES
from ateneo.api.tenant import CompanyRoute, OpenContainer, Tenant
from ateneo.db import audit
from ateneo.errors import BadArgument
from ateneo.i18n import both, tr

LARGEST_PAGE = 1000
_LIMIT_RANGE: dict[str, Any] = {"minimum": 1, "maximum": LARGEST_PAGE}
router = APIRouter(tags=["admin"], responses=RESPONSES, route_class=CompanyRoute)


class EntryResponse(BaseModel):
    """`actor`: key:<id>, jwt:<subject> or cli:<user>; `results`: how many passages or documents went out or came in."""

    model_config = ConfigDict(from_attributes=True)

    audit_id: int = Field(examples=[1204])
    at: str = Field(examples=["2026-11-22T16:00:00Z"])
    actor: str = Field(examples=["key:0197b1c2-6f1e-4b7e-9d55-0c7f5a3a9f10"])
    action: str = Field(examples=["search_semantic"])
    target: str | None
    status: int = Field(examples=[200])
    results: int | None = Field(examples=[10])
    request_id: str | None


class AuditPage(BaseModel):
    """`next` is the `before` of the next page, null where there is none."""

    entries: list[EntryResponse]
    next: int | None


@router.get(
    "/audit",
    operation_id="list_audit",
    summary=both("Quién hizo qué, lo último primero", "Who did what, newest first"),
)
async def list_audit(
    container: OpenContainer,
    empresa_id: Tenant,
    limit: Annotated[int, Query(json_schema_extra=_LIMIT_RANGE)] = 100,
    before: Annotated[
        int | None, Query(description=both("`next` de la página anterior", "`next` of the last page"))
    ] = None,
) -> AuditPage:
    if not 1 <= limit <= LARGEST_PAGE:
        rule = tr(f"va de 1 a {LARGEST_PAGE}", f"it goes from 1 to {LARGEST_PAGE}")
        raise BadArgument(name="limit", value=limit, rule=rule)
    if before is not None and not 0 <= before < 2**63:
        raise BadArgument(name="before", value=before, rule=tr("es el `next` de una página", "it is a page's `next`"))
    found = await audit.page(container.db, empresa_id, limit=limit, before=before)
    return AuditPage(
        entries=[EntryResponse.model_validate(one) for one in found],
        next=found[-1].audit_id if len(found) == limit else None,
    )
