"""Builds everything from the settings; nothing below reads them.

Vendors' clients are imported where they are chosen: the two official SDKs take two seconds to load.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from ateneo import lang
from ateneo.errors import BadArgument, MaintenanceRunning, SettingsError
from ateneo.lang import tr
from ateneo.ports import ChatModel, Embedder, Reranker
from ateneo.services import maintenance
from ateneo.services import models as local_models
from ateneo.services.access import AccessService
from ateneo.services.agent import AgentService
from ateneo.services.current_model import Models
from ateneo.services.embedding import EmbeddingService
from ateneo.services.extractive import ExtractiveChat
from ateneo.services.generation import own_generation, settle_model
from ateneo.services.ingestion import IngestionService
from ateneo.services.kept_queries import KeptQueries
from ateneo.services.model_in_use import Difference, difference
from ateneo.services.reranking import Reranking
from ateneo.services.trail import AuditTrail
from ateneo.services.vector_search import VectorSearchService
from ateneo.settings import Settings, load
from ateneo.store import migrate, statistics
from ateneo.store.migrate import Step
from ateneo.store.pool import Database
from ateneo.types import Generation

__all__ = ["House", "open_database", "own_generation", "upgrade"]

OPENAI_MODEL = "text-embedding-3-small"


def embedder(settings: Settings) -> Embedder:
    """The provider that the settings name. Raises SettingsError where its key is missing."""
    provider = settings.embedding_provider
    if provider == "local" or (provider == "auto" and settings.openai_api_key is None):
        from ateneo.providers.local import LocalEmbedder, bundled_model_dir

        return LocalEmbedder(settings.model_dir or bundled_model_dir(), threads=settings.threads)
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


def _openai(settings: Settings, model: str, dimensions: int | None) -> Embedder:
    from ateneo.providers.openai import OpenAIEmbedder

    other = model == settings.other_model
    key = settings.other_api_key if other else settings.openai_api_key
    return OpenAIEmbedder(
        api_key=key.get_secret_value() if key else None,
        model=model,
        base_url=settings.other_base_url if other else settings.openai_base_url,
        dimensions=dimensions,
        timeout_s=settings.embedding_timeout_s,
        names=("ATENEO_OTHER_API_KEY", "ATENEO_OTHER_BASE_URL") if other else ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    )


def embedder_of(settings: Settings, generation: Generation) -> Embedder | None:
    """The provider of a generation's model, where the settings have what it takes: its folder, its address or its key.

    Settings that name another model have it often enough: a key for one model of OpenAI's serves all of them.
    """
    if generation.provider == "local":
        return _local(settings, generation.model, generation.dims)
    other = generation.model == settings.other_model
    key = settings.other_api_key if other else settings.openai_api_key
    address = settings.other_base_url if other else settings.openai_base_url
    if generation.provider != "openai" or (key is None and address is None):
        return None
    return _openai(settings, generation.model, generation.asked_dims)


def _local(settings: Settings, model: str, dims: int | None) -> Embedder | None:
    """A local model by its name: that of ATENEO_MODEL_DIR, the bundled one or one of `ateneo models add`."""
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
    if provider not in (None, "local", "openai"):
        raise BadArgument(name="--provider", value=provider, rule="local, openai")
    if provider != "openai":
        found = None if model is None else _local(settings, model, None)
        if provider == "local" and found is None:
            folder = local_models.find(model or "", settings.models_dir.expanduser()).folder
            from ateneo.providers.local import LocalEmbedder

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


def embedding_service(settings: Settings) -> EmbeddingService:
    return _service(settings, embedder(settings))


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


def models(settings: Settings, main: EmbeddingService | None = None) -> Models:
    """The settings' own model, and those of other generations as far as the settings reach them."""

    def other(generation: Generation) -> EmbeddingService | None:
        found = embedder_of(settings, generation)
        return None if found is None else _service(settings, found)

    return Models(main or embedding_service(settings), other)


