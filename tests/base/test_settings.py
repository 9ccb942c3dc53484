"""Settings: where they come from, and that each is documented."""

from pathlib import Path

import pytest

from ateneo.errors import DatabaseUrlMissing, SettingsError
from ateneo.factories.chat_models import make_chat_model
from ateneo.factories.databases import open_database
from ateneo.factories.embedders import make_embedding_service
from ateneo.language import language
from ateneo.settings import Settings, load
from ateneo.types import Usage

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_variable_is_documented() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for field in Settings.model_fields.values():
        name = field.validation_alias.choices[0]  # type: ignore[union-attr]
        assert f"| `{name}` |" in page


def test_the_secrets_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets.env"
    secrets.write_text("OPENAI_API_KEY=from-file\nDATABASE_URL=postgresql://file/db\n", encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/db")
    settings = load(secrets)
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "from-file"
    assert settings.require_database_url() == "postgresql://environment/db"


def test_a_database_url_of_ateneos_own_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://product/db")
    monkeypatch.setenv("ATENEO_DATABASE_URL", "postgresql://ateneo/db")
    assert load().require_database_url() == "postgresql://ateneo/db"


async def test_a_bad_direct_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://product/db")
    monkeypatch.setenv("ATENEO_DIRECT_URL", "mysql://product/db")
    with pytest.raises(SettingsError, match=r"^ATENEO_DIRECT_URL"):
        await open_database(load())


def test_secrets_do_not_show() -> None:
    assert "secret-key" not in repr(Settings(OPENAI_API_KEY="secret-key", DATABASE_URL="postgresql://u:secret-key@h/d"))  # type: ignore[call-arg]


def test_a_bad_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATENEO_CHUNK_TOKENS", "muchos")
    with pytest.raises(SettingsError, match="ATENEO_CHUNK_TOKENS"):
        load()


def test_no_database_says_what_to_do() -> None:
    with pytest.raises(DatabaseUrlMissing, match="DATABASE_URL=embedded"):
        load().require_database_url()


def test_the_settings_choose_the_chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = make_embedding_service(load())
    assert make_chat_model(load(), embedding).provider == "extractive"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    assert make_chat_model(load(), embedding).provider == "anthropic"
    monkeypatch.setenv("ATENEO_CHAT_PROVIDER", "openai")
    with pytest.raises(SettingsError, match="ATENEO_CHAT_MODEL"):
        make_chat_model(load(), embedding)
    monkeypatch.setenv("ATENEO_CHAT_MODEL", "llama3.3")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        make_chat_model(load(), embedding)
    monkeypatch.setenv("ATENEO_CHAT_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("ATENEO_CHAT_PRICE", "[1, 2]")
    chat = make_chat_model(load(), embedding)
    assert (chat.provider, chat.model, chat.cost(Usage(1_000_000, 0), "llama3.3")) == ("openai", "llama3.3", 1.0)


def test_the_language_is_known_whatever_else_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("ATENEO_LANG=en\nATENEO_POOL_SIZE=many\n")
    monkeypatch.setenv("ATENEO_SECRETS_FILE", str(tmp_path / "my.env"))
    assert language() == "en"
    monkeypatch.setenv("ATENEO_LANG", "es")
    assert language() == "es"
    monkeypatch.setenv("ATENEO_LANG", "quechua")
    assert language() == "es"
