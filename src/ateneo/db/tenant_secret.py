"""The secret that signed tenants are checked with (`tenant_token.py`), as the two pads of its HMAC."""

from ateneo.db.pool import Database

_BLOCK = 64


async def store_secret(db: Database, secret: str | None) -> None:
    """From the next transaction on the database believes tokens of this secret alone; None: bare ids again."""
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM ateneo.tenant_secret")
        if secret is not None:
            key = secret.encode().ljust(_BLOCK, b"\0")
            pads = [bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C)]
            await connection.execute("INSERT INTO ateneo.tenant_secret (inner_pad, outer_pad) VALUES ($1, $2)", *pads)


async def is_signed(db: Database) -> bool:
    """Whether a secret is stored. For the owner's role."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM ateneo.tenant_secret)"))
