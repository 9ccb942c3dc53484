"""Documents' services over a server that speaks the provider's protocol."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.providers.server import ProviderServer

from ateneo.embedding.service import EmbeddingService
from ateneo.providers.openai import OpenAIEmbedder


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
async def embedding(provider: ProviderServer) -> AsyncIterator[EmbeddingService]:
    embedder = OpenAIEmbedder(api_key="k", model="modelo-x", base_url=provider.url, timeout_s=10)
    async with EmbeddingService(embedder, retries=0) as service:
        yield service
