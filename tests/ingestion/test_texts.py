"""Texts that the caller divides: what their metadata may not say."""

import pytest
from tests.providers.server import ProviderServer

from ateneo.db import generations
from ateneo.db.pool import Database
from ateneo.db.search import Query, search
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument
from ateneo.ingestion.texts import TextService


@pytest.mark.parametrize("value", [5, "p. 3", [1, 2, 3], None])
async def test_page_breaks_are_not_the_callers_to_say(
    database: Database, embedding: EmbeddingService, provider: ProviderServer, value: object
) -> None:
    await generations.create(database, embedding.provider, embedding.model, provider.dims)
    texts = TextService(database, embedding)
    with pytest.raises(BadArgument, match="page_breaks"):
        await texts.add("acme", ["El portón abre a las siete."], [{"$page_breaks": value}])
    await texts.add("acme", ["El portón abre a las siete."], [{"turno": "mañana"}])
    [hit] = (await search(database, Query("acme", "portón"), schema="public")).hits
    assert hit.page_breaks == ()
