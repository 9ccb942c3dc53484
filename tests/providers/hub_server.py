"""A hub on this machine: it speaks the protocol of Hugging Face's, for one model, with its faults."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.providers.quiet_server import QuietServer

REVISION = "0123456789abcdef0123456789abcdef01234567"
_LARGE = (".onnx", ".onnx_data", "attr__value")


@dataclass
class HubServer:
    """`cut`: path -> after how many bytes the connection breaks off, once. `spoiled`: paths that come with a wrong
    byte. `failing`: what every request is answered with; `gated`: files take the token `secret`."""

    name: str
    folder: Path
    license: str = "mit"
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    gated: bool = False
    failing: int | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of each GET of a file."""
    calls: Counter[str] = field(default_factory=Counter)

    def listing(self) -> dict[str, object]:
        rows = []
        for path in sorted(one for one in self.folder.rglob("*") if one.is_file()):
            name, content = path.relative_to(self.folder).as_posix(), path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            row: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
            if name.endswith(_LARGE):
                row["lfs"] = {"sha256": _sha256(content), "size": len(content), "pointerSize": 130}
            rows.append(row)
        card = {"license": self.license} if self.license else {}
        return {"_id": "1", "id": self.name, "sha": REVISION, "siblings": rows, "cardData": card,
                "private": False, "gated": "auto" if self.gated else False, "downloads": 1, "tags": []}  # fmt: skip


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def hub(name: str, folder: Path) -> Iterator[HubServer]:
    state = HubServer(name, folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            state.calls[f"{self.command} {path}"] += 1
            parts = path.strip("/").split("/")
            if state.failing is not None:
                self._error(state.failing, "")
            elif parts[:2] == ["api", "models"]:
                self._model("/".join(parts[2:4]), parts[5] if parts[4:5] == ["revision"] else "main")
            elif "/".join(parts[:2]) == state.name and parts[2:3] == ["resolve"]:
                self._file("/".join(parts[4:]), with_body=with_body)
            else:
                self._error(404, "RepoNotFound")

        def _model(self, name: str, revision: str) -> None:
            if name != state.name:  # as the hub does: whether there is a private one is nobody's business
                self._error(401, "RepoNotFound")
            elif revision not in ("main", REVISION):
                self._error(404, "RevisionNotFound")
            else:
                self._send(200, json.dumps(state.listing()).encode(), {"Content-Type": "application/json"})

        def _file(self, name: str, *, with_body: bool) -> None:
            path = state.folder / name
            if state.gated and self.headers.get("Authorization") != "Bearer secret":
                self._error(403 if self.headers.get("Authorization") else 401, "GatedRepo")
                return
            if not path.is_file():
                self._error(404, "EntryNotFound")
                return
            content = path.read_bytes()
            headers = {"X-Repo-Commit": REVISION, "ETag": f'"{_sha256(content)}"', "Accept-Ranges": "bytes"}
            if name in state.spoiled:
                content = content[:-1] + bytes([content[-1] ^ 1])
            if not with_body:
                self._send(200, content, headers, with_body=False)
                return
            asked = self.headers.get("Range", "")
            state.asked.append((name, asked))
            first = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
            if asked:
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            breaks = state.cut.pop(name, None) if with_body else None
            self._send(206 if asked else 200, content[first:], headers, breaks=breaks)

        def _error(self, status: int, code: str) -> None:
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code} if code else {})

        def _send(
            self,
            status: int,
            body: bytes,
            headers: dict[str, str],
            *,
            with_body: bool = True,
            breaks: int | None = None,
        ) -> None:
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            if with_body and self.command != "HEAD":
                self.wfile.write(body[:breaks])
            if breaks is not None:
                self.wfile.flush()
                self.connection.close()
                self.close_connection = True

    server = QuietServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
