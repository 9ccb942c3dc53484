"""The bytes of what callers give as a file: a path, bytes, or something open."""

import asyncio
import os
from inspect import isawaitable
from pathlib import Path

from ateneo import i18n
from ateneo.errors import BadArgument, DocumentTooLarge
from ateneo.i18n import tr
from ateneo.ingestion.regular_file import open_regular
from ateneo.ingestion.upload import File, Readable


async def file_bytes(file: File, name: str, max_bytes: int) -> bytes:
    """All bytes of the file, of which no more than `max_bytes` + 1 are ever held. Raises DocumentTooLarge."""
    if isinstance(file, (str, os.PathLike)):
        data = await asyncio.to_thread(_read_path, Path(file), name, max_bytes)
    elif isinstance(file, (bytes, bytearray, memoryview)):
        data = bytes(file)
    else:
        data = await _read_open(file, max_bytes)
    if len(data) > max_bytes:
        raise DocumentTooLarge(name=name, size=i18n.size(len(data), least=True), limit=i18n.size(max_bytes))
    return data


def _read_path(path: Path, name: str, max_bytes: int) -> bytes:
    with open_regular(path, path.parent) as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > max_bytes:
            raise DocumentTooLarge(name=name, size=i18n.size(size), limit=i18n.size(max_bytes))
        return opened.read(max_bytes + 1)


async def _read_open(file: Readable, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    missing = max_bytes + 1
    while missing > 0:
        part = await asyncio.to_thread(file.read, missing)
        part = await part if isawaitable(part) else part
        if not isinstance(part, bytes):
            rule = tr("tiene que estar abierto en modo binario", "it must be open in binary mode")
            raise BadArgument(name="file", value=type(file).__name__, rule=rule)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
