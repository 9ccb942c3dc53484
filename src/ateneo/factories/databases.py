"""The database that the settings name."""

from typing import TYPE_CHECKING

from ateneo.db.pool import Database
from ateneo.errors import SettingsError
from ateneo.settings import Settings

if TYPE_CHECKING:
    from ateneo.embedding.model_in_use import Difference
    from ateneo.embedding.service import EmbeddingService


async def open_database(settings: Settings, *, guarded: bool = False) -> Database:
    """`guarded`, as `Database.open`: what serves companies, through a pooler if one stands there. Else by
    ATENEO_DIRECT_URL where it is set. Raises DatabaseUrlMissing, SettingsError, DatabaseUnavailable."""
    secret = settings.tenant_secret
    url = None if guarded else settings.own_session_url
    try:
        return await Database.open(
            url or settings.require_database_url(),
            size=settings.pool_size,
            guarded=guarded,
            tenant_secret=secret.get_secret_value() if secret else None,
        )
    except SettingsError as error:
        if settings.direct_url is None or guarded:
            raise
        raise SettingsError(**error.fields | {"name": "ATENEO_DIRECT_URL"}) from None


async def model_difference(db: Database, settings: Settings, embedding: "EmbeddingService") -> "Difference | None":
    """Of the model in use from the settings' own, `embedding`."""
    from ateneo.embedding.model_in_use import difference

    asked = settings.embedding_dimensions if embedding.provider == "openai" else None
    return await difference(db, embedding, asked)
