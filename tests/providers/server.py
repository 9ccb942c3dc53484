"""A small real HTTP server that speaks OpenAI's embeddings protocol and fails as told.

    with ProviderServer(dims=8) as server:
        server.script(Fault.BUSY, Fault.OK)          # the first request gets a 429, the second an answer
        embedder = OpenAIEmbedder(api_key="k", model="any", base_url=server.url)

It refuses what OpenAI refuses: empty texts, more than 2,048 of them, more than 8,192 or 300,000 tokens.
"""

import base64
import hashlib
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

import numpy as np
from tests.providers.quiet_server import QuietServer

from ateneo.providers.tokens import count_tokens
from ateneo.types import Matrix


class Fault(Enum):
    """What happens to one request. STATUS faults answer with that code and OpenAI's error object."""

    OK = auto()
    FLOATS = auto()  # plain lists of floats, as servers answer that know no base64
    BUSY = auto()  # 429 with the server's `retry_headers`
    NO_QUOTA = auto()  # 429 insufficient_quota
    UNAUTHORIZED = auto()  # 401 that quotes the whole key
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    BAD_REQUEST = auto()
    BAD_DIMENSIONS = auto()  # 400 about the setting, not about a text
    SERVER_ERROR = auto()
    HANG = auto()  # no answer until the server stops
    TRICKLE = auto()  # an answer of one byte now and then, until the server stops
    RESET = auto()  # the connection is cut before any answer
    TRUNCATED = auto()  # half of the body, then the end
    GARBAGE = auto()
    HTML = auto()  # 502 from a proxy
    EMPTY_OBJECT = auto()
    TOO_FEW = auto()
    SHUFFLED = auto()  # right, in another order
    DOUBLE_INDEX = auto()
    WRONG_DIMS = auto()
    RAGGED = auto()
    BROKEN_BASE64 = auto()
    NAN = auto()
    ZERO = auto()


_ERRORS: dict[Fault, tuple[int, dict[str, Any]]] = {
    Fault.BUSY: (429, {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}),
    Fault.NO_QUOTA: (429, {"message": "You exceeded your current quota", "code": "insufficient_quota"}),
    Fault.FORBIDDEN: (403, {"message": "Country not supported", "code": "unsupported_country"}),
    Fault.NOT_FOUND: (404, {"message": "The model does not exist", "code": "model_not_found"}),
    Fault.BAD_REQUEST: (400, {"message": "Invalid 'input'", "type": "invalid_request_error", "param": "input"}),
    Fault.BAD_DIMENSIONS: (400, {"message": "This model does not support dimensions", "param": "dimensions"}),
    Fault.SERVER_ERROR: (500, {"message": "The server had an error", "type": "server_error"}),
}


_TOO_LARGE = (
    "Request too large for text-embedding-3-small in organization org-x on tokens per min (TPM): Limit {limit}, "
    "Requested {requested}. The input or output tokens must be reduced in order to run successfully."
)


