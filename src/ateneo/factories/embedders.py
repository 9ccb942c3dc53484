"""Embedding providers and services from the settings."""

from typing import Any

from pydantic import SecretStr

from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import BadArgument, SettingsError
from ateneo.i18n import tr
from ateneo.ports import Embedder
from ateneo.providers.embedding_protocols import SERVICES
from ateneo.settings import Settings
from ateneo.types import Generation

OPENAI_MODEL = "text-embedding-3-small"


def make_embedder(settings: Settings) -> Embedder:
    """The provider that the settings name. Raises SettingsError where its key is missing."""
    provider = settings.embedding_provider
    if provider == "local" or (provider == "auto" and settings.openai_api_key is None):
        from ateneo.providers.local import LocalEmbedder, bundled_model_dir

        return LocalEmbedder(settings.model_dir or bundled_model_dir(), threads=settings.threads)
    if provider in SERVICES:
        return _http(settings, provider, settings.embedding_model, settings.embedding_dimensions)
    key = settings.openai_api_key
    if key is None and settings.openai_base_url is None:
        raise SettingsError(
            name="OPENAI_API_KEY",
            detail=tr(
                "falta, y ATENEO_EMBEDDING_PROVIDER=openai la necesita.",
                "is missing, and ATENEO_EMBEDDING_PROVIDER=openai needs it.",
            ),
        )
    model = settings.embedding_model or OPENAI_MODEL
    return _openai(settings, model, settings.embedding_dimensions)


def _http(settings: Settings, service: str, model: str | None, dimensions: int | None) -> Embedder:
    from ateneo.providers.http_embedder import HttpEmbedder

    key = _http_key(settings, service)
    return HttpEmbedder(
        service,
        api_key=key.get_secret_value() if key else None,
        model=model,
        url=settings.embedding_url,
        dimensions=dimensions,
        timeout_s=settings.embedding_timeout_s,
    )


def _http_key(settings: Settings, service: str) -> SecretStr | None:
    key: SecretStr | None = getattr(settings, f"{service}_api_key")
    return key


def _openai(settings: Settings, model: str, dimensions: int | None) -> Embedder:
    from ateneo.providers.openai import OpenAIEmbedder

    key, address = _openai_access(settings, model)
    other = model == settings.other_model
    return OpenAIEmbedder(
        api_key=key.get_secret_value() if key else None,
        model=model,
        base_url=address,
        dimensions=dimensions,
        timeout_s=settings.embedding_timeout_s,
        names=("ATENEO_OTHER_API_KEY", "ATENEO_OTHER_BASE_URL") if other else ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    )


def _openai_access(settings: Settings, model: str) -> tuple[SecretStr | None, str | None]:
    """The key and the address that the settings have for a model of OpenAI's protocol."""
    if model == settings.other_model:
        return settings.other_api_key, settings.other_base_url
    return settings.openai_api_key, settings.openai_base_url


def embedder_of(settings: Settings, generation: Generation) -> Embedder | None:
    """The provider of a generation's model, where the settings have what it takes: its folder, its address or its key.

    Settings that name another model have it often enough: a key for one model of OpenAI's serves all of them.
    """
    if generation.provider == "local":
        return _local(settings, generation.model, generation.dims)
    if generation.provider in SERVICES:
        if _http_key(settings, generation.provider) is None:
            return None
        return _http(settings, generation.provider, generation.model, generation.asked_dims)
    key, address = _openai_access(settings, generation.model)
    if generation.provider != "openai" or (key is None and address is None):
        return None
    return _openai(settings, generation.model, generation.asked_dims)


def _local(settings: Settings, model: str, dims: int | None) -> Embedder | None:
    """A local model by its name: that of ATENEO_MODEL_DIR, the bundled one or one of `ateneo models add`."""
    from ateneo.embedding import local_models
    from ateneo.providers.local import LocalEmbedder

    own = [settings.model_dir] if settings.model_dir else []
    added = [one.folder for one in local_models.installed(settings.models_dir.expanduser()) if one.name == model]
    for folder in (*own, *added):
        found = LocalEmbedder(folder, threads=settings.threads)
        if found.model == model and (dims is None or found.dims in (None, dims)):
            return found
    return None


def new_model(settings: Settings, provider: str | None, model: str | None, dimensions: int | None) -> EmbeddingService:
    """A model by its name, for a switch to it; local where no provider is named and one of that name is installed.

    Raises BadArgument, SettingsError where its key is missing.
    """
    if provider not in (None, "local", "openai", *SERVICES):
        raise BadArgument(name="--provider", value=provider, rule=", ".join(("local", "openai", *SERVICES)))
    if provider is not None and provider in SERVICES:
        return _service(settings, _http(settings, provider, model, dimensions))
    if provider != "openai":
        found = None if model is None else _local(settings, model, None)
        if provider == "local" and found is None:
            from ateneo.embedding import local_models
            from ateneo.providers.local import LocalEmbedder

            folder = local_models.find(model or "", settings.models_dir.expanduser()).folder
            found = LocalEmbedder(folder, threads=settings.threads)
        if found is not None:
            return _service(settings, found)
    if model is None:
        raise BadArgument(
            name="--model", value="", rule=tr("falta el nombre del modelo", "the model's name is missing")
        )
    if embedder_of(settings, Generation(0, "openai", model, 0, False, False)) is None:
        raise SettingsError(
            name="OPENAI_API_KEY", detail=tr(f"falta, y {model} la necesita.", f"is missing for {model}.")
        )
    return _service(settings, _openai(settings, model, dimensions))


def make_embedding_service(settings: Settings) -> EmbeddingService:
    return _service(settings, make_embedder(settings))


def _service(settings: Settings, chosen: Embedder) -> EmbeddingService:
    return EmbeddingService(chosen, **embedding_options(settings))


def embedding_options(settings: Settings) -> dict[str, Any]:
    """What EmbeddingService takes from the settings, besides its provider."""
    return {
        "concurrency": settings.embedding_concurrency,
        "retries": settings.embedding_retries,
        "rpm": settings.embedding_rpm,
        "tpm": settings.embedding_tpm,
    }


def make_models(settings: Settings, main: EmbeddingService | None = None) -> Models:
    """The settings' own model, and those of other generations as far as the settings reach them."""

    def other(generation: Generation) -> EmbeddingService | None:
        found = embedder_of(settings, generation)
        return None if found is None else _service(settings, found)

    return Models(main or make_embedding_service(settings), other)