def chat_model(settings: Settings, embedding: EmbeddingService | None) -> ChatModel:
    """Claude where a key is set, else the extractive answerer; or the one that the settings name. Raises SettingsError
    where its key or its model is missing."""
    key = settings.anthropic_api_key
    if settings.chat_provider == "extractive" or (settings.chat_provider == "auto" and key is None):
        return ExtractiveChat(embedding)
    if settings.chat_provider == "openai":
        return _openai_chat(settings)
    if key is None:
        raise SettingsError(
            name="ANTHROPIC_API_KEY",
            detail=tr(
                "falta, y ATENEO_CHAT_PROVIDER=anthropic la necesita.",
                "is missing, and ATENEO_CHAT_PROVIDER=anthropic needs it.",
            ),
        )
    from ateneo.providers.anthropic import AnthropicChat

    return AnthropicChat(
        api_key=key.get_secret_value(),
        model=settings.chat_model,
        base_url=settings.anthropic_base_url,
        timeout_s=settings.chat_timeout_s,
        citations=settings.chat_citations,
    )


def _openai_chat(settings: Settings) -> ChatModel:
    if "chat_model" not in settings.model_fields_set:
        detail = tr(
            "falta: con ATENEO_CHAT_PROVIDER=openai hay que decir qué modelo.",
            "is missing: ATENEO_CHAT_PROVIDER=openai needs a model's name.",
        )
        raise SettingsError(name="ATENEO_CHAT_MODEL", detail=detail)
    from ateneo.providers.openai_chat import OpenAIChat

    # OpenAI's key goes to no other address than its own
    key = settings.chat_api_key or (settings.openai_api_key if settings.chat_base_url is None else None)
    if key is None and settings.chat_base_url is None and settings.openai_base_url is None:
        detail = tr(
            "falta (u OPENAI_API_KEY): ATENEO_CHAT_PROVIDER=openai la necesita, o un ATENEO_CHAT_BASE_URL propio.",
            "is missing (or OPENAI_API_KEY): ATENEO_CHAT_PROVIDER=openai needs it, or an ATENEO_CHAT_BASE_URL.",
        )
        raise SettingsError(name="ATENEO_CHAT_API_KEY", detail=detail)
    return OpenAIChat(
        settings.chat_model,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.chat_base_url or settings.openai_base_url,
        timeout_s=settings.chat_timeout_s,
        price=settings.chat_price,
        names=(
            "ATENEO_CHAT_API_KEY" if settings.chat_api_key or settings.chat_base_url else "OPENAI_API_KEY",
            "ATENEO_CHAT_BASE_URL" if settings.chat_base_url else "OPENAI_BASE_URL",
        ),
    )


def agent_options(settings: Settings) -> dict[str, Any]:
    """What AgentService takes from the settings."""
    return {"answer_tokens": settings.chat_max_tokens, "may_search": settings.chat_search}


def search_options(settings: Settings) -> dict[str, Any]:
    """What VectorSearchService takes from the settings."""
    return {"dense_weight": settings.dense_weight, "max_query_chars": settings.max_query_chars}


def reranking(settings: Settings) -> Reranking | None:
    """The reranker that the settings name, None by default. Raises SettingsError, ModelError."""
    if settings.reranker == "none":
        return None
    return Reranking(_reranker(settings), settings.reranker_candidates, settings.reranker_timeout_s)


def _reranker(settings: Settings) -> Reranker:
    if settings.reranker == "onnx":
        if settings.reranker_dir is None:
            raise SettingsError(
                name="ATENEO_RERANKER_DIR",
                detail=tr(
                    "falta, y ATENEO_RERANKER=onnx la necesita.", "is missing, and ATENEO_RERANKER=onnx needs it."
                ),
            )
        from ateneo.providers.cross_encoder import CrossEncoder

        return CrossEncoder(settings.reranker_dir, threads=settings.threads)
    from ateneo.providers.rerank_http import HttpReranker

    key = settings.reranker_api_key
    named = settings.reranker in ("cohere", "jina")
    return HttpReranker(
        service=settings.reranker if named else None,
        url=settings.reranker_url if named else settings.reranker,
        model=settings.reranker_model,
        api_key=key.get_secret_value() if key else None,
        timeout_s=settings.reranker_timeout_s,
    )


