"""A login of the user's own: it signs tokens, and publishes its public keys at /jwks over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.providers.quiet_server import QuietServer

ISSUER, AUDIENCE = "https://login.example", "ateneo"


class Login:
    """`url` is the JWKS's; `asked` counts its requests."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.private: dict[str, Any] = {
            "rs": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "es": ec.generate_private_key(ec.SECP256R1()),
        }

    @property
    def jwks(self) -> dict[str, Any]:
        made = []
        for kid, key in self.private.items():
            algorithm = jwt.get_algorithm_by_name("RS256" if kid.startswith("rs") else "ES256")
            public = json.loads(algorithm.to_jwk(key.public_key()))
            made.append({**public, "kid": kid, "use": "sig"})
        return {"keys": made}

    def token(self, kid: str = "rs", *, key: Any = None, algorithm: str | None = None, **claims: Any) -> str:
        """A token as it should be, but for `claims`; one that is None is left out."""
        said = {name: value for name, value in {**_base(), **claims}.items() if value is not None}
        chosen = algorithm or ("RS256" if kid.startswith("rs") else "ES256")
        return jwt.encode(said, key or self.private[kid], algorithm=chosen, headers={"kid": kid})

    def token_of(self, claims: dict[str, Any]) -> str:
        """One with exactly these claims more, nulls included."""
        return jwt.encode({**_base(), **claims}, self.private["rs"], algorithm="RS256", headers={"kid": "rs"})


def _base() -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "empresa_id": "acme", "exp": int(time.time()) + 300}


@contextmanager
def login_server() -> Iterator[Login]:
    login = Login()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            login.asked += 1
            body = json.dumps(login.jwks).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    login.url = f"http://127.0.0.1:{server.server_address[1]}/jwks"
    try:
        yield login
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
