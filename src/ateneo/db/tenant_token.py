"""Signed tenants: `v1.<expires>.<hmac>.<empresa_id>`, as tenant.sql reads them. HMAC-SHA256 (RFC 2104)."""

import hashlib
import hmac
import time

LIFETIME_S = 300
"""From the beginning of its transaction a token is not looked at again; the rest is for clocks that differ."""


def sign(empresa_id: str, secret: str) -> str:
    """The company's token, good for transactions that begin within LIFETIME_S seconds."""
    said = f"{int(time.time()) + LIFETIME_S}.{empresa_id}"
    expires, _, _ = said.partition(".")
    mac = hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
    return f"v1.{expires}.{mac}.{empresa_id}"
