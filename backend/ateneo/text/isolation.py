"""Parsing in a process of its own: a hostile file may hang it, crash it or fill it, and nothing else.

The child reads a line of JSON (the request), then the file; it writes one line of JSON (the document or the error).
JSON, because what comes out of a process that read a hostile file is not to be unpickled.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ateneo import errors, lang
from ateneo.errors import DocumentCorrupt, DocumentError
from ateneo.lang import tr
from ateneo.types import Document, Section

MEMORY_LIMIT = 4 * 1024**3
_COMMAND = "from ateneo.text.isolation import child; child()"


async def run_isolated(data: bytes, name: str, *, max_bytes: int, timeout_s: float) -> Document:
    """`ateneo.text.parsing.parse` in a child process, killed after `timeout_s` seconds or on cancellation.

    Raises what `parse` raises, and DocumentCorrupt where the child was killed or crashed.
    """
    request = {"name": name, "max_bytes": max_bytes, "cpu_s": int(timeout_s) + 5, "lang": lang.current()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await process.communicate(json.dumps(request).encode() + b"\n" + data)
    except TimeoutError:
        detail = tr(f"leerlo lleva más de {timeout_s:g} s.", f"reading it takes more than {timeout_s:g} s.")
        raise DocumentCorrupt(name=name, detail=detail) from None
    finally:
        await _end(process)
    if process.returncode != 0:
        detail = tr("el lector falló con este archivo.", "the reader crashed on this file.")
        raise DocumentCorrupt(name=name, detail=detail)
    return _result(json.loads(answer))


def _environment() -> dict[str, str]:
    """What Python needs to start; none of the secrets that this process was given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def _result(answer: Mapping[str, Any]) -> Document:
    if "error" in answer:
        kind = getattr(errors, answer["error"])
        raise kind(**answer["fields"])
    found = answer["document"]
    sections = tuple(Section(one["text"], tuple(one["headings"]), one["page"]) for one in found["sections"])
    return Document(**{**found, "sections": sections})


def child() -> None:
    """What the child process runs."""
    from ateneo.text.parsing import parse

    request = json.loads(sys.stdin.buffer.readline())
    _limit(request["cpu_s"])
    lang.use(request["lang"])
    try:
        document = parse(sys.stdin.buffer.read(), request["name"], max_bytes=request["max_bytes"])
        answer: dict[str, Any] = {"document": asdict(document)}
    except DocumentError as error:
        answer = {"error": type(error).__name__, "fields": error.fields}
    sys.stdout.write(json.dumps(answer, default=str))


def _limit(cpu_s: int) -> None:
    import resource

    wanted = {resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":
        wanted[resource.RLIMIT_AS] = MEMORY_LIMIT
    for kind, limit in wanted.items():
        _, hard = resource.getrlimit(kind)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (least, least))
