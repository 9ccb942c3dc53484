"""Which generations' models the settings can reach, and a new model by its name."""

import pytest

from ateneo.errors import BadArgument, SettingsError
from ateneo.factories.embedders import embedder_of, new_model
from ateneo.providers.local import LocalEmbedder, bundled_model_dir
from ateneo.settings import Settings, load
from ateneo.types import Generation


def _settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load()


def _openai(model: str, dims: int, asked: int | None = None) -> Generation:
    return Generation(2, "openai", model, dims, False, False, "filling", asked)


def test_a_key_serves_every_model_of_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch, OPENAI_API_KEY="k", ATENEO_EMBEDDING_PROVIDER="local")
    found = embedder_of(settings, _openai("text-embedding-3-small", 1536))
    assert found is not None
    assert (found.provider, found.model, found.dims) == ("openai", "text-embedding-3-small", 1536)
    shorter = embedder_of(settings, _openai("text-embedding-3-large", 256, 256))
    assert shorter is not None
    assert shorter.dims == 256


def test_without_a_key_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch)
    assert embedder_of(settings, _openai("text-embedding-3-small", 1536)) is None
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        new_model(settings, "openai", "text-embedding-3-small", None)


def test_the_other_model_goes_to_its_own_address_with_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(
        monkeypatch, OPENAI_API_KEY="sk-mine", ATENEO_OTHER_MODEL="bge", ATENEO_OTHER_BASE_URL="http://tei:80/v1"
    )
    other = embedder_of(settings, _openai("bge", 8))
    own = embedder_of(settings, _openai("text-embedding-3-small", 1536))
    assert other is not None
    assert own is not None
    assert vars(other)["_address"].url == "http://tei:80/v1"
    assert vars(other)["_key"] == "", "the key of one server is not sent to another"
    assert (vars(own)["_key"], vars(own)["_address"].url) == ("sk-mine", "https://api.openai.com/v1")


def test_a_local_model_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch, OPENAI_API_KEY="k")
    bundled = LocalEmbedder(bundled_model_dir())
    found = embedder_of(settings, Generation(1, "local", bundled.model, bundled.dims or 0, True, True))
    assert isinstance(found, LocalEmbedder)
    assert embedder_of(settings, Generation(1, "local", "no-hay", 8, True, True)) is None
    assert embedder_of(settings, Generation(1, "local", bundled.model, 7, True, True)) is None
    assert new_model(settings, None, bundled.model, None).provider == "local"
    assert new_model(settings, None, "text-embedding-3-small", None).provider == "openai"


def test_what_is_no_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch, OPENAI_API_KEY="k")
    with pytest.raises(BadArgument, match="minilm"):
        new_model(settings, "local", "no-hay", None)
    with pytest.raises(BadArgument, match="--provider"):
        new_model(settings, "acme", "x", None)
    with pytest.raises(BadArgument, match="--model"):
        new_model(settings, "openai", None, None)
