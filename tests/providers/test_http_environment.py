"""Proxies and certificates as company laptops have them: what no client can use is named, and never quoted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.providers.odd_server import answering
from tests.providers.test_odd_answers import GOOD

from ateneo.errors import ProviderError, SettingsError
from ateneo.providers.anthropic import AnthropicChat
from ateneo.providers.login import LoginTokens
from ateneo.providers.openai import OpenAIEmbedder
from ateneo.providers.openai_chat import OpenAIChat
from ateneo.providers.rerank_http import HttpReranker

CLIENTS: dict[str, Callable[[], object]] = {
    "embedder": lambda: OpenAIEmbedder(api_key="sk-abcdefgh"),
    "chat": lambda: OpenAIChat("m", api_key="sk-abcdefgh"),
    "anthropic": lambda: AnthropicChat("sk-abcdefgh", "m"),
    "reranker": lambda: HttpReranker(url="http://h/rerank"),
    "login": lambda: LoginTokens(jwks="https://h/k", issuer="i", audience="a", tenant_claim="e", scopes=()),
}
UNUSABLE = [
    ("HTTPS_PROXY", "socks://usuario:secreta@127.0.0.1:1"),
    ("ALL_PROXY", "socks4://127.0.0.1:1"),
    ("all_proxy", "ftp://127.0.0.1:1"),
    ("HTTP_PROXY", "http://"),
    ("http_proxy", "proxy:puerto"),
    ("HTTP_PROXY", "http://usuario:secreta@[::1"),
    ("HTTPS_PROXY", "http://a b:3128"),
    ("HTTPS_PROXY", "http://h:99999"),
    ("SSL_CERT_FILE", "/no/such.pem"),
    ("SSL_CERT_FILE", "/"),
    ("SSL_CERT_FILE", __file__),
    ("SSL_CERT_DIR", "/no/such"),
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_what_no_client_can_use_is_named(monkeypatch: pytest.MonkeyPatch, client: str, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        CLIENTS[client]()
    assert caught.value.fields["name"] == name
    assert "secreta" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("client", CLIENTS)
def test_a_socks_proxy_works_or_says_which_package_it_takes(monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    try:
        CLIENTS[client]()
    except SettingsError as error:
        assert "pip install socksio" in str(error) and error.fields["name"] == "ALL_PROXY"
    monkeypatch.setenv("NO_PROXY", "*")
    CLIENTS[client]()


@pytest.mark.parametrize(
    "variables",
    [
        {"NO_PROXY": "localhost,127.0.0.1,::1"},
        {"NO_PROXY": "127.0.0.1", "HTTP_PROXY": "http://proxy.empresa:3128", "HTTPS_PROXY": "proxy.empresa:3128"},
        {"HTTP_PROXY": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""},
        {"SSL_CERT_DIR": str(Path(__file__).parent)},
    ],
)
async def test_what_clients_can_use_is_used(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with answering(GOOD) as server:
        embedder = OpenAIEmbedder(model="m", base_url=server.url)
        assert (await embedder.embed(["uno"])).vectors.shape == (1, 2)
        await embedder.close()


@pytest.mark.parametrize("client", ["embedder", "reranker"])
@pytest.mark.parametrize("value", ["http://[::1", "[fe80::1%25", "a b:99999", "fd00::/8,::1/x"])
async def test_an_odd_no_proxy_is_taken_or_named(monkeypatch: pytest.MonkeyPatch, client: str, value: str) -> None:
    """It is read when the first request is made."""
    monkeypatch.setenv("NO_PROXY", f"{value},127.0.0.1")
    with answering(GOOD) as server:
        embedder, reranker = OpenAIEmbedder(model="m", base_url=server.url), HttpReranker(url=server.url)
        try:
            if client == "embedder":
                await embedder.embed(["uno"])
            else:
                await reranker.rerank("a", ["b"])
        except SettingsError as error:
            assert error.fields["name"] == "NO_PROXY"
        except ProviderError:
            assert client == "reranker", "the server does not rank"
        finally:
            await embedder.close()
            await reranker.close()
