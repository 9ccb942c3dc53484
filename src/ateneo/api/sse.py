"""Server-sent events: a stream of events as frames, kept alive, ended when the client leaves."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from ateneo.api.context import response_headers
from ateneo.errors import AteneoError
from ateneo.i18n import tr
from ateneo.unexpected import as_ours, log_unexpected

MEDIA_TYPE = "text/event-stream"
PING_S = 15.0
"""Seconds of silence after which a comment is sent: proxies close connections on which nothing moves."""

_PING = format_sse_event(comment="ping")

T = TypeVar("T")


async def respond(
    events: AsyncGenerator[T],
    framed: Callable[[T], bytes],
    failed: Callable[[AteneoError], bytes],
    request_id: str,
) -> StreamingResponse:
    """The response that streams `events`, each `framed` as bytes.

    The first one is awaited here, so that what it raises becomes a response of its own; what is raised later becomes a
    last event, as `failed` frames it. `events` is closed when the client leaves.
    """
    first = framed(await anext(events))
    headers = response_headers(request_id) | {"X-Accel-Buffering": "no"}
    return StreamingResponse(_frames(first, events, framed, failed), media_type=MEDIA_TYPE, headers=headers)


async def _frames(
    first: bytes,
    rest: AsyncGenerator[T],
    framed: Callable[[T], bytes],
    failed: Callable[[AteneoError], bytes],
) -> AsyncIterator[bytes]:
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def produce() -> None:
        try:
            async with aclosing(rest):
                async for event in rest:
                    waiting.put_nowait(framed(event))
        except Exception as error:  # noqa: BLE001 - the outermost edge of the task: no stream ends without its last event
            where = tr("la respuesta", "the answer")
            log_unexpected(error, where)
            waiting.put_nowait(failed(as_ours(error, where)))
        finally:
            waiting.put_nowait(None)

    # In a task of its own: whoever cancels the response does so at every await, and the end of a stream takes some.
    producer = asyncio.create_task(produce())
    try:
        yield first
        while True:
            try:
                frame = await asyncio.wait_for(waiting.get(), PING_S)
            except TimeoutError:
                yield _PING
                continue
            if frame is None:
                break
            yield frame
    finally:
        producer.cancel()


def frame(name: str, data: dict[str, Any]) -> bytes:
    """An event of that name."""
    # A lone surrogate must not end a stream.
    text = json.dumps(data, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
    return format_sse_event(event=name, data_str=text)
