"""The reranker and the options of searches, from the settings."""

from typing import Any

from ateneo.errors import SettingsError
from ateneo.factories.chat_models import make_chat_model
from ateneo.i18n import tr
from ateneo.ports import ChatModel, Reranker
from ateneo.search.reranking import Reranking
from ateneo.search.rewriting import Rewriting
from ateneo.settings import Settings


def search_options(settings: Settings) -> dict[str, Any]:
    """What VectorSearchService takes from the settings."""
    return {"dense_weight": settings.dense_weight, "max_query_chars": settings.max_query_chars}


def make_reranking(settings: Settings) -> Reranking | None:
    """The reranker that the settings name, None by default. Raises SettingsError, ModelError."""
    if settings.reranker == "none":
        return None
    return Reranking(_reranker(settings), settings.reranker_candidates, settings.reranker_timeout_s)


def make_rewriting(settings: Settings) -> Rewriting | None:
    """What rewrites questions, None by default. Raises SettingsError."""
    if settings.rewriter == "none":
        return None
    return Rewriting(_writing_chat(settings, "ATENEO_REWRITER"), settings.rewriter_timeout_s)


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
    if settings.reranker == "chat":
        return _chat_reranker(settings)
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


def _chat_reranker(settings: Settings) -> Reranker:
    from ateneo.search.chat_reranker import ChatReranker

    return ChatReranker(_writing_chat(settings, "ATENEO_RERANKER"), settings.reranker_model)


def _writing_chat(settings: Settings, name: str) -> ChatModel:
    """The chat model, for the setting `name`. Raises SettingsError where it is no language model."""
    chat = make_chat_model(settings, None)
    if not chat.writes:
        detail = tr(
            "es chat, y no hay un modelo de lenguaje: configurá ANTHROPIC_API_KEY o ATENEO_CHAT_PROVIDER.",
            "is chat, and there is no language model: set ANTHROPIC_API_KEY or ATENEO_CHAT_PROVIDER.",
        )
        raise SettingsError(name=name, detail=detail)
    return chat
