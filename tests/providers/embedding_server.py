"""A small real HTTP server that speaks the protocols of Voyage, Cohere, Gemini and Mistral, and fails as told.

Each request must be as its vendor documents it; anything else is a 400.
"""

import json
import threading
from collections import deque
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.providers.quiet_server import QuietServer
from tests.providers.server import vector_for

KEY = "clave-muy-secreta-42"
DIMS = 8


class Fault(Enum):
    """What happens to one request."""

    OK = auto()
    BUSY = auto()  # 429 with retry-after
    UNAUTHORIZED = auto()  # 401 that quotes the key
    BAD_KEY = auto()  # 400 for a wrong key, as Gemini answers
    BAD_MODEL = auto()  # 400 about the setting
    TOO_MANY = auto()  # 400 about the texts
    NOT_FOUND = auto()
    SERVER_ERROR = auto()
    HTML = auto()  # 502 from a proxy
    HANG = auto()  # no answer until the server stops
    RESET = auto()  # the connection is cut before any answer
    GARBAGE = auto()
    EMPTY_OBJECT = auto()
    RAGGED = auto()
    TOO_FEW = auto()
    SHUFFLED = auto()  # right, in another order, where the protocol has indexes


_STATUS = {
    Fault.BUSY: (429, "Rate limit exceeded"),
    Fault.UNAUTHORIZED: (401, f"invalid api token {KEY}"),
    Fault.BAD_KEY: (400, "API key not valid. Please pass a valid API key."),
    Fault.BAD_MODEL: (400, "model 'x' not found, make sure the correct model ID was used"),
    Fault.TOO_MANY: (400, "Too many tokens in batch. Max is 16384 got 17555"),
    Fault.NOT_FOUND: (404, "no such route"),
    Fault.SERVER_ERROR: (500, "internal error"),
}


class EmbeddingServer:
    """`service`: whose protocol. `requests`: the bodies; `told`: (text, kind) of each text that got a vector."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.requests: list[dict[str, Any]] = []
        self.told: list[tuple[str, str]] = []
        self._script: deque[Fault] = deque()
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def script(self, *faults: Fault) -> None:
        self._script.extend(faults)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(body)
                server._answer(self, body, server._script.popleft() if server._script else Fault.OK)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._http = QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _answer(self, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault) -> None:
        if fault is Fault.HANG:
            self._stopped.wait()
        if fault in {Fault.HANG, Fault.RESET}:
            http.close_connection = True
        elif fault in _STATUS:
            status, message = _STATUS[fault]
            inside = {"error": {"code": status, "message": message}}
            _send(http, status, inside if self.service == "gemini" else {"message": message})
        elif fault is Fault.HTML:
            _send(http, 502, b"<html><h1>Bad Gateway</h1></html>")
        elif fault is Fault.GARBAGE:
            _send(http, 200, b'{"data": [{"emb\xff')
        elif fault is Fault.EMPTY_OBJECT:
            _send(http, 200, {})
        else:
            self._embed(http, body, fault)

    def _embed(self, http: BaseHTTPRequestHandler, body: dict[str, Any], fault: Fault) -> None:
        try:
            texts, kind, dims = _READ[self.service](http, body)
        except (KeyError, AssertionError) as error:
            _send(http, 400, {"message": f"malformed: {error!r}"})
            return
        vectors = [vector_for(text, dims).tolist() for text in texts]
        if fault is Fault.RAGGED:
            vectors[-1].pop()
        if fault is Fault.TOO_FEW:
            vectors.pop()
        self.told += [(text, kind) for text in texts]
        _send(http, 200, self._shaped(vectors, shuffled=fault is Fault.SHUFFLED))

    def _shaped(self, vectors: list[list[float]], *, shuffled: bool) -> dict[str, Any]:
        if self.service == "cohere":
            units = {"billed_units": {"input_tokens": 7}}
            return {"id": "1", "embeddings": {"float": vectors}, "meta": {"api_version": {"version": "2"}, **units}}
        if self.service == "gemini":
            return {"embeddings": [{"values": vector} for vector in vectors]}
        rows = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
        usage = {"total_tokens": 7} if self.service == "voyage" else {"prompt_tokens": 7, "total_tokens": 7}
        return {"object": "list", "data": rows[::-1] if shuffled else rows, "usage": usage}


def _voyage(http: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[list[str], str, int]:
    assert http.path == "/embeddings" and http.headers["Authorization"] == f"Bearer {KEY}"
    kind = {"query": "query", "document": "passage"}[body["input_type"]]
    assert body.keys() <= {"model", "input", "input_type", "output_dimension"}
    return body["input"], kind, body.get("output_dimension", DIMS)


def _cohere(http: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[list[str], str, int]:
    assert http.path == "/embed" and http.headers["Authorization"] == f"Bearer {KEY}"
    kind = {"search_query": "query", "search_document": "passage"}[body["input_type"]]
    assert body["embedding_types"] == ["float"] and len(body["texts"]) <= 96
    return body["texts"], kind, body.get("output_dimension", DIMS)


def _gemini(http: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[list[str], str, int]:
    model, _, call = http.path.removeprefix("/models/").partition(":")
    assert call == "batchEmbedContents" and http.headers["x-goog-api-key"] == KEY
    assert all(one["model"] == f"models/{model}" for one in body["requests"]) and len(body["requests"]) <= 100
    [task] = {one["taskType"] for one in body["requests"]}
    kind = {"RETRIEVAL_QUERY": "query", "RETRIEVAL_DOCUMENT": "passage"}[task]
    texts = [part["text"] for one in body["requests"] for part in one["content"]["parts"]]
    return texts, kind, body["requests"][0].get("outputDimensionality", DIMS)


def _mistral(http: BaseHTTPRequestHandler, body: dict[str, Any]) -> tuple[list[str], str, int]:
    assert http.path == "/embeddings" and http.headers["Authorization"] == f"Bearer {KEY}"
    assert body.keys() <= {"model", "input", "output_dimension"}
    return body["input"], "any", body.get("output_dimension", DIMS)


_READ = {"voyage": _voyage, "cohere": _cohere, "gemini": _gemini, "mistral": _mistral}


def _send(http: BaseHTTPRequestHandler, status: int, body: dict[str, Any] | bytes) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    http.send_response(status)
    http.send_header("Content-Type", "application/json")
    http.send_header("Content-Length", str(len(raw)))
    if status == 429:
        http.send_header("Retry-After", "3")
    http.end_headers()
    http.wfile.write(raw)
