"""Companies, and who asks for them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import UUID

Tenant: TypeAlias = str | UUID | int
"""The id of a company as the Python API takes it; everything below the services has it as text."""

Scope = Literal["read", "write", "agents", "admin"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is stored: never the key itself. Times are ISO 8601, `last_used_at` to the minute;
    `last_used_from` is the address of that request."""

    key_id: str
    empresa_id: str
    prefix: str
    name: str
    created_at: str
    revoked: bool
    last_used_at: str | None = None
    scopes: tuple[Scope, ...] = ("read", "write", "agents")
    expires_at: str | None = None
    last_used_from: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a company's key or a person of its login. `actor` is what the audit log calls it."""

    empresa_id: str
    actor: str
    scopes: frozenset[str]
