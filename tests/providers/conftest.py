from collections.abc import Iterator

import pytest
from tests.providers.server import ProviderServer


@pytest.fixture
def provider_server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server
