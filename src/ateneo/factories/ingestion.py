"""What ingestion takes from the settings."""

from typing import Any

from ateneo.settings import Settings


def ingestion_options(settings: Settings) -> dict[str, Any]:
    """What IngestionService takes from the settings."""
    return {
        "chunk_tokens": settings.chunk_tokens,
        "chunk_overlap": settings.chunk_overlap,
        "max_bytes": settings.max_upload_mb * 1024 * 1024,
        "timeout_s": settings.extract_timeout_s,
        "ocr": settings.ocr == "auto",
    }
