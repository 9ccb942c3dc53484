"""A server on 127.0.0.1 that speaks OpenAI's chat completions, streamed, with faults on demand."""

import json
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.providers.quiet_server import QuietServer

USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 5,
    "total_tokens": 35,
    "prompt_tokens_details": {"cached_tokens": 10},
}


@dataclass(frozen=True)
class ChatReply:
    """`frames` are sent one by one as server-sent events; then `[DONE]`, or nothing and the connection held open."""

    frames: tuple[str, ...] = ()
    status: int = 200
    done: bool = True
    hold: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def frame(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    return json.dumps(head | {"choices": [choice]} | more)


def saying(text: str, finish: str | None = "stop", *, usage: bool = True) -> ChatReply:
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
    frames = [frame({"content": piece}) for piece in pieces]
    if finish:
        frames.append(frame({}, finish))
    if usage and finish:
        frames.append(json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}))
    return ChatReply(tuple(frames), done=finish is not None)


def calling(arguments: str) -> ChatReply:
    """Asks for a search, its arguments in two pieces."""
    half = len(arguments) // 2
    first = {"index": 0, "id": "call_9", "type": "function",
             "function": {"name": "buscar", "arguments": arguments[:half]}}  # fmt: skip
    second = {"index": 0, "function": {"arguments": arguments[half:]}}
    return ChatReply((frame({"tool_calls": [first]}), frame({"tool_calls": [second]}), frame({}, "tool_calls")))


@dataclass
class ChatServer:
    """`requests` are the bodies received. `left` is set when a client closes while a reply holds."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)


@contextmanager
def chat_serving(reply: Callable[[int], ChatReply]) -> Iterator[ChatServer]:
    server = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            server.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            answer = reply(len(server.requests) - 1)
            self.send_response(answer.status)
            kind = "text/event-stream" if answer.status == 200 else "application/json"
            for name, value in {"content-type": kind, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.status != 200:
                self.wfile.write(answer.frames[0].encode())
                return
            for one in (*answer.frames, *(["[DONE]"] if answer.done else [])):
                self.wfile.write(f"data: {one}\n\n".encode())
            self.wfile.flush()
            if answer.hold:
                ready, _, _ = select.select([self.connection], [], [], 5)
                if ready and not self.connection.recv(1):
                    server.left.set()

    http = QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
