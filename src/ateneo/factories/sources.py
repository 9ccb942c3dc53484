"""The product's tables as sources, for whoever operates the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ateneo.db import versions
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_models
from ateneo.factories.ingestion import chunk_sizes
from ateneo.settings import Settings
from ateneo.sources.service import SourceService


@asynccontextmanager
async def open_sources(settings: Settings) -> AsyncIterator[SourceService]:
    """As the login itself, not as the application's role. Raises NotUpgraded, SchemaNewer, and what opening the
    database raises."""
    models = make_models(settings)
    async with await open_database(settings) as db:
        await versions.check(db)
        try:
            yield SourceService(db, models, **chunk_sizes(settings))
        finally:
            await models.close()
