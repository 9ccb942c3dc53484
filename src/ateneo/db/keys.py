"""API keys (table `ateneo.api_key`): only the sha256 of a key is stored.

`ateneo_<prefix>_<secret><checksum>`, in hexadecimal: 16, 64 and 8 digits. The checksum is the CRC-32 of all before it.
Older keys, `ate_<prefix>_<secret>` of 12 and 64 digits, go on holding (docs/adr/0052-keys-and-repeats.md).
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from ateneo.db.pool import Connection, Database
from ateneo.errors import AccessDenied, BadArgument, UnknownApiKey
from ateneo.i18n import tr
from ateneo.text.names import is_name, is_printable, name_rule
from ateneo.types import ApiKey, Scope

_PREFIX_BYTES, _SECRET_BYTES = 8, 32
_SHAPE = re.compile(r"(?P<summed>ateneo_(?P<new>[0-9a-f]{16})_[0-9a-f]{64})(?P<sum>[0-9a-f]{8})")
_OLD_SHAPE = re.compile(r"ate_(?P<old>[0-9a-f]{12})_[0-9a-f]{64}")
_BEGINNINGS = ("ateneo_", "ate_")
_COLUMNS = "key_id, empresa_id, prefix, name, created_at, revoked_at, last_used_at, last_used_from, scopes, expires_at"
SCOPES: tuple[Scope, ...] = ("read", "write", "agents", "admin")
DEFAULT_SCOPES: tuple[Scope, ...] = ("read", "write", "agents")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `secret` is the key itself, to be shown this once: it is not stored."""

    secret: str = field(repr=False)
    stored: ApiKey


async def create(
    db: Database,
    empresa_id: str,
    name: str = "",
    *,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    lifetime: timedelta | None = None,
) -> NewKey:
    """Makes a key of 256 random bits for one company, which it opens again if it was erased.

    Raises BadArgument for an empresa_id that cannot be one, for scopes that there are not, for a lifetime that is over.
    """
    if not is_name(empresa_id):
        raise _bad("empresa_id", empresa_id)
    if not is_printable(name):
        raise _bad("name", name)
    if not scopes or not set(scopes) <= set(SCOPES):
        raise BadArgument(name="scope", value=", ".join(scopes), rule=", ".join(SCOPES))
    if lifetime is not None and lifetime <= timedelta(0):
        rule = tr("tiene que ser más que nada", "it must be more than nothing")
        raise BadArgument(name="lifetime", value=lifetime, rule=rule)
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM ateneo.erased WHERE empresa_id = $1", empresa_id)
        return await _insert(connection, empresa_id, name, scopes, lifetime)


async def _insert(
    connection: Connection, empresa_id: str, name: str, scopes: Sequence[str], lifetime: timedelta | None
) -> NewKey:
    prefix = secrets.token_hex(_PREFIX_BYTES)
    secret = with_checksum(f"ateneo_{prefix}_{secrets.token_hex(_SECRET_BYTES)}")
    row = await connection.fetchrow(
        "INSERT INTO ateneo.api_key (empresa_id, name, prefix, key_hash, scopes, expires_at)"  # noqa: S608
        f" VALUES ($1, $2, $3, $4, $5, now() + $6::interval) RETURNING {_COLUMNS}",
        empresa_id,
        name,
        prefix,
        digest_of(secret),
        list(dict.fromkeys(scopes)),
        lifetime,
    )
    assert row is not None
    return NewKey(secret, _key(row))


async def rotate(db: Database, key_id: str, grace: timedelta) -> NewKey:
    """A new key like this one, of the same scopes and lifetime; the old one ends after `grace`, or before if it would.

    Raises UnknownApiKey, for a key that was revoked or has expired, too.
    """
    if not is_printable(key_id):
        raise UnknownApiKey(key_id=ascii(key_id[:40]))
    async with db.transaction() as connection:
        row = await connection.fetchrow(
            "UPDATE ateneo.api_key SET expires_at = least(expires_at, now() + $2::interval) WHERE key_id = $1"
            " AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
            " RETURNING empresa_id, name, scopes,"
            " (SELECT old.expires_at - old.created_at FROM ateneo.api_key old WHERE old.key_id = $1) AS lifetime",
            key_id,
            grace,
        )
        if row is None:
            raise UnknownApiKey(key_id=key_id)
        return await _insert(connection, row["empresa_id"], row["name"], row["scopes"], row["lifetime"])


