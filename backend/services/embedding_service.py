"""The guide's name for it; the code is in `ateneo`."""

from ateneo.guide import EmbeddingService, get_embedding_service
from ateneo.types import EmbeddingResult

__all__ = ["EmbeddingResult", "EmbeddingService", "get_embedding_service"]
