"""A small real HTTP server that speaks Cohere's and Jina's `/rerank` and fails as told.

The relevance of a document is the share of the query's words that it holds.
"""

import json
import threading
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.providers.quiet_server import QuietServer


class Fault(Enum):
    """What happens to every request while `RerankServer.fault` is this."""

    OK = auto()  # Cohere's shape, best first
    JINA = auto()  # Jina's: with the documents and the usage
    DATA = auto()  # under `data`
    LIST = auto()  # a bare list of `score`
    UNAUTHORIZED = auto()  # 401 that quotes the key
    BUSY = auto()
    BAD_REQUEST = auto()
    SERVER_ERROR = auto()
    HANG = auto()  # no answer until the server stops
    CUT = auto()  # the connection is closed before any answer
    GARBAGE = auto()
    EMPTY_OBJECT = auto()
    TOO_FEW = auto()
    DOUBLE_INDEX = auto()
    NAN = auto()


_STATUS = {Fault.BUSY: 429, Fault.BAD_REQUEST: 400, Fault.SERVER_ERROR: 500}


class RerankServer:
    """Keeps the bodies and the Authorization headers that it got: `requests`, `authorizations`."""

    def __init__(self) -> None:
        self.fault = Fault.OK
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}/v2/rerank"

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append(body)
                server.authorizations.append(self.headers["Authorization"])
                server._answer(self, body)

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

    def _answer(self, http: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        fault = self.fault
        if fault is Fault.HANG:
            self._stopped.wait()
        if fault in {Fault.HANG, Fault.CUT}:
            http.close_connection = True
        elif fault is Fault.UNAUTHORIZED:
            _send(http, 401, {"message": f"invalid api token {http.headers['Authorization']}"})
        elif fault in _STATUS:
            _send(http, _STATUS[fault], {"message": "no"})
        elif fault is Fault.GARBAGE:
            _send(http, 200, b'{"results": [{"ind\xff')
        elif fault is Fault.EMPTY_OBJECT:
            _send(http, 200, {})
        else:
            _send(http, 200, _shaped(_ranked(body), body, fault))


def _ranked(body: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = body["query"].lower().split()
    held = [sum(word in document.lower() for word in wanted) / len(wanted) for document in body["documents"]]
    rows = [{"index": index, "relevance_score": score} for index, score in enumerate(held)]
    return sorted(rows, key=lambda row: -row["relevance_score"])[: body["top_n"]]


def _shaped(rows: list[dict[str, Any]], body: dict[str, Any], fault: Fault) -> object:
    if fault is Fault.TOO_FEW:
        rows.pop()
    if fault is Fault.DOUBLE_INDEX:
        rows[0]["index"] = rows[-1]["index"]
    if fault is Fault.NAN:
        rows[0]["relevance_score"] = float("nan")
    if fault is Fault.LIST:
        return [{"index": row["index"], "score": row["relevance_score"]} for row in rows]
    if fault is Fault.DATA:
        return {"data": rows}
    if fault is Fault.JINA:
        rows = [{**row, "document": {"text": body["documents"][row["index"]]}} for row in rows]
        return {"model": body["model"], "results": rows, "usage": {"total_tokens": 7}}
    return {"id": "1", "results": rows, "meta": {"billed_units": {"search_units": 1}}}


def _send(http: BaseHTTPRequestHandler, status: int, body: object) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    http.send_response(status)
    http.send_header("Content-Type", "application/json")
    http.send_header("Content-Length", str(len(raw)))
    http.end_headers()
    http.wfile.write(raw)
