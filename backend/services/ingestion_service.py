"""The guide's name for it; the code is in `ateneo`."""

from ateneo.guide import IngestionService
from ateneo.types import StoredDocument

__all__ = ["IngestionService", "StoredDocument"]
