"""Every request of a known caller leaves a line in its company's audit log."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ateneo.api.problems import of_error
from ateneo.api.tenant import changes
from ateneo.container import Container
from ateneo.db.audit import AuditEntry
from ateneo.errors import AteneoError
from ateneo.types import Caller


class Audited:
    """ASGI middleware. What changes something is in the audit log before its answer goes out (a stream's: before its
    last event, by `record`); what reads, soon after it has ended. An answer whose entry cannot be stored is not
    given."""

    def __init__(self, app: ASGIApp, *, container: Callable[[], Container]) -> None:
        self.app = app
        self._container = container

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        state: dict[str, Any] = scope.setdefault("state", {})
        status, refused = int(HTTPStatus.INTERNAL_SERVER_ERROR), False

        async def noted(message: Message) -> None:
            nonlocal status, refused
            if refused:
                return
            if message["type"] == "http.response.start" and "caller" in state:
                status = message["status"]
                if status < HTTPStatus.BAD_REQUEST and changes(scope["route"]) and "streams" not in state:
                    try:
                        await _store(scope, self._container(), status)
                    except AteneoError as error:
                        refused, status = True, error.status
                        await of_error(error)(scope, receive, send)
                        return
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:  # also where the client has left, or nothing was answered
            if "caller" in state and "recorded" not in state:
                self._container().audit_log.later(_entry(scope, status))


def count(request: Request, results: int, target: str | None = None) -> None:
    """For the audit log: how many passages or documents the answer has, and which document it made."""
    request.state.results = results
    if target is not None:
        request.state.target = target


def streams(request: Request) -> None:
    """To be called before an answer that is a stream: its route calls `record` before the last event."""
    request.state.streams = True


async def record(request: Request) -> None:
    """Stores the entry of a stream that ends well. Raises DatabaseError."""
    await _store(request.scope, request.app.state.container, HTTPStatus.OK)


async def _store(scope: Scope, container: Container, status: int) -> None:
    await container.audit_log.write(_entry(scope, status))
    scope["state"]["recorded"] = True


def _entry(scope: Scope, status: int) -> AuditEntry:
    state = scope["state"]
    caller: Caller = state["caller"]
    named = next(iter(scope.get("path_params", {}).values()), None)
    return AuditEntry(
        empresa_id=caller.empresa_id,
        actor=caller.actor,
        action=getattr(scope.get("route"), "operation_id", None) or scope["method"],
        status=status,
        target=state.get("target", named),
        results=state.get("results"),
        request_id=state.get("request_id"),
    )