def ingestion_options(settings: Settings) -> dict[str, Any]:
    """What IngestionService takes from the settings."""
    return {
        "chunk_tokens": settings.chunk_tokens,
        "chunk_overlap": settings.chunk_overlap,
        "max_bytes": settings.max_upload_mb * 1024 * 1024,
        "timeout_s": settings.extract_timeout_s,
    }


def access_service(settings: Settings, db: Database) -> AccessService:
    """Keys, and tokens of the user's own login where the settings name one. Raises SettingsError for half a login."""
    verifier = None
    if settings.jwt_jwks is not None:
        if settings.jwt_issuer is None or settings.jwt_audience is None:
            detail = tr("hacen falta los tres: JWKS, ISSUER y AUDIENCE.", "all three: JWKS, ISSUER and AUDIENCE.")
            raise SettingsError(name="ATENEO_JWT_*", detail=detail)
        from ateneo.providers.login import LoginTokens

        verifier = LoginTokens(
            jwks=settings.jwt_jwks,
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            tenant_claim=settings.jwt_tenant_claim,
            scopes=settings.jwt_scopes.split(),
        )
    return AccessService(
        db,
        verifier,
        per_minute=settings.requests_per_minute,
        failures_per_minute=settings.failed_logins_per_minute,
    )


async def model_difference(db: Database, settings: Settings, embedding: EmbeddingService) -> Difference | None:
    """Of the model in use from the settings' own, `embedding`."""
    asked = settings.embedding_dimensions if embedding.provider == "openai" else None
    return await difference(db, embedding, asked)


async def open_database(settings: Settings, *, guarded: bool = False) -> Database:
    """`guarded`: as `Database.open`. Raises DatabaseUrlMissing, SettingsError, DatabaseUnavailable."""
    secret = settings.tenant_secret
    return await Database.open(
        settings.require_database_url(),
        size=settings.pool_size,
        guarded=guarded,
        tenant_secret=secret.get_secret_value() if secret else None,
    )


async def upgrade(
    db: Database,
    embedding: EmbeddingService,
    on_page: Callable[[int, int], None],
    on_rebuilt: Callable[[int, int], None] | None = None,
    *,
    allow_downgrade: bool = False,
) -> list[Step]:
    """Brings the database to this version and indexes what was there before; returns the steps done.

    `on_page` is told (words, vectors) of every page indexed; `on_rebuilt` (chunks done, in all) where words have to be
    made anew, since this version analyses them in another way. No provider is called: a model whose dimensions nobody
    knows gets its generation with the first embedding.
    """
    steps = await migrate.upgrade(db, allow_downgrade=allow_downgrade)
    await settle_model(db, embedding)
    await migrate.reconcile(db, on_page=on_page)
    await statistics.refresh_moved(db)
    with suppress(MaintenanceRunning):  # then whoever is at it ends them
        await maintenance.finish_rebuilds(db, on_page=on_rebuilt)
    return steps


@dataclass(slots=True)
class House:
    """Everything that a face needs, built once a process and closed at its end."""

    settings: Settings
    db: Database
    models: Models
    search: VectorSearchService
    ingestion: IngestionService
    agent: AgentService
    chat: ChatModel
    access: AccessService
    trail: AuditTrail
    queries: KeptQueries

    @property
    def embedding(self) -> EmbeddingService:
        """The settings' own model; searches may be of another one's (`models`)."""
        return self.models.main

    @classmethod
    async def open(cls, settings: Settings | None = None) -> Self:
        settings = settings or load()
        lang.use(settings.lang)
        known = models(settings)
        chat = chat_model(settings, known.main)
        reranker = reranking(settings)
        db = await open_database(settings, guarded=True)
        search = VectorSearchService(db, known, reranking=reranker, **search_options(settings))
        return cls(
            settings=settings,
            db=db,
            models=known,
            search=search,
            ingestion=IngestionService(db, known, **ingestion_options(settings)),
            agent=AgentService(search, chat, **agent_options(settings)),
            chat=chat,
            access=access_service(settings, db),
            trail=AuditTrail(db),
            queries=KeptQueries(db, settings.keep_queries),
        )

    async def close(self) -> None:
        await self.trail.close()
        await self.queries.close()
        await self.search.close()
        await self.agent.close()
        await self.models.close()
        await self.db.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
