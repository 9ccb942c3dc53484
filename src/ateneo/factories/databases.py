"""The database that the settings name."""

from typing import TYPE_CHECKING

from ateneo.db.pool import Database
from ateneo.settings import Settings

if TYPE_CHECKING:
    from ateneo.embedding.model_in_use import Difference
    from ateneo.embedding.service import EmbeddingService


async def open_database(settings: Settings, *, guarded: bool = False) -> Database:
    """`guarded`: as `Database.open`. Raises DatabaseUrlMissing, SettingsError, DatabaseUnavailable."""
    secret = settings.tenant_secret
    return await Database.open(
        settings.require_database_url(),
        size=settings.pool_size,
        guarded=guarded,
        tenant_secret=secret.get_secret_value() if secret else None,
    )


async def model_difference(db: Database, settings: Settings, embedding: "EmbeddingService") -> "Difference | None":
    """Of the model in use from the settings' own, `embedding`."""
    from ateneo.embedding.model_in_use import difference

    asked = settings.embedding_dimensions if embedding.provider == "openai" else None
    return await difference(db, embedding, asked)
