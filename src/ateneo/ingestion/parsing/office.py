"""Older Office files, ODT, RTF, EPUB and web pages, read by kreuzberg (Rust) as Markdown."""

import re
from typing import Any

from ateneo.errors import DocumentCorrupt, DocumentEncrypted
from ateneo.ingestion.parsing import formats
from ateneo.ingestion.parsing.markdown import Reading, read_markdown
from ateneo.ingestion.parsing.pictures import unread_images
from ateneo.ingestion.parsing.rtf import without_deleted
from ateneo.ingestion.parsing.web_page import main_part

_HTML_HEADER_END = re.compile(r"## (?:title|base|canonical|meta-[\w:.-]{1,200}): ")
_HTML_HEADER_LINES = 200
_IMAGE = re.compile(r"!\[image\]\(image_\d+\.\w+\)")
"""What kreuzberg writes where the file has an image."""


def read_office(data: bytes, name: str, mime: str) -> tuple[Reading, dict[str, Any]]:
    """What the file says, and its metadata. Raises DocumentEncrypted, DocumentCorrupt."""
    if mime == formats.RTF:
        data = without_deleted(data)
    if mime == formats.HTML:
        data = main_part(formats.decode(data) or "").encode("utf-8", "replace")
    result = _extract(data, name, mime)
    content = _without_header(result.content) if mime == formats.HTML else result.content
    content, images = _IMAGE.subn("", content)
    reading = read_markdown(content)
    if images:
        reading.builder.report = reading.builder.report.with_skipped(*unread_images(images))
    return reading, dict(result.metadata)


def _without_header(content: str) -> str:
    """Without what kreuzberg writes of a page's metadata above its text: a rule, fields, the last one as a heading."""
    lines = content.split("\n", _HTML_HEADER_LINES)
    if lines[0] != "---":
        return content
    end = next((at for at, line in enumerate(lines) if line.startswith("## ")), 0)
    return "\n".join(lines[end + 1 :]) if _HTML_HEADER_END.match(lines[end]) else content


def _extract(data: bytes, name: str, mime: str) -> Any:
    import kreuzberg

    config = kreuzberg.ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format="markdown",
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    try:
        return kreuzberg.extract_bytes_sync(data, mime, config)
    except kreuzberg.KreuzbergError as error:
        if "password" in str(error).lower() or "encrypt" in str(error).lower():
            raise DocumentEncrypted(name=name) from error
        raise DocumentCorrupt(name=name, detail=formats.damaged()) from error
