"""HttpReranker against a real server: the shapes that it understands, and every way to fail."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.providers.rerank_server import Fault, RerankServer

from ateneo.errors import (
    ProviderAnswerInvalid,
    ProviderBusy,
    ProviderError,
    ProviderRefusedInput,
    ProviderRejected,
    ProviderUnavailable,
    SettingsError,
)
from ateneo.providers.rerank_http import SERVICES, HttpReranker

KEY = "clave-muy-secreta"
TEXTS = ["nada que ver", "el feriado se paga doble", "un feriado"]


@pytest.fixture
def server() -> Iterator[RerankServer]:
    with RerankServer() as opened:
        yield opened


async def ask(server: RerankServer, **options: Any) -> list[float]:
    reranker = HttpReranker(**{"service": "cohere", "url": server.url, "api_key": KEY, **options})
    try:
        return await reranker.rerank("feriado doble", TEXTS)
    finally:
        await reranker.close()


@pytest.mark.parametrize("shape", [Fault.OK, Fault.JINA, Fault.DATA, Fault.LIST])
@pytest.mark.parametrize("service", ["cohere", "jina"])
async def test_scores_in_the_order_of_the_texts(server: RerankServer, shape: Fault, service: str) -> None:
    server.fault = shape
    assert await ask(server, service=service) == [0, 1, 0.5]


async def test_what_is_asked(server: RerankServer) -> None:
    await ask(server)
    await ask(server, service="jina", model="otro")
    server.fault = Fault.LIST
    await ask(server, service=None, api_key=None)
    asked = {"query": "feriado doble", "documents": TEXTS, "top_n": 3}
    assert server.requests == [
        {**asked, "model": SERVICES["cohere"][1]},
        {**asked, "model": "otro", "return_documents": False},
        asked,
    ]
    assert server.authorizations == [f"Bearer {KEY}", f"Bearer {KEY}", None]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.UNAUTHORIZED, ProviderRejected),
        (Fault.BUSY, ProviderBusy),
        (Fault.BAD_REQUEST, ProviderRefusedInput),
        (Fault.SERVER_ERROR, ProviderUnavailable),
        (Fault.CUT, ProviderUnavailable),
        (Fault.GARBAGE, ProviderAnswerInvalid),
        (Fault.EMPTY_OBJECT, ProviderAnswerInvalid),
        (Fault.TOO_FEW, ProviderAnswerInvalid),
        (Fault.DOUBLE_INDEX, ProviderAnswerInvalid),
    ],
)
async def test_faults(server: RerankServer, fault: Fault, error: type[ProviderError]) -> None:
    server.fault = fault
    with pytest.raises(error) as raised:
        await ask(server)
    assert "cohere" in raised.value.message
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_a_server_that_hangs(server: RerankServer) -> None:
    server.fault = Fault.HANG
    with pytest.raises(ProviderUnavailable):
        await ask(server, timeout_s=0.05)


async def test_nobody_listens() -> None:
    with pytest.raises(ProviderUnavailable):
        await HttpReranker(url="http://127.0.0.1:1/rerank").rerank("x", ["y"])


def test_several_event_loops(server: RerankServer) -> None:
    reranker = HttpReranker(url=server.url)
    for _ in range(2):
        assert asyncio.run(reranker.rerank("feriado doble", TEXTS)) == [0, 1, 0.5]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"service": "cohere"}, "ATENEO_RERANKER_API_KEY"),
        ({"service": "jina", "api_key": "con espacio"}, "ATENEO_RERANKER_API_KEY"),
        ({"service": "jina", "api_key": "ñandú"}, "ATENEO_RERANKER_API_KEY"),
        ({"service": "jina", "url": "ftp://x/y"}, "ATENEO_RERANKER_URL"),
        ({"url": "http://"}, "ATENEO_RERANKER"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        HttpReranker(**options)  # type: ignore[arg-type]
    assert raised.value.fields["name"] == name


def test_the_key_does_not_show() -> None:
    assert KEY not in repr(HttpReranker(service="cohere", api_key=KEY))
