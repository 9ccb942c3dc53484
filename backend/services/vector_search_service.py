"""The guide's name for it; the code is in `ateneo`."""

from ateneo.guide import VectorSearchService
from ateneo.types import Hit, SearchResult

__all__ = ["Hit", "SearchResult", "VectorSearchService"]
