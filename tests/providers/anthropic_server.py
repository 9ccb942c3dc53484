"""A server on 127.0.0.1 that speaks the Messages API, with faults on demand."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def message(text: str | None = "Hola.", **changes: Any) -> Reply:
    """A Messages API answer; `text` None for one without content."""
    body: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 7},
    }
    return Reply(body=json.dumps(body | changes).encode())


def fault(status: int, kind: str, text: str = "no", **headers: str) -> Reply:
    """An error as the API words it; tells the client to retry at once where it retries."""
    body = {"type": "error", "error": {"type": kind, "message": text}}
    return Reply(status, json.dumps(body).encode(), headers={"retry-after-ms": "1"} | headers)


@dataclass
class Server:
    """`requests` are the bodies received, `keys` the Authorization headers. `reply` answers the n-th (from 0)."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    reply: Callable[[int], Reply] = lambda n: message()


@contextmanager
def serving(reply: Callable[[int], Reply] = lambda n: message()) -> Iterator[Server]:
    server = Server(reply=reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path != "/v1/messages":
                return self._send(fault(404, "not_found_error", self.path))
            server.requests.append(json.loads(body))
            server.keys.append(self.headers.get("authorization", ""))
            self._send(server.reply(len(server.requests) - 1))

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.delay_s)
            try:
                self.send_response(reply.status)
                for name, value in {"content-type": reply.content_type, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except (BrokenPipeError, ConnectionResetError):
                pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
