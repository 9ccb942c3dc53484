"""HttpEmbedder against a real server: the four protocols, and every way to fail."""

from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from tests.cli.run import ateneo
from tests.providers.embedding_server import DIMS, KEY, EmbeddingServer, Fault
from tests.providers.server import vector_for

from ateneo.db import migrate
from ateneo.db.pool import Database
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.factories.embedders import embedder_of, make_embedder, new_model
from ateneo.providers.embedding_protocols import SERVICES
from ateneo.providers.http_embedder import HttpEmbedder
from ateneo.settings import load
from ateneo.types import Generation

TEXTS = ["el perro", "la casa", "un árbol"]


@pytest.fixture(params=sorted(SERVICES))
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddingServer]:
    with EmbeddingServer(request.param) as opened:
        yield opened


@pytest.fixture
async def embedder(server: EmbeddingServer) -> AsyncIterator[HttpEmbedder]:
    made = HttpEmbedder(server.service, api_key=KEY, model="modelo-x", url=server.url, timeout_s=5)
    yield made
    await made.close()


async def test_vectors_come_in_the_order_asked(server: EmbeddingServer, embedder: HttpEmbedder) -> None:
    server.script(Fault.SHUFFLED)
    answer = await embedder.embed(TEXTS)
    np.testing.assert_allclose(answer.vectors, [vector_for(text, DIMS) for text in TEXTS], rtol=1e-6)
    assert answer.vectors.dtype == np.float32
    assert answer.tokens == (sum(embedder.count_tokens(TEXTS)) if server.service == "gemini" else 7)
    assert embedder.dims == DIMS


async def test_the_service_is_told_what_is_a_question(server: EmbeddingServer, embedder: HttpEmbedder) -> None:
    await embedder.embed(["uno"])
    await embedder.embed(["dos"], "query")
    kinds = [kind for _, kind in server.told]
    assert kinds == (["any", "any"] if server.service == "mistral" else ["passage", "query"])


async def test_shorter_vectors_are_asked_for(server: EmbeddingServer) -> None:
    shorter = HttpEmbedder(server.service, api_key=KEY, model="m", url=f"{server.url}/", dimensions=4)
    assert shorter.dims == 4
    assert (await shorter.embed(["uno"])).vectors.shape == (1, 4)
    await shorter.close()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, ProviderBusy),
        (Fault.UNAUTHORIZED, ProviderRejected),
        (Fault.BAD_KEY, ProviderRejected),
        (Fault.BAD_MODEL, ProviderRejected),
        (Fault.TOO_MANY, ProviderRefusedInput),
        (Fault.NOT_FOUND, ProviderRejected),
        (Fault.SERVER_ERROR, ProviderUnavailable),
        (Fault.HTML, ProviderUnavailable),
        (Fault.RESET, ProviderUnavailable),
        (Fault.GARBAGE, ProviderAnswerInvalid),
        (Fault.EMPTY_OBJECT, ProviderAnswerInvalid),
        (Fault.RAGGED, ProviderAnswerInvalid),
    ],
)
async def test_each_fault_has_its_error(
    server: EmbeddingServer, embedder: HttpEmbedder, fault: Fault, error: type[ProviderError]
) -> None:
    server.script(fault)
    with pytest.raises(ProviderError) as caught:
        await embedder.embed(TEXTS)
    assert type(caught.value) is error
    assert KEY not in str(caught.value) and caught.value.__cause__ is None
    assert caught.value.fields.get("retry_after") == (3 if fault is Fault.BUSY else None)
    assert (await embedder.embed(TEXTS)).vectors.shape == (3, DIMS)


async def test_a_server_that_takes_too_long_is_given_up(server: EmbeddingServer) -> None:
    server.script(Fault.HANG)
    embedder = HttpEmbedder(server.service, api_key=KEY, url=server.url, timeout_s=0.2)
    with pytest.raises(ProviderUnavailable, match=r"0,2 s"):
        await embedder.embed(["uno"])
    await embedder.close()


async def test_too_few_vectors_are_not_stored_and_large_batches_are_divided(server: EmbeddingServer) -> None:
    embedder = HttpEmbedder(server.service, api_key=KEY, model="modelo-x", url=server.url)
    async with EmbeddingService(embedder, retries=0) as service:
        server.script(Fault.TOO_FEW)
        # a first answer that cannot be used is not the last word
        assert (await service.embed_matrix(["uno", "dos"])).vectors.shape == (2, DIMS)
        texts = [f"texto {number}" for number in range(embedder.limits.inputs + 1)]
        before = len(server.requests)
        assert len((await service.embed_matrix(texts)).vectors) == len(texts)
        assert len(server.requests) - before >= 2


def test_the_key_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in SERVICES:
        monkeypatch.setenv("ATENEO_EMBEDDING_PROVIDER", service)
        with pytest.raises(SettingsError, match=f"{service.upper()}_API_KEY"):
            make_embedder(load())
        generation = Generation(1, service, "m", 8, False, True)
        assert embedder_of(load(), generation) is None
        monkeypatch.setenv(f"{service.upper()}_API_KEY", "k")
        made = make_embedder(load())
        assert (made.provider, made.model) == (service, SERVICES[service].model)
        assert made.dims and made.price
        other = embedder_of(load(), generation)
        assert other is not None and other.model == "m"
        assert new_model(load(), service, None, 256).dims == 256


def test_an_estimate_of_tokens_and_a_long_text() -> None:
    embedder = HttpEmbedder("gemini", api_key="k")
    assert embedder.count_tokens(["", "hola", "árboles"]) == [0, 1, 2]
    cut = embedder.truncate("ñ" * 10_000)
    assert embedder.count_tokens([cut]) == [embedder.limits.tokens_per_input]
    assert embedder.truncate("corto") == "corto"


async def test_a_database_with_its_vectors(server: EmbeddingServer, bare_url: str) -> None:
    more = {
        "ATENEO_EMBEDDING_PROVIDER": server.service,
        f"{server.service.upper()}_API_KEY": KEY,
        "ATENEO_EMBEDDING_URL": server.url,
        "ATENEO_EMBEDDING_DIMENSIONS": "16",
    }
    async with await Database.open(bare_url, size=1) as db:
        await migrate.upgrade(db)
        async with db.acquire() as connection:
            await connection.execute(
                "INSERT INTO knowledge_chunks (empresa_id, contenido) VALUES ('acme', 'La casa abre a las nueve.')"
            )
    done = ateneo("backfill", "--yes", url=bare_url, **more)
    assert done.returncode == 0, done.stderr
    found = ateneo("search", "casa", "-e", "acme", url=bare_url, **more)
    assert found.returncode == 0 and "La casa abre a las nueve." in found.stdout
    assert ("La casa abre a las nueve.", "any" if server.service == "mistral" else "passage") in server.told
