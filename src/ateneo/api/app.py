"""The HTTP API: `uvicorn --factory ateneo.api.app:create_app`, or `ateneo serve`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from ateneo.api import (
    agents,
    audit,
    conversations,
    dify,
    docs_page,
    documents,
    gaps,
    health,
    jobs,
    metrics,
    openai_protocol,
    originals,
    problems,
    search,
    sources,
)
from ateneo.api.audit_middleware import Audited
from ateneo.api.context import RequestContext
from ateneo.api.limits import MIB, BodyLimit
from ateneo.container import Container
from ateneo.factories.ingestion import open_claims
from ateneo.i18n import both, in_current
from ateneo.settings import Settings, load


@asynccontextmanager
async def _reading(container: Container) -> AsyncIterator[None]:
    """Reads uploads behind their answers, where the settings say so."""
    if not container.settings.serve_jobs:
        yield
        return
    async with (
        await open_claims(container.settings) as claims,
        container.jobs.engine.running(claims, container.settings.serve_jobs),
    ):
        yield


def create_app(settings: Settings | None = None, *, uploads: Sequence[str] = ()) -> FastAPI:
    """The application; its Container is opened when it starts and closed when it stops. Mounted in another
    (docs/how-to/drivers.md) its lifespan is the other's to run. `uploads`: more paths that take files.

    Raises SettingsError here, DatabaseUnavailable at its start.
    """
    chosen = settings or load()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with await Container.open(chosen) as container, _reading(container):
            app.state.container = container
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
    app.add_middleware(BodyLimit, upload_paths=(documents.PATH, *uploads), upload_bytes=chosen.max_upload_mb * MIB)
    app.add_middleware(Audited, container=lambda: app.state.container)
    app.add_middleware(RequestContext, default=chosen.lang, failed=problems.unexpected)
    if chosen.cors_origins:
        origins = [one.strip() for one in chosen.cors_origins.split(",")]
        shown = ["X-Request-ID", "Retry-After", "Idempotency-Replayed"]
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=shown
        )
    problems.install(app)
    docs_page.install(app)
    for module in (
        search,
        sources,
        dify,
        documents,
        originals,
        jobs,
        agents,
        openai_protocol,
        conversations,
        gaps,
        audit,
        health,
        metrics,
    ):
        app.include_router(module.router)
    app.include_router(agents.definitions)
    described = app.openapi
    app.openapi = lambda: in_current(described())  # type: ignore[method-assign]
    return app
