"""Signed tenants: `v1.<expires>.<hmac>.<empresa_id>`, as 030_tenant.sql reads them. HMAC-SHA256 (RFC 2104)."""

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ateneo.db.pool import Database

LIFETIME_S = 300
"""From the beginning of its transaction a token is not looked at again; the rest is for clocks that differ."""
_BLOCK = 64


def sign(empresa_id: str, secret: str) -> str:
    """The company's token, good for transactions that begin within LIFETIME_S seconds."""
    said = f"{int(time.time()) + LIFETIME_S}.{empresa_id}"
    expires, _, _ = said.partition(".")
    mac = hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
    return f"v1.{expires}.{mac}.{empresa_id}"


async def store_secret(db: "Database", secret: str | None) -> None:
    """From the next transaction on the database believes tokens of this secret alone; None: bare ids again."""
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM ateneo.tenant_secret")
        if secret is not None:
            key = secret.encode().ljust(_BLOCK, b"\0")
            pads = [bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C)]
            await connection.execute("INSERT INTO ateneo.tenant_secret (inner_pad, outer_pad) VALUES ($1, $2)", *pads)


async def is_signed(db: "Database") -> bool:
    """Whether a secret is stored. For the owner's role."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.tenant_secret)"))
