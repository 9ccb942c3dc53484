import asyncio
import gc
import json
import socket
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import numpy as np
import pytest
from tests.providers.server import Fault, ProviderServer, vector_for

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.providers.openai import OpenAIEmbedder

KEY = "clave-muy-secreta-42"
TEXTS = ["el perro", "la casa", "un árbol"]


@pytest.fixture
async def embedder(provider_server: ProviderServer) -> AsyncIterator[OpenAIEmbedder]:
    made = OpenAIEmbedder(api_key=KEY, model="modelo-x", base_url=provider_server.url, timeout_s=5)
    yield made
    await made.close()


@pytest.mark.parametrize("fault", [Fault.OK, Fault.FLOATS, Fault.SHUFFLED])
async def test_vectors_come_in_the_order_asked(
    provider_server: ProviderServer, embedder: OpenAIEmbedder, fault: Fault
) -> None:
    provider_server.script(fault)
    answer = await embedder.embed(TEXTS)
    np.testing.assert_allclose(answer.vectors, [vector_for(text, 8) for text in TEXTS], rtol=1e-6)
    assert answer.vectors.dtype == np.float32
    assert answer.tokens == provider_server.tokens > 0


async def test_asks_for_base64_and_sends_dimensions_only_when_set(
    provider_server: ProviderServer, embedder: OpenAIEmbedder
) -> None:
    await embedder.embed(["uno"])
    shorter = OpenAIEmbedder(api_key=KEY, model="modelo-x", base_url=provider_server.url, dimensions=4)
    assert shorter.dims == 4
    assert (await shorter.embed(["uno"])).vectors.shape == (1, 4)
    await shorter.close()
    first, second = provider_server.requests
    assert first == {"input": ["uno"], "model": "modelo-x", "encoding_format": "base64"}
    assert second["dimensions"] == 4


async def test_an_unknown_model_tells_its_dims_with_the_first_answer(embedder: OpenAIEmbedder) -> None:
    assert embedder.dims is None
    assert embedder.price is None
    await embedder.embed(["uno"])
    assert embedder.dims == 8


@pytest.mark.parametrize(
    ("model", "dims", "price"),
    [
        (None, 1536, 0.02),
        ("text-embedding-3-small", 1536, 0.02),
        ("text-embedding-3-large", 3072, 0.13),
        ("text-embedding-ada-002", 1536, 0.10),
    ],
)
def test_known_models(model: str | None, dims: int, price: float) -> None:
    embedder = OpenAIEmbedder(api_key=KEY, model=model)
    assert (embedder.dims, embedder.price) == (dims, price)
    assert (embedder.limits.inputs, embedder.limits.tokens, embedder.limits.tokens_per_input) == (2048, 300_000, 8192)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, ProviderBusy),
        (Fault.NO_QUOTA, ProviderRejected),
        (Fault.UNAUTHORIZED, ProviderRejected),
        (Fault.FORBIDDEN, ProviderRejected),
        (Fault.NOT_FOUND, ProviderRejected),
        (Fault.BAD_REQUEST, ProviderRefusedInput),
        (Fault.BAD_DIMENSIONS, ProviderRejected),
        (Fault.SERVER_ERROR, ProviderUnavailable),
        (Fault.HTML, ProviderUnavailable),
        (Fault.RESET, ProviderUnavailable),
        (Fault.TRUNCATED, ProviderUnavailable),
        (Fault.GARBAGE, ProviderAnswerInvalid),
        (Fault.EMPTY_OBJECT, ProviderAnswerInvalid),
        (Fault.DOUBLE_INDEX, ProviderAnswerInvalid),
        (Fault.RAGGED, ProviderAnswerInvalid),
        (Fault.BROKEN_BASE64, ProviderAnswerInvalid),
    ],
)
async def test_each_fault_has_its_error(
    provider_server: ProviderServer, embedder: OpenAIEmbedder, fault: Fault, error: type[ProviderError]
) -> None:
    provider_server.script(fault)
    with pytest.raises(ProviderError) as caught:
        await embedder.embed(TEXTS)
    assert type(caught.value) is error
    assert provider_server.calls == 1
    assert (await embedder.embed(TEXTS)).vectors.shape == (3, 8)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.TRICKLE])
async def test_a_server_that_takes_too_long_is_given_up(provider_server: ProviderServer, fault: Fault) -> None:
    provider_server.script(fault)
    embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=provider_server.url, timeout_s=0.2)
    with pytest.raises(ProviderUnavailable, match=r"0,2 s"):
        await embedder.embed(["uno"])
    await embedder.close()


async def test_no_server_at_all() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        embedder = OpenAIEmbedder(model="m", base_url=f"http://usuario:clave@127.0.0.1:{port}/v1")
        with pytest.raises(ProviderUnavailable) as caught:
            await embedder.embed(["uno"])
        await embedder.close()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "clave" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5, 1.5),
        ({"Retry-After": formatdate(time.time() + 3600, usegmt=True)}, 3000, 3600),
        ({"Retry-After": formatdate(0, usegmt=True)}, 0, 0),
    ],
)
async def test_retry_after(
    provider_server: ProviderServer, embedder: OpenAIEmbedder, headers: dict[str, str], least: float, most: float
) -> None:
    provider_server.script(Fault.BUSY)
    provider_server.retry_headers = headers
    with pytest.raises(ProviderBusy) as caught:
        await embedder.embed(["uno"])
    wait = caught.value.fields["retry_after"]
    assert isinstance(wait, float)
    assert least <= wait <= most


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "pronto"}, {"Retry-After": "inf"}])
async def test_no_usable_retry_after(
    provider_server: ProviderServer, embedder: OpenAIEmbedder, headers: dict[str, str]
) -> None:
    provider_server.script(Fault.BUSY)
    provider_server.retry_headers = headers
    with pytest.raises(ProviderBusy) as caught:
        await embedder.embed(["uno"])
    assert caught.value.fields["retry_after"] is None


async def test_the_key_is_in_no_message_and_no_cause(provider_server: ProviderServer, embedder: OpenAIEmbedder) -> None:
    provider_server.script(Fault.UNAUTHORIZED)
    with pytest.raises(ProviderRejected) as caught:
        await embedder.embed(["uno"])
    assert "***" in str(caught.value)
    assert KEY not in f"{caught.value!r} {caught.value.fields} {embedder!r}"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("key", ["con espacio", "con\nrenglón", "ñandú"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        OpenAIEmbedder(api_key=key)
    assert key not in str(caught.value)


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        OpenAIEmbedder(api_key=None)
    for address in ("localhost:11434/v1", "ftp://servidor/v1", "http://", "http://servidor:puerto/v1"):
        with pytest.raises(SettingsError, match="OPENAI_BASE_URL"):
            OpenAIEmbedder(api_key=KEY, base_url=address)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_one_instance_serves_several_event_loops(provider_server: ProviderServer) -> None:
    embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=provider_server.url)

    async def once(text: str, *, close: bool) -> None:
        assert (await embedder.embed([text])).vectors.shape == (1, 8)
        if close:
            await embedder.close()
            await embedder.close()

    asyncio.run(once("uno", close=False))
    asyncio.run(once("dos", close=True))
    asyncio.run(once("tres", close=True))
    assert provider_server.calls == 3
    gc.collect()


async def test_floats_too_large_for_float32_become_infinite_for_the_service_to_refuse(
    embedder: OpenAIEmbedder,
) -> None:
    body = json.dumps({"data": [{"index": 0, "embedding": [1e300, 0.0]}]}).encode()
    vectors, tokens = embedder._decoded(body)
    assert np.isinf(vectors).any()
    assert tokens is None