def vector_for(text: str, dims: int) -> Matrix:
    """The vector that the server gives a text: unit length, shape (dims,), always the same."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(dims).astype(np.float32)
    unit: Matrix = vector / np.linalg.norm(vector)
    return unit


def words_vector(text: str, dims: int) -> Matrix:
    """A vector with some meaning: texts that share words are near. Unit length, shape (dims,)."""
    words = [word for word in re.findall(r"\w+", text.lower()) if len(word) > 3] or [text]
    summed = np.sum([vector_for(word, dims) for word in words], axis=0)
    unit: Matrix = (summed / np.linalg.norm(summed)).astype(np.float32)
    return unit


class ProviderServer:
    """Counts what it is asked: `calls`, `inputs`, `tokens` (of requests answered with vectors), `requests` (bodies),
    `answered` (the texts of right answers).

    `poison`: a request with a text that contains it gets 400; `bomb`: 500; `most_inputs`, `most_tokens`: larger
    requests get 400; `tokens_a_minute`: requests that no minute can hold get 429; `quotes`: errors of a STATUS repeat
    the texts. `gate`: while it is not set, answers wait.
    `scale`: length of the vectors. `vector_of`: makes them, of a text and a number of dimensions. `counted_by`: tokens
    of each text.
    """

    def __init__(self, dims: int = 8, vector_of: Callable[[str, int], Matrix] = vector_for) -> None:
        self.dims = dims
        self.vector_of = vector_of
        self.scale = 1.0
        self.counted_by: Callable[[list[str]], list[int]] = count_tokens
        self.otherwise = Fault.OK
        self.retry_headers: dict[str, str] = {}
        self.poison: str | None = None
        self.bomb: str | None = None
        self.most_inputs: int | None = None
        self.most_tokens: int | None = None
        self.tokens_a_minute: int | None = None
        self.quotes = False
        self.gate = threading.Event()
        self.gate.set()
        self.calls = self.inputs = self.tokens = 0
        self.answered: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self.requests: list[dict[str, Any]] = []
        self._script: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def script(self, *faults: Fault) -> None:
        """What happens to the next requests, one each; after them, `otherwise`."""
        with self._lock:
            self._script.extend(faults)

    def forget_script(self) -> None:
        """What was told with `script` and has not happened will not."""
        with self._lock:
            self._script.clear()

    def __enter__(self) -> Self:
        self._http = QuietServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.gate.set()
        self._http.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                connection.close()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server._connections.add(self.connection)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fault = server._begin(body)
                try:
                    server._answer(self, body, fault)
                finally:
                    server._end()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _begin(self, body: dict[str, Any]) -> Fault:
        with self._lock:
            self.calls += 1
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            self.inputs += len(body["input"])
            self.requests.append(body)
            fault = self._script.popleft() if self._script else self.otherwise
        self.gate.wait()
        return fault

    def _end(self) -> None:
        with self._lock:
            self.in_flight -= 1

    def _answer(self, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault) -> None:
        if fault is Fault.HANG:
            self._stopped.wait()
        elif fault is Fault.TRICKLE:
            _send(http, 200, b"{" * 2000, cut=True)
            with suppress(ConnectionError):
                while not self._stopped.wait(0.02):
                    http.wfile.write(b"{")
        elif fault is Fault.RESET:
            _reset(http)
        elif fault is Fault.UNAUTHORIZED:
            key = http.headers["Authorization"].removeprefix("Bearer ")
            _send(http, 401, {"error": {"message": f"Incorrect API key provided: {key}", "code": "invalid_api_key"}})
        elif fault in _ERRORS:
            status, error = _ERRORS[fault]
            said = f"{' '.join(body['input'])}: {error['message']}" if self.quotes else error["message"]
            _send(http, status, {"error": error | {"message": said}}, self.retry_headers)
        elif fault is Fault.GARBAGE:
            _send(http, 200, b'{"object": "list", "data": [{"emb\xff')
        elif fault is Fault.HTML:
            _send(http, 502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"})
        elif fault is Fault.EMPTY_OBJECT:
            _send(http, 200, {})
        elif refusal := self._refusal(body["input"]):
            _send(http, *refusal)
        else:
            self._embed(http, body, fault)

    def _refusal(self, texts: list[str]) -> tuple[int, dict[str, Any]] | None:
        """The status and the body for texts that it does not take."""
        asked = sum(self.counted_by(texts))
        if self.bomb is not None and any(self.bomb in text for text in texts):
            return 500, {"error": _ERRORS[Fault.SERVER_ERROR][1]}
        if self.tokens_a_minute is not None and asked > self.tokens_a_minute:
            said = _TOO_LARGE.format(limit=self.tokens_a_minute, requested=asked)
            return 429, {"error": {"message": said, "type": "tokens", "code": "rate_limit_exceeded"}}
        wrong = self._wrong(texts)
        if wrong is None:
            return None
        return 400, {"error": {"message": wrong, "type": "invalid_request_error", "param": "input"}}

    def _wrong(self, texts: list[str]) -> str | None:
        counts = self.counted_by(texts)
        if not texts or not all(texts):
            return "input cannot be an empty string"
        if len(texts) > 2048 or sum(counts) > 300_000:
            return "too many inputs or tokens in one request"
        if max(counts) > 8192:
            return "maximum input length is 8192 tokens"
        if self.most_inputs is not None and len(texts) > self.most_inputs:
            return f"batch size is invalid, it should not be larger than {self.most_inputs}"
        if self.most_tokens is not None and sum(counts) > self.most_tokens:
            return f"at most {self.most_tokens} tokens a batch"
        if self.poison is not None and any(self.poison in text for text in texts):
            return "this text cannot be embedded"
        return None

    def _embed(self, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault) -> None:
        texts: list[str] = body["input"]
        dims = body.get("dimensions", self.dims) + (fault is Fault.WRONG_DIMS)
        vectors = [self.vector_of(text, dims) * np.float32(self.scale) for text in texts]
        if fault is Fault.NAN:
            vectors[-1][0] = np.nan
        if fault is Fault.ZERO:
            vectors[-1][:] = 0
        if fault is Fault.RAGGED:
            vectors[-1] = vectors[-1][:-1]
        floats = fault in {Fault.FLOATS, Fault.NAN} or body.get("encoding_format") != "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": vector.tolist() if floats else _base64(vector)}
            for index, vector in enumerate(vectors)
        ]
        if fault is Fault.SHUFFLED:
            data.reverse()
        if fault is Fault.DOUBLE_INDEX:
            data[-1]["index"] = 0
        if fault is Fault.TOO_FEW:
            data.pop()
        if fault is Fault.BROKEN_BASE64:
            data[0]["embedding"] = "AAAAA"
        used = sum(self.counted_by(texts))
        with self._lock:
            self.tokens += used
            if fault in {Fault.OK, Fault.FLOATS, Fault.SHUFFLED}:
                self.answered.extend(texts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        answer = {"object": "list", "data": data, "model": body["model"], "usage": usage}
        _send(http, 200, answer, cut=fault is Fault.TRUNCATED)


def _base64(vector: Matrix) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _send(
    http: BaseHTTPRequestHandler,
    status: int,
    body: dict[str, Any] | bytes,
    headers: dict[str, str] | None = None,
    *,
    cut: bool = False,
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    http.send_response(status)
    for name, value in (
        {"Content-Type": "application/json", "Content-Length": str(len(raw))} | (headers or {})
    ).items():
        http.send_header(name, value)
    try:
        http.end_headers()
        http.wfile.write(raw[: len(raw) // 2] if cut else raw)
    except ConnectionError:
        http.close_connection = True
    if cut:
        http.close_connection = True


def _reset(http: BaseHTTPRequestHandler) -> None:
    http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.close_connection = True
    http.connection.close()
