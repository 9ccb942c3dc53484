"""The HTTP API: `uvicorn --factory ateneo.api.app:create_app`, or `ateneo serve`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from ateneo.api import agents, audit, conversations, documents, health, metrics, problems, reference, search
from ateneo.api.context import RequestContext
from ateneo.api.limits import MIB, BodyLimit
from ateneo.api.trail import Audited
from ateneo.lang import both, in_current
from ateneo.settings import Settings, load
from ateneo.wiring import House


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application; its House is opened when it starts and closed when it stops.

    Raises SettingsError here, DatabaseUnavailable at its start.
    """
    chosen = settings or load()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with await House.open(chosen) as house:
            app.state.house = house
            yield

    app = FastAPI(
        title="Ateneo",
        version=version("ateneo"),
        summary=both("Los documentos de una empresa, por su significado", "A company's documents, by meaning"),
        description=both(
            "La clave de API dice de qué empresa es cada pedido. Los errores son problem+json.",
            "The API key says which company a request is of. Errors are problem+json.",
        ),
        lifespan=lifespan,
        # FastAPI's own pages take their scripts from a CDN
        docs_url=None,
        redoc_url=None,
    )
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, upload_path=documents.PATH, upload_bytes=chosen.max_upload_mb * MIB)
    app.add_middleware(Audited, house=lambda: app.state.house)
    app.add_middleware(RequestContext, default=chosen.lang)
    problems.install(app)
    reference.install(app)
    for room in (search, documents, agents, conversations, audit, health, metrics):
        app.include_router(room.router)
    app.include_router(agents.definitions)
    described = app.openapi
    app.openapi = lambda: in_current(described())  # type: ignore[method-assign]
    return app