def looks_like_one(secret: str) -> bool:
    """Whether it is meant to be one of our keys, not a token of somebody's login."""
    return secret.startswith(_BEGINNINGS)


def prefix_of(secret: str) -> str:
    """The part by which a key is known, empty for what is none of ours, or has a wrong character."""
    if shape := _SHAPE.fullmatch(secret):
        return shape["new"] if with_checksum(shape["summed"]) == secret else ""
    shape = _OLD_SHAPE.fullmatch(secret)
    return "" if shape is None else shape["old"]


def beginning(prefix: str) -> str:
    """How the key of this prefix begins, as far as may be shown."""
    return f"{_BEGINNINGS[0] if len(prefix) == 2 * _PREFIX_BYTES else _BEGINNINGS[1]}{prefix}_…"


def with_checksum(text: str) -> str:
    """A key of the current form, of all that stands before its checksum."""
    return f"{text}{zlib.crc32(text.encode()):08x}"


async def authenticate(db: Database, secret: str, address: str = "") -> ApiKey:
    """The key that `secret` is, used from `address`. Asks the database every time, so that a revocation holds at once,
    but not for what cannot be a key.

    Raises AccessDenied, the same for a key of the wrong shape, an unknown, an expired and a revoked one.
    """
    prefix = prefix_of(secret)
    if not prefix:
        raise AccessDenied()
    return await by_digest(db, prefix, digest_of(secret), address)


async def by_digest(db: Database, prefix: str, digest: bytes, address: str = "") -> ApiKey:
    """The key with this prefix and sha256. Raises AccessDenied."""
    async with db.acquire() as connection:
        row = await connection.fetchrow(
            f"SELECT {_COLUMNS} FROM ateneo.authenticate($1, $2, $3)",  # noqa: S608
            prefix,
            digest,
            address or None,
        )
    if row is None:
        raise AccessDenied()
    return _key(row)


async def list_keys(db: Database, empresa_id: str | None = None) -> list[ApiKey]:
    """The keys of one company, or of all, revoked ones included; oldest first."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT {_COLUMNS} FROM ateneo.api_key"  # noqa: S608
            " WHERE $1::text IS NULL OR empresa_id = $1 ORDER BY created_at, key_id",
            empresa_id,
        )
    return [_key(row) for row in rows]


async def revoke(db: Database, key_id: str) -> ApiKey:
    """Ends a key, from the next request on; revoking it again changes nothing. Raises UnknownApiKey."""
    if not is_printable(key_id):
        raise UnknownApiKey(key_id=ascii(key_id[:40]))
    async with db.acquire() as connection:
        row = await connection.fetchrow(
            "UPDATE ateneo.api_key SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1"  # noqa: S608
            f" RETURNING {_COLUMNS}",
            key_id,
        )
    if row is None:
        raise UnknownApiKey(key_id=key_id)
    return _key(row)


def _bad(name: str, value: str) -> BadArgument:
    return BadArgument(name=name, value=ascii(value[:40]), rule=name_rule())


def digest_of(secret: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _key(row: asyncpg.Record) -> ApiKey:
    used = row["last_used_at"]
    return ApiKey(
        key_id=row["key_id"],
        empresa_id=row["empresa_id"],
        prefix=row["prefix"],
        name=row["name"],
        created_at=row["created_at"].isoformat(),
        revoked=row["revoked_at"] is not None,
        last_used_at=used and used.isoformat(timespec="minutes"),
        last_used_from=row["last_used_from"],
        scopes=tuple(row["scopes"]),
        expires_at=row["expires_at"] and row["expires_at"].isoformat(timespec="minutes"),
    )
