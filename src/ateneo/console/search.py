"""`/buscar`: what a search finds, and why it stands where it stands."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from ateneo.console.access import Company, OpenContainer
from ateneo.console.pages import CompanyRoute, render
from ateneo.errors import AteneoError, BadArgument, EmptyQuery
from ateneo.i18n import tr
from ateneo.search.options import SearchOptions
from ateneo.text.clean import clean
from ateneo.types import Mode, SearchResult

router = APIRouter(route_class=CompanyRoute, include_in_schema=False, tags=["search"])


@router.get("/buscar", operation_id="console_search")
async def search(
    request: Request,
    opened: OpenContainer,
    empresa_id: Company,
    q: Annotated[str, Query()] = "",
    k: Annotated[str, Query()] = "10",
    mode: Annotated[Mode, Query()] = "hybrid",
    weight: Annotated[str, Query()] = "",
    min_score: Annotated[str, Query()] = "",
) -> Response:
    asked = {"q": clean(q), "k": k, "mode": mode, "weight": weight, "min_score": min_score}
    found: SearchResult | None = None
    problem = ""
    try:
        if asked["q"].strip():
            options = SearchOptions(
                k=int(_number("k", k or "10") or 0),
                mode=mode,
                dense_weight=_number("weight", weight),
                min_score=_number("min_score", min_score),
                highlight=True,
                explain=True,
            )
            found = await opened.search.search(empresa_id, asked["q"], options=options)
            request.state.results = len(found.hits)
    except (BadArgument, EmptyQuery) as error:
        problem = _said(error)
    return render(request, "search.html", asked=asked, found=found, problem=problem)


def _number(name: str, text: str) -> float | None:
    """None for none. Raises BadArgument."""
    if not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise BadArgument(
            name=name, value=text[:40], rule=tr("tiene que ser un número", "it must be a number")
        ) from None


def _said(error: AteneoError) -> str:
    return f"{error.message} {error.remedy}".strip()
