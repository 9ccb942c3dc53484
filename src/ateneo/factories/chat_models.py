"""The chat model that answers, from the settings."""

from typing import Any

from ateneo.agents.definition import checked
from ateneo.agents.extractive import ExtractiveChat
from ateneo.embedding.current_model import Models
from ateneo.embedding.service import EmbeddingService
from ateneo.errors import SettingsError
from ateneo.i18n import tr
from ateneo.ports import ChatModel
from ateneo.settings import Settings
from ateneo.types import Agent


def make_chat_model(settings: Settings, embedding: EmbeddingService | Models | None) -> ChatModel:
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
    return {
        "answer_tokens": settings.chat_max_tokens,
        "history_tokens": settings.chat_history_tokens,
        "may_search": settings.chat_search,
        "models": agent_models(settings),
        "verify_s": settings.verify_timeout_s if settings.verify_claims == "chat" else None,
    }


def agent_models(settings: Settings) -> tuple[str, ...]:
    """The models that an agent may name, the configured one first."""
    others = (one.strip() for one in (settings.chat_models or "").split(","))
    return tuple(dict.fromkeys([settings.chat_model, *filter(None, others)]))


def checked_agent(agent: Agent, settings: Settings) -> Agent:
    """As it may be stored. Raises BadArgument, which names the field."""
    return checked(agent, models=agent_models(settings), most_answer_tokens=settings.chat_max_tokens)
