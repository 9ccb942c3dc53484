"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request that is repeated has one effect, and its
answer again. Uploads and chats have it: whatever is asked by POST and changes something (docs/adr/0052)."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, Iterator
from email.message import Message as Headers
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import structlog
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive

from ateneo.api.tenant import CompanyRoute, Handler, changes, container
from ateneo.db import kept_answers
from ateneo.db.kept_answers import Claim, KeptAnswer
from ateneo.errors import AteneoError, BadArgument, KeyReused, RequestRunning
from ateneo.i18n import both, tr

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that is kept; of a larger one the key is given up."""
RETRY_S = 2
_REPEATED = ("content-type", "location")
_IN_MEMORY = 1024 * 1024
_PIECE = 64 * 1024
_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]+$"},
    "description": both(
        "propia de este pedido, por ejemplo un UUID: si se repite dentro de las 24 horas, tiene la misma respuesta",
        "this request's own, such as a UUID: repeated within 24 hours it has the same answer",
    ),
}
_log = structlog.get_logger("ateneo.api")
_releases: set[asyncio.Task[None]] = set()


class RepeatableRoute(CompanyRoute):
    """A route whose POST requests may have an Idempotency-Key."""

    def __init__(self, path: str, endpoint: Any, *, openapi_extra: dict[str, Any] | None = None, **more: Any) -> None:
        super().__init__(path, endpoint, openapi_extra=openapi_extra, **more)
        self.repeatable = self.methods == {"POST"} and changes(self)
        known = (self.openapi_extra or {}).get("parameters", [])
        if self.repeatable and _PARAMETER not in known:
            self.openapi_extra = {**(self.openapi_extra or {}), "parameters": [*known, _PARAMETER]}

    async def answered(self, request: Request, handle: Handler) -> Response:
        given = request.headers.getlist(HEADER)
        if not given or not self.repeatable:
            return await handle(request)
        key = _checked(given)
        with SpooledTemporaryFile(_IN_MEMORY) as body:
            digest = await _taken_in(request, body)
            mine = Claim(request.state.caller.empresa_id, hashlib.sha256(key.encode()).digest(), uuid.uuid4())
            db = container(request).db
            found = await kept_answers.claim(db, mine, digest)
            if isinstance(found, KeptAnswer):
                return _again(found)
            if found == "other":
                raise KeyReused()
            if found == "running":
                raise RequestRunning(retry_after=RETRY_S)
            first = _First(request, mine)
            try:
                response = await handle(Request(request.scope, _from_file(body, request.receive)))
            except Exception:
                await first.release()
                raise
            except BaseException:
                first.release_soon()
                raise
            return await first.kept(response)


class _First:
    """The first answer to a request: kept where it is a success, else the key is given up."""

    def __init__(self, request: Request, mine: Claim) -> None:
        self._db = container(request).db
        self._mine = mine
        self._state = request.state

    async def kept(self, response: Response) -> Response:
        if response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            await self.release()
        elif isinstance(response, StreamingResponse):
            response.body_iterator = self._streamed(response.body_iterator, response)
        else:
            await self._keep(response, bytes(response.body))
        return response

    async def _streamed(self, frames: Any, response: Response) -> AsyncGenerator[bytes]:
        """The frames as they come. Those of the end wait until the answer is kept: who has seen it may ask again."""
        sent, last, whole = bytearray(), [], False
        try:
            async for frame in frames:
                if not frame.startswith(b":") and len(sent) <= LARGEST_ANSWER:  # no ping
                    sent += frame
                if getattr(self._state, "complete", False):
                    last.append(frame)
                else:
                    yield frame
            if last:
                await self._keep(response, bytes(sent))
                whole = True
        finally:
            if not whole:
                self.release_soon()
        for frame in last:
            yield frame

    async def _keep(self, response: Response, body: bytes) -> None:
        if len(body) > LARGEST_ANSWER:
            await self.release()
            return
        try:
            headers = {name: response.headers[name] for name in _REPEATED if name in response.headers}
            answer = KeptAnswer(response.status_code, headers, body)
            await kept_answers.keep(self._db, self._mine, answer)
        except AteneoError as error:  # the answer is true all the same
            _log.warning("answer not kept", reason=error.code)

    def release_soon(self) -> None:
        """In a task of its own: whoever cancels a request does so at every await."""
        task = asyncio.create_task(self.release())
        _releases.add(task)
        task.add_done_callback(_releases.discard)

    async def release(self) -> None:
        try:
            await kept_answers.release(self._db, self._mine)
        except AteneoError as error:  # the lease ends by itself
            _log.warning("key not released", reason=error.code)


def _checked(given: list[str]) -> str:
    """Raises BadArgument."""
    [key, *others] = given
    if others or not 0 < len(key) <= LONGEST_KEY or not all("!" <= letter <= "~" for letter in key):
        rule = tr(
            f"uno, de 1 a {LONGEST_KEY} caracteres ASCII visibles",
            f"one, of 1 to {LONGEST_KEY} visible ASCII characters",
        )
        raise BadArgument(name=HEADER, value=ascii(key[:40]), rule=rule)
    return key


async def _taken_in(request: Request, body: IO[bytes]) -> bytes:
    """Reads the body into a file, and gives the sha256 of the request: its method, address and body."""
    async for piece in request.stream():
        body.write(piece)
    body.seek(0)
    found = hashlib.sha256()
    for part in (request.method, request.url.path, request.url.query):
        found.update(hashlib.sha256(part.encode("utf-8", "replace")).digest())
    for piece in _without(body, _boundary(request)):
        found.update(piece)
    body.seek(0)
    return found.digest()


def _boundary(request: Request) -> bytes:
    """Of a form: programs draw a new one each time they send it."""
    told = Headers()
    told["content-type"] = request.headers.get("content-type", "")
    return (
        (told.get_boundary() or "").encode("latin-1", "replace") if told.get_content_maintype() == "multipart" else b""
    )


def _without(body: IO[bytes], mark: bytes) -> Iterator[bytes]:
    """The file's bytes but for every `mark`."""
    rest = b""
    while piece := body.read(_PIECE):
        if not mark:
            yield piece
            continue
        *whole, rest = (rest + piece).split(mark)
        yield from whole
        kept = len(rest) - len(mark) + 1  # what follows may be the end of a mark
        if kept > 0:
            yield rest[:kept]
            rest = rest[kept:]
    yield rest


def _from_file(body: IO[bytes], then: Receive) -> Receive:
    """The request's body once more; after it what the client does."""
    ended = False

    async def receive() -> Message:
        nonlocal ended
        if ended:
            return await then()
        piece = body.read(_PIECE)
        ended = not piece
        return {"type": "http.request", "body": piece, "more_body": not ended}

    return receive


def _again(answer: KeptAnswer) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, "Idempotency-Replayed": "true"})
