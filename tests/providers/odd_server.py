"""A real HTTP server that answers every request with the same status, headers and bytes, whatever they are."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.providers.quiet_server import QuietServer


@dataclass
class OddServer:
    """`paths` of the requests so far."""

    url: str
    paths: list[str] = field(default_factory=list)


@contextmanager
def answering(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, raw: bytes | None = None
) -> Iterator[OddServer]:
    """`raw`: what is sent instead of any HTTP."""
    server = OddServer("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.paths.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.close_connection = True
            if raw is not None:
                self.wfile.write(raw)
                return
            self.send_response(status)
            sent = {"Content-Type": "application/json", "Content-Length": str(len(body))} | dict(headers or {})
            for name, value in sent.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = QuietServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
