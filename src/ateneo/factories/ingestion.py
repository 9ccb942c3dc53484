"""What ingestion takes from the settings."""

from typing import Any

from ateneo.settings import Settings


def chunk_sizes(settings: Settings) -> dict[str, int]:
    """How texts are cut into chunks."""
    return {"chunk_tokens": settings.chunk_tokens, "chunk_overlap": settings.chunk_overlap}


def ingestion_options(settings: Settings) -> dict[str, Any]:
    """What IngestionService takes from the settings."""
    return {
        **chunk_sizes(settings),
        "max_bytes": settings.max_upload_mb * 1024 * 1024,
        "timeout_s": settings.extract_timeout_s,
        "ocr": settings.ocr == "auto",
    }
