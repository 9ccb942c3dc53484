"""The guide's door: the house is in `ateneo`."""

from ateneo.guide import IngestionService
from ateneo.types import StoredDocument

__all__ = ["IngestionService", "StoredDocument"]
