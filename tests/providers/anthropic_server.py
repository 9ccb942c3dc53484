"""A server on 127.0.0.1 that speaks the Messages API, streamed and not, with faults on demand."""

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.providers.quiet_server import QuietServer


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    stream: tuple[dict[str, Any], ...] | None = None
    """Events to stream instead of `body`; without a message_stop the connection breaks off behind them."""
    hold: bool = False
    """After `stream` the server says nothing more and waits for the client to leave (`Server.left`)."""


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


def events(body: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """A message as the events that stream it: texts in pieces, citations behind the text that they support."""
    head = body | {"content": [], "stop_reason": None}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    for index, block in enumerate(body.get("content") or ()):
        empty = {"text": {"text": ""}, "tool_use": {"input": {}}, "thinking": {"thinking": "", "signature": ""}}
        start = block | empty.get(block["type"], {})
        start.pop("citations", None)
        found.append({"type": "content_block_start", "index": index, "content_block": start})
        found += [{"type": "content_block_delta", "index": index, "delta": one} for one in _deltas(block)]
        found.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": body.get("stop_reason"), "stop_sequence": None}
    found.append({"type": "message_delta", "delta": ending, "usage": body.get("usage")})
    found.append({"type": "message_stop"})
    return tuple(found)


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    if block["type"] == "text" and block["text"] is not None:
        text, size = block["text"], 7
        pieces = [{"type": "text_delta", "text": text[at : at + size]} for at in range(0, len(text), size)]
        cited = [{"type": "citations_delta", "citation": one} for one in block.get("citations", ())]
        return pieces + cited
    if block["type"] == "tool_use":
        return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        return [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
    return []


def texts(*said: str, start: bool = True) -> tuple[dict[str, Any], ...]:
    """The beginning of a streamed message that says these texts, without an end."""
    whole = events(json.loads(message("".join(said)).body))
    return tuple(one for one in whole if one["type"] not in ("message_delta", "message_stop", "content_block_stop"))


def cited(text: str, *quotes: tuple[str, str]) -> dict[str, Any]:
    """A text block with native citations: (source, cited_text) each."""
    citations = [
        {
            "type": "search_result_location",
            "source": source,
            "cited_text": quote,
            "title": "t",
            "search_result_index": 0,
            "start_block_index": 0,
            "end_block_index": 1,
        }
        for source, quote in quotes
    ]
    return {"type": "text", "text": text, "citations": citations}


def call(query: Any, *before: dict[str, Any], call_id: str = "toolu_1") -> Reply:
    """A message that asks for a search."""
    block = {"type": "tool_use", "id": call_id, "name": "buscar", "input": {"consulta": query}}
    return message(content=[*before, block], stop_reason="tool_use")


@dataclass
class Server:
    """`requests` are the bodies received, `keys` the Authorization headers. `reply` answers the n-th (from 0).
    `left` is set when a client closes its connection while a reply holds."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    reply: Callable[[int], Reply] = lambda n: message()
    left: threading.Event = field(default_factory=threading.Event)


def _as_events(reply: Reply) -> tuple[dict[str, Any], ...] | None:
    """The events of a reply that is a message, whatever else is wrong with it; None for other bodies."""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return None
    return events(body) if isinstance(body, dict) and isinstance(body.get("content"), list) else None


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
            reply = server.reply(len(server.requests) - 1)
            streamed = reply.stream
            if streamed is None and server.requests[-1].get("stream") and reply.status == 200:
                streamed = _as_events(reply)
            if streamed is None:
                return self._send(reply)
            self._stream(reply, streamed)

        def _stream(self, reply: Reply, streamed: tuple[dict[str, Any], ...]) -> None:
            time.sleep(reply.delay_s)
            self.close_connection = True
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for event in streamed:
                    data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    self.wfile.flush()
                while reply.hold:
                    ready, _, _ = select.select([self.connection], [], [], 5)
                    if not ready or not self.connection.recv(1):
                        break
            except OSError:
                pass
            if reply.hold:
                server.left.set()
            elif streamed[-1]["type"] in ("message_stop", "error"):
                self.wfile.write(b"0\r\n\r\n")

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

    http = QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
