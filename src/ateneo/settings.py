"""Every variable that Ateneo reads, in one place: from the environment, or from a secrets file (`.env`, or the
one that `ATENEO_SECRETS_FILE` names; the environment wins)."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from ateneo.errors import DatabaseUrlMissing, SettingsError
from ateneo.i18n import Lang, tr
from ateneo.language import secrets_file
from ateneo.validation_messages import broken_rule

_PREFIX = "ATENEO_"


def _named(name: str, default: object, description: str, **rules: Any) -> Any:
    """A field read from exactly the variable `name`."""
    return Field(default, validation_alias=AliasChoices(name), description=description, **rules)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True, frozen=True, str_strip_whitespace=True
    )

    database_url: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("ATENEO_DATABASE_URL", "DATABASE_URL"),
        description="postgresql://..., or `embedded` / `embedded:FOLDER` for a server of its own; "
        "`DATABASE_URL` where this is not set",
    )
    direct_url: SecretStr | None = _named(
        "ATENEO_DIRECT_URL",
        None,
        "the same database past a pooler, for what needs a session of its own: worker, migrations, index builds, eval",
    )
    api_key: SecretStr | None = _named(
        "ATENEO_API_KEY", None, "key of the company whose knowledge `ateneo mcp` serves on stdin and stdout"
    )
    lang: Lang = _named("ATENEO_LANG", "es", "language of messages: es or en")

    embedding_provider: Literal["auto", "openai", "local", "voyage", "cohere", "gemini", "mistral"] = _named(
        "ATENEO_EMBEDDING_PROVIDER",
        "auto",
        "openai, local, voyage, cohere, gemini or mistral; auto: OpenAI when OPENAI_API_KEY is set, else local",
    )
    voyage_api_key: SecretStr | None = _named("VOYAGE_API_KEY", None, "key for Voyage's embeddings")
    cohere_api_key: SecretStr | None = _named("COHERE_API_KEY", None, "key for Cohere's embeddings")
    gemini_api_key: SecretStr | None = _named("GEMINI_API_KEY", None, "key for Gemini's embeddings")
    mistral_api_key: SecretStr | None = _named("MISTRAL_API_KEY", None, "key for Mistral's embeddings")
    embedding_url: str | None = _named(
        "ATENEO_EMBEDDING_URL", None, "another address for Voyage, Cohere, Gemini or Mistral: a gateway"
    )
    embedding_model: str | None = _named(
        "ATENEO_EMBEDDING_MODEL", None, "model name at the provider (OpenAI: text-embedding-3-small)"
    )
    embedding_dimensions: int | None = _named(
        "ATENEO_EMBEDDING_DIMENSIONS", None, "asks a provider's model for shorter vectors", ge=1, le=4000
    )
    embedding_concurrency: int = _named(
        "ATENEO_EMBEDDING_CONCURRENCY", 4, "requests to the provider at the same time", ge=1, le=64
    )
    embedding_timeout_s: float = _named("ATENEO_EMBEDDING_TIMEOUT_S", 30.0, "seconds that one request may take", gt=0)
    embedding_retries: int = _named(
        "ATENEO_EMBEDDING_RETRIES", 5, "tries after the first, for 429, 5xx and lost connections", ge=0, le=20
    )
    embedding_rpm: int | None = _named(
        "ATENEO_EMBEDDING_RPM", None, "most requests a minute to the provider, of each process", ge=1
    )
    embedding_tpm: int | None = _named(
        "ATENEO_EMBEDDING_TPM", None, "most tokens a minute to the provider, of each process", ge=1
    )
    lease_s: float = _named(
        "ATENEO_LEASE_S", 30.0, "seconds after which the batches of a worker that died are taken over", gt=0
    )
    maintenance_interval_s: float = _named(
        "ATENEO_MAINTENANCE_INTERVAL_S",
        3600.0,
        "seconds between a worker's looks after the index; 0: never",
        ge=0,
    )
    openai_api_key: SecretStr | None = _named("OPENAI_API_KEY", None, "key for OpenAI or a compatible server")
    openai_base_url: str | None = _named(
        "OPENAI_BASE_URL", None, "address of a compatible server: Ollama, vLLM, Azure, TEI"
    )
    model_dir: Path | None = _named("ATENEO_MODEL_DIR", None, "folder of a local ONNX model; default: the bundled one")
    models_dir: Path = _named(
        "ATENEO_MODELS_DIR", Path("~/.local/share/ateneo/models"), "where `ateneo models add` puts its copies"
    )
    hf_endpoint: str | None = _named(
        "HF_ENDPOINT", None, "the hub that `ateneo models add OWNER/NAME` downloads from; default: huggingface.co"
    )
    hf_token: SecretStr | None = _named("HF_TOKEN", None, "key for the hub, for models that ask for one")
    other_model: str | None = _named(
        "ATENEO_OTHER_MODEL",
        None,
        "during a change between two servers: the OpenAI-protocol model that the next two belong to",
    )
    other_base_url: str | None = _named("ATENEO_OTHER_BASE_URL", None, "the address of that model")
    other_api_key: SecretStr | None = _named("ATENEO_OTHER_API_KEY", None, "the key for that address")
    threads: int = _named("ATENEO_THREADS", 0, "threads of the local model; 0: one a core", ge=0)

    chat_provider: Literal["auto", "anthropic", "openai", "extractive"] = _named(
        "ATENEO_CHAT_PROVIDER", "auto", "auto: Claude when ANTHROPIC_API_KEY is set, else extractive"
    )
    chat_model: str = _named("ATENEO_CHAT_MODEL", "claude-sonnet-5-5", "model of the agents")
    chat_models: str | None = _named(
        "ATENEO_CHAT_MODELS", None, "others that an agent may name, `model-a,model-b`; default: that one alone"
    )
    chat_base_url: str | None = _named(
        "ATENEO_CHAT_BASE_URL", None, "address of a chat server like OpenAI's: Ollama, vLLM; default: OPENAI_BASE_URL"
    )
    chat_api_key: SecretStr | None = _named(
        "ATENEO_CHAT_API_KEY", None, "its key; without an address of its own: OPENAI_API_KEY"
    )
    chat_price: tuple[float, float] | None = _named(
        "ATENEO_CHAT_PRICE", None, "its price, JSON: US dollars per million tokens, `[input, output]`"
    )
    chat_max_tokens: int = _named(
        "ATENEO_CHAT_MAX_TOKENS", 4096, "longest answer, in tokens; an agent may ask for less, not for more", ge=1
    )
    chat_history_tokens: int = _named(
        "ATENEO_CHAT_HISTORY_TOKENS", 2000, "most tokens that the earlier turns of a conversation take", ge=1
    )
    chat_timeout_s: float = _named("ATENEO_CHAT_TIMEOUT_S", 60.0, "seconds that the chat model may be silent", gt=0)
    chat_citations: Literal["markers", "native"] = _named(
        "ATENEO_CHAT_CITATIONS", "markers", "Claude: passages in the system prompt, or as native search results"
    )
    chat_search: bool = _named("ATENEO_CHAT_SEARCH", True, "whether a chat model may search again while it answers")
    verify_claims: Literal["none", "chat"] = _named(
        "ATENEO_VERIFY_CLAIMS",
        "none",
        "chat: the chat model is asked whether the passages cited support each claim of an answer; none: it is not",
    )
    verify_timeout_s: float = _named(
        "ATENEO_VERIFY_TIMEOUT_S", 20.0, "seconds that this may take; then the claims are not checked", gt=0
    )
    conversations: bool = _named("ATENEO_CONVERSATIONS", True, "whether the API keeps conversations unless told not to")
    keep_queries: int = _named(
        "ATENEO_KEEP_QUERIES",
        0,
        "days that the API keeps what people search for, for `ateneo gaps` and to compare models; 0: it keeps nothing",
        ge=0,
        le=3650,
    )
    anthropic_api_key: SecretStr | None = _named("ANTHROPIC_API_KEY", None, "key for Claude")
    anthropic_base_url: str | None = _named("ANTHROPIC_BASE_URL", None, "another address for Claude's API")

    dense_weight: float | None = _named(
        "ATENEO_DENSE_WEIGHT",
        None,
        "share of meaning in hybrid search; default: the embedder's own",
        ge=0,
        le=1,
    )
    reranker: str = _named(
        "ATENEO_RERANKER",
        "none",
        "none, onnx, chat (the chat model), cohere, jina, or the address of a compatible `/rerank`",
        pattern=r"^(none|onnx|chat|cohere|jina|https?://\S+)$",
    )
    reranker_model: str | None = _named("ATENEO_RERANKER_MODEL", None, "the reranker's name at its provider")
    reranker_dir: Path | None = _named("ATENEO_RERANKER_DIR", None, "folder of an ONNX cross-encoder, for `onnx`")
    reranker_url: str | None = _named("ATENEO_RERANKER_URL", None, "another address for `cohere` or `jina`")
    reranker_api_key: SecretStr | None = _named("ATENEO_RERANKER_API_KEY", None, "key for the reranker")
    reranker_candidates: int = _named(
        "ATENEO_RERANKER_CANDIDATES", 30, "how many of the best passages it puts in order", ge=1, le=200
    )
    reranker_timeout_s: float = _named(
        "ATENEO_RERANKER_TIMEOUT_S", 3.0, "seconds that it may take; then the search's own order stays", gt=0
    )
    rewriter: Literal["none", "chat"] = _named(
        "ATENEO_REWRITER", "none", "chat: searches ask the chat model for another wording, searched beside the question"
    )
    rewriter_timeout_s: float = _named(
        "ATENEO_REWRITER_TIMEOUT_S", 3.0, "seconds that this may take; then the question is searched as asked", gt=0
    )
    chunk_tokens: int = _named("ATENEO_CHUNK_TOKENS", 200, "longest chunk, in tokens", ge=32, le=8000)
    chunk_overlap: int = _named("ATENEO_CHUNK_OVERLAP", 32, "tokens shared by neighbours", ge=0, le=1000)
    max_query_chars: int = _named("ATENEO_MAX_QUERY_CHARS", 4000, "longest query, in characters", ge=1)
    max_upload_mb: int = _named("ATENEO_MAX_UPLOAD_MB", 50, "largest file, in MiB", ge=1)
    wait_mb: float = _named(
        "ATENEO_WAIT_MB",
        1.0,
        "an upload up to this many MiB is read while it is answered; larger ones answer 202",
        ge=0,
    )
    serve_jobs: int = _named(
        "ATENEO_SERVE_JOBS", 1, "uploads that `ateneo serve` reads at a time behind its answers; 0: none", ge=0, le=16
    )
    worker_jobs: int = _named(
        "ATENEO_WORKER_JOBS", 2, "uploads that `ateneo worker` reads at a time; 0: none", ge=0, le=64
    )
    max_jobs: int = _named("ATENEO_MAX_JOBS", 10_000, "uploads of one company that may wait; 0: no limit", ge=0)
    max_jobs_mb: int = _named("ATENEO_MAX_JOBS_MB", 10_240, "MiB of them that may wait; 0: no limit", ge=0)
    extract_timeout_s: float = _named("ATENEO_EXTRACT_TIMEOUT_S", 60.0, "seconds that reading one file may take", gt=0)
    ocr: str = _named(
        "ATENEO_OCR", "auto", "text of scanned pages and images: `auto`, or `off`", pattern=r"^(auto|off)$"
    )
    hnsw_threshold: int = _named(
        "ATENEO_HNSW_THRESHOLD", 5000, "chunks from which a company gets an HNSW index of its own", ge=1
    )
    bm25_k1: float | None = _named(
        "ATENEO_BM25_K1",
        None,
        "how soon a repeated word counts no more (1.2); `ateneo index tune` applies it",
        ge=0,
        le=3,
    )
    bm25_b: float | None = _named(
        "ATENEO_BM25_B", None, "how much long passages are held back (0.75); `ateneo index tune` applies it", ge=0, le=1
    )
    pool_size: int = _named("ATENEO_POOL_SIZE", 10, "connections to the database", ge=1, le=200)

    requests_per_minute: int = _named(
        "ATENEO_REQUESTS_PER_MINUTE", 6000, "what one key may ask of one process of the API; 0: no limit", ge=0
    )
    cors_origins: str | None = _named(
        "ATENEO_CORS_ORIGINS",
        None,
        "whose pages may call the API from a browser: `https://app.example,https://other.example`, or `*`",
        pattern=r"^(\*|https?://[^\s,/]+(\s*,\s*https?://[^\s,/]+)*)$",
    )
    failed_logins_per_minute: int = _named(
        "ATENEO_FAILED_LOGINS_PER_MINUTE",
        60,
        "wrong keys tried from one address, or with one prefix; 0: no limit",
        ge=0,
    )
    console: bool = _named("ATENEO_CONSOLE", True, "`ateneo serve` shows the console at /")
    console_secret: SecretStr | None = _named(
        "ATENEO_CONSOLE_SECRET", None, "what the console's sessions are signed with; default: new with every start"
    )
    tenant_secret: SecretStr | None = _named(
        "ATENEO_TENANT_SECRET", None, "what companies are signed with; `ateneo db sign-tenants` makes one"
    )
    jwt_jwks: str | None = _named("ATENEO_JWT_JWKS", None, "public keys of your own login: a URL, or a file")
    jwt_issuer: str | None = _named("ATENEO_JWT_ISSUER", None, "`iss` that its tokens must have")
    jwt_audience: str | None = _named("ATENEO_JWT_AUDIENCE", None, "`aud` that its tokens must have")
    jwt_tenant_claim: str = _named("ATENEO_JWT_TENANT_CLAIM", "empresa_id", "claim that names the company")
    jwt_scopes: str = _named(
        "ATENEO_JWT_SCOPES", "read", "what a token without `scope` may do: read, write, agents, admin"
    )

    @property
    def own_session_url(self) -> str | None:
        """The address for what needs a session of its own: ATENEO_DIRECT_URL, else DATABASE_URL."""
        url = self.direct_url or self.database_url
        return url.get_secret_value() if url else None

    def require_database_url(self) -> str:
        """The address of the database. Raises DatabaseUrlMissing where there is none."""
        if self.database_url is None:
            raise DatabaseUrlMissing()
        return self.database_url.get_secret_value()


class _Everything(BaseSettings):
    """What a secrets file holds."""

    model_config = SettingsConfigDict(env_file_encoding="utf-8", extra="allow")


def unknown_variables(secrets: Path | None = None) -> dict[str, str | None]:
    """The variables ATENEO_… of the environment and the secrets file that nobody reads, each with the nearest one that
    is read, where one is near."""
    known = {"ATENEO_SECRETS_FILE"}
    known |= {name for field in Settings.model_fields.values() for name in _variables(field)}
    file = _Everything(_env_file=secrets_file(secrets)).model_extra or {}  # type: ignore[call-arg]
    there = {name.upper() for name in (*os.environ, *file)}
    own = sorted(name for name in there if name.startswith(_PREFIX) and name not in known)
    return {name: _nearest(name, known) for name in own}


def _nearest(name: str, known: set[str]) -> str | None:
    ends = sorted(one.removeprefix(_PREFIX) for one in known if one.startswith(_PREFIX))
    return next((_PREFIX + one for one in get_close_matches(name.removeprefix(_PREFIX), ends, 1)), None)


def load(secrets: Path | None = None, **given: object) -> Settings:
    """Reads the settings; `given`, by the names of their fields, win. Raises SettingsError that names the variable and
    its rule."""
    try:
        return Settings(_env_file=secrets_file(secrets), **_by_variable(given))  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise SettingsError(name=name, detail=f"{broken_rule(first)}.") from None


def _by_variable(given: Mapping[str, object]) -> dict[str, Any]:
    fields = Settings.model_fields
    for name in given.keys() - fields.keys():
        near = get_close_matches(name, fields, 1)
        detail = tr("no existe esa variable", "there is no such setting")
        raise SettingsError(name=name, detail=f"{detail} ({near[0]}?)." if near else f"{detail}.")
    return {_variables(fields[name])[0]: value for name, value in given.items()}


def _variables(field: FieldInfo) -> list[str]:
    """The names of the variables that a setting is read from."""
    assert isinstance(field.validation_alias, AliasChoices)
    return list(map(str, field.validation_alias.choices))
