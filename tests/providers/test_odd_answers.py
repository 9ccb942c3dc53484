"""What servers answer that is not what was asked for: each client has an error of ours for it that says what was."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.providers.collected import collected
from tests.providers.odd_server import answering
from tests.providers.test_openai_chat import request

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
from ateneo.ports import ChatModel
from ateneo.providers.anthropic import AnthropicChat
from ateneo.providers.endpoint import error_in, said
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.providers.openai_protocol import Address
from ateneo.providers.rerank_http import HttpReranker
from ateneo.providers.retry_after import retry_after

KEY = "sk-secreta-123456"
HTML = b"<!DOCTYPE html><html><body><h1>Portal cautivo</h1></body></html>"


def rows(*vectors: Any) -> bytes:
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json.dumps({"data": data}).encode()


def error(message: str, code: object) -> bytes:
    return json.dumps({"error": {"message": message, "code": code}}).encode()


ODD = {
    "error 404": (error("No endpoints found for this model", 404), {}, ProviderRejected, "No endpoints found"),
    "error 429": (error("slow down", "429"), {}, ProviderBusy, "slow down"),
    "error 503": (error("overloaded", 503), {}, ProviderUnavailable, "overloaded"),
    "error 400": (error("input too long", 400), {}, ProviderRefusedInput, "input too long"),
    "error in words": (error("model is loading", "loading"), {}, ProviderAnswerInvalid, "model is loading"),
    "error as text": (b'{"error": "model not found"}', {}, ProviderAnswerInvalid, "model not found"),
    "error of FastAPI": (b'{"detail": [{"msg": "field required"}]}', {}, ProviderAnswerInvalid, "field required"),
    "page": (HTML, {"Content-Type": "text/html"}, ProviderAnswerInvalid, "página web"),
    "nothing": (b"", {}, ProviderAnswerInvalid, "vacía"),
    "half of it": (rows([1.0, 2.0])[:-9], {}, ProviderAnswerInvalid, "JSON"),
    "no list": (b"[]", {}, ProviderAnswerInvalid, "[]"),
    "a number": (b"7", {}, ProviderAnswerInvalid, "7"),
    "deep": (b"[" * 100_000, {}, ProviderAnswerInvalid, "JSON"),
    "no rows": (b'{"data": []}', {}, ProviderAnswerInvalid, "ningún vector"),
    "null rows": (b'{"data": null}', {}, ProviderAnswerInvalid, "data"),
    "null vector": (rows(None), {}, ProviderAnswerInvalid, "embedding"),
    "words": (rows(["uno", "dos"]), {}, ProviderAnswerInvalid, "embedding"),
    "nested": (rows([[1.0, 2.0]]), {}, ProviderAnswerInvalid, "embedding"),
    "no gzip": (b"not compressed", {"Content-Encoding": "gzip"}, ProviderUnavailable, ""),
    "no brotli": (b"\x00\xff", {"Content-Encoding": "br"}, ProviderError, ""),
    "longer than said": (b"{}", {"Content-Length": "900"}, ProviderUnavailable, ""),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_embedder_says_what_was_odd(name: str) -> None:
    body, headers, kind, words = ODD[name]
    with answering(body, headers=headers) as server:
        embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=f"{server.url}/v1", timeout_s=5)
        with pytest.raises(kind) as caught:
            await embedder.embed(["uno"])
        await embedder.close()
    assert words in str(caught.value)
    assert KEY not in f"{caught.value} {caught.value.fields}"


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\x01\x02", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 999 Odd\r\n\r\n", b"SSH-2.0-X\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
async def test_what_is_no_http_is_no_answer(raw: bytes) -> None:
    with answering(b"", raw=raw) as server:
        embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=f"{server.url}/v1", timeout_s=5)
        with pytest.raises(ProviderError):
            await embedder.embed(["uno"])
        await embedder.close()


@pytest.mark.parametrize("status", [204, 301, 304, 402, 404, 418, 451, 500, 599])
async def test_every_status_has_its_error(status: int) -> None:
    with answering(b"" if status in (204, 304) else HTML, status=status) as server:
        embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=f"{server.url}/v1", timeout_s=5)
        with pytest.raises(ProviderError) as caught:
            await embedder.embed(["uno"])
        await embedder.close()
    assert "<html" not in str(caught.value)


@pytest.mark.parametrize("bill", [5.5, "5", None, [], {}, {"total_tokens": "muchos"}, {"total_tokens": -3},
                                  {"total_tokens": True}, {"prompt_tokens": 5.5}])  # fmt: skip
async def test_a_bill_that_makes_no_sense_costs_no_vector(bill: Any) -> None:
    body = json.dumps({"data": [{"index": 0, "embedding": [1.0, 2.0]}], "usage": bill}).encode()
    with answering(body) as server:
        embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=server.url)
        answer = await embedder.embed(["uno dos tres"])
        await embedder.close()
    np.testing.assert_allclose(answer.vectors, [[1.0, 2.0]])
    assert answer.tokens in (6, *embedder.count_tokens(["uno dos tres"]))


async def test_a_limit_that_is_told_with_200_is_learnt_as_well() -> None:
    with answering(error("batch size is invalid, it should not be larger than 0", 400)) as server:
        embedder = OpenAIEmbedder(api_key=KEY, model="m", base_url=f"{server.url}/v1")
        async with EmbeddingService(embedder, retries=0) as service:
            with pytest.raises(ProviderRejected, match="should not be larger than 0"):
                await service.embed_matrix(["uno", "dos"])


# --- addresses and keys as people write them ----------------------------------------------------------------------

GOOD = rows([1.0, 2.0])


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{url}/v1", "/v1/embeddings"),
        ("{url}/v1/", "/v1/embeddings"),
        (" {url}/v1/ \n", "/v1/embeddings"),
        ("{url}/v1//", "/v1/embeddings"),
        ("{url}/v1/v1", "/v1/embeddings"),
        ("{url}/v1/embeddings", "/v1/embeddings"),
        ("{url}/v1/chat/completions/", "/v1/embeddings"),
        ("{url}/openai/deployments/d", "/openai/deployments/d/embeddings"),
        ("{url}/v1beta/openai/", "/v1beta/openai/embeddings"),
        ("{url}", "/embeddings"),
    ],
)
async def test_an_address_as_people_write_it(written: str, path: str) -> None:
    with answering(GOOD) as server:
        embedder = OpenAIEmbedder(api_key=f" {KEY}\r\n", model="m", base_url=written.format(url=server.url))
        assert (await embedder.embed(["uno"])).vectors.shape == (1, 2)
        await embedder.close()
    assert server.paths == [path]


@pytest.mark.parametrize(("status", "body"), [(404, b'{"detail": "Not Found"}'), (405, b""), (200, HTML)])
async def test_an_address_without_its_version_is_told(status: int, body: bytes) -> None:
    with answering(body, status=status) as server:
        embedder = OpenAIEmbedder(model="m", base_url=server.url, names=("A_KEY", "AN_ADDRESS"))
        with pytest.raises(ProviderError, match=f"AN_ADDRESS no termina en /v1: ¿es {server.url}/v1"):
            await embedder.embed(["uno"])
        right = OpenAIEmbedder(model="m", base_url=f"{server.url}/v1")
        with pytest.raises(ProviderError) as caught:
            await right.embed(["uno"])
        await embedder.close()
        await right.close()
    assert "termina en" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8080", "http://", "ftp://h/v1", "http://h:puerto/v1", "http://a b/v1", ""])
def test_what_is_no_address_names_its_variable(url: str) -> None:
    for make in (
        lambda: OpenAIEmbedder(model="m", base_url=url, names=("K", "VARIABLE")),
        lambda: OpenAIChat("m", base_url=url, names=("K", "VARIABLE")),
        lambda: AnthropicChat(KEY, "m", url or "x"),
        lambda: HttpReranker(url=url),
    ):
        with pytest.raises(SettingsError, match=r"VARIABLE|ANTHROPIC_BASE_URL|ATENEO_RERANKER"):
            make()


@pytest.mark.parametrize("key", ["con espacio", '"entre-comillas"', "ñandú", "dos\nrenglones"])
def test_what_is_no_key_names_its_variable(key: str) -> None:
    for make in (
        lambda: OpenAIEmbedder(api_key=key, names=("VARIABLE", "U")),
        lambda: OpenAIChat("m", api_key=key, names=("VARIABLE", "U")),
        lambda: AnthropicChat(key, "m"),
        lambda: HttpReranker(service="cohere", api_key=key),
    ):
        with pytest.raises(SettingsError, match=r"VARIABLE|ANTHROPIC_API_KEY|ATENEO_RERANKER_API_KEY") as caught:
            make()
        assert key not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_a_settings_error(text: str) -> None:
    for url in (text, f"http://{text}", f"http://h/{text}"):
        try:
            address = Address.of(url, "VARIABLE", KEY)
        except SettingsError:
            continue
        assert address.url.startswith(("http://", "https://", "HTTP", "Http")) or "://" in address.url
        assert not address.url.endswith("/")


@given(st.one_of(st.binary(max_size=200), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "errors", "detail", "message", "code", "status", "msg"]), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_whatever_a_body_is_something_is_said_of_it(body: bytes) -> None:
    assert said(body)
    found = error_in(body)
    assert found is None or (found[0] and (found[1] is None or 400 <= found[1] <= 599))


# --- chat and reranking -------------------------------------------------------------------------------------------

CHATS: dict[str, Callable[[str], ChatModel]] = {
    "openai": lambda url: OpenAIChat("m", api_key=KEY, base_url=f"{url}/v1", timeout_s=5, max_retries=0),
    "anthropic": lambda url: AnthropicChat(KEY, "m", f" {url}/v1/ ", timeout_s=5, max_retries=0),
}


@pytest.mark.parametrize("vendor", CHATS)
@pytest.mark.parametrize("name", [name for name in ODD if "bill" not in name])
async def test_a_chat_says_what_was_odd(name: str, vendor: str) -> None:
    body, headers, _, words = ODD[name]
    with answering(body, headers=headers) as server:
        model = CHATS[vendor](server.url)
        with pytest.raises(ProviderError) as caught:
            await collected(model, request())
        await model.close()
    assert server.paths == [{"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[vendor]]
    assert KEY not in f"{caught.value} {caught.value.fields}"
    if name.startswith(("error", "page", "nothing")):
        assert words in str(caught.value)


@pytest.mark.parametrize("name", ODD)
async def test_a_reranker_says_what_was_odd(name: str) -> None:
    body, headers, _, words = ODD[name]
    with answering(body, headers=headers) as server:
        reranker = HttpReranker(url=f" {server.url}/rerank ", api_key=KEY)
        with pytest.raises(ProviderError) as caught:
            await reranker.rerank("a", ["uno"])
        await reranker.close()
    assert server.paths == ["/rerank"]
    if name.startswith(("error", "page", "nothing")):
        assert words in str(caught.value)


# --- Retry-After --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2s", 2), ("2 s", 2), ("1m30s", 90), ("1h", 3600), ("1.5 seconds", 1.5), ("250ms", 0.25), ("2 minutes", 120),
        (" 7 ", 7), ("-5", 0), ("1e3", 1000), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 01 Jan 1970 00:00:00", 0),
        ("pronto", None), ("", None), ("nan", None), ("inf", None), ("2 lunas", None), ("s", None), ("1e999", None),
    ],
)  # fmt: skip
def test_retry_after_as_servers_write_it(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == (seconds if seconds is None else pytest.approx(seconds))


@given(
    st.one_of(st.text(max_size=40), st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,4} [A-Z][a-z]{2} \d{1,6} [\d:]{1,9}.{0,8}\Z"))
)
def test_no_retry_after_breaks_us(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: value})
        assert wait is None or wait >= 0
