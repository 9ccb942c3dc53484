"""How much a request may bring: refused by its declared length, or where the bytes run over."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ateneo import i18n
from ateneo.errors import DocumentTooLarge
from ateneo.i18n import tr

MIB = 1024 * 1024
JSON_BYTES = 2 * MIB
FORM_OVERHEAD = MIB // 4
"""Bytes that a multipart body may have beyond its file: boundaries, headers, small fields."""


class BodyLimit:
    """ASGI middleware: `upload_bytes` for multipart on `upload_paths` and below, JSON_BYTES for everything else.

    Nothing is read ahead: the limit is checked when the route asks for the body, so that a key is asked for first.
    """

    def __init__(self, app: ASGIApp, *, upload_paths: Sequence[str], upload_bytes: int) -> None:
        self.app = app
        self.upload_paths = tuple(f"{path}/" for path in upload_paths)
        self.upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        takes_files = f"{path}/".startswith(self.upload_paths)
        is_upload = takes_files and headers.get("content-type", "").startswith("multipart/form-data")
        limit = self.upload_bytes + FORM_OVERHEAD if is_upload else JSON_BYTES
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            if declared > limit:
                raise self._refusal(declared, is_upload)
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise self._refusal(seen, is_upload)
            return message

        await self.app(scope, limited, send)

    def _refusal(self, size: int, is_upload: bool) -> HTTPException:
        # FastAPI answers 400 to every other exception that reading a body raises.
        if not is_upload:
            detail = tr(f"El pedido pasa de {JSON_BYTES // MIB} MiB.", f"The request is over {JSON_BYTES // MIB} MiB.")
            return HTTPException(413, detail)
        refusal = HTTPException(413)
        refusal.__cause__ = DocumentTooLarge(
            name=tr("el archivo", "the file"),
            size=i18n.size(size, least=True),
            limit=i18n.size(self.upload_bytes),
        )
        return refusal
