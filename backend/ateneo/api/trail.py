"""Every request of a known caller leaves a line in its company's audit trail."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ateneo.api.tenant import needed_scope
from ateneo.store.audit import AuditEntry
from ateneo.types import Caller
from ateneo.wiring import House


class Audited:
    """ASGI middleware. What changes something is in the trail before its answer goes out; what reads, soon after it has
    ended, so that a stream's results are known."""

    def __init__(self, app: ASGIApp, *, house: Callable[[], House]) -> None:
        self.app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        state: dict[str, Any] = scope.setdefault("state", {})
        status, written = int(HTTPStatus.INTERNAL_SERVER_ERROR), False

        async def noted(message: Message) -> None:
            nonlocal status, written
            if message["type"] == "http.response.start" and "caller" in state:
                status = message["status"]
                if status < HTTPStatus.BAD_REQUEST and needed_scope(scope["route"]) == "write":
                    await self._house().trail.write(_entry(scope, state["caller"], status))
                    written = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:  # also where the client has left, or nothing was answered
            if "caller" in state and not written:
                self._house().trail.later(_entry(scope, state["caller"], status))


def count(request: Request, results: int, target: str | None = None) -> None:
    """For the trail: how many passages or documents the answer has, and which document it made."""
    request.state.results = results
    if target is not None:
        request.state.target = target


def _entry(scope: Scope, caller: Caller, status: int) -> AuditEntry:
    state = scope["state"]
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
