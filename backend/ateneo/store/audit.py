"""The audit trail (table `ateneo.audit`): append-only, ids and counts, never texts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ateneo.store.pool import Database

_MOST_CHARS = 500
_INSERT = (
    "INSERT INTO ateneo.audit (empresa_id, actor, action, target, status, results, request_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which company's what, and how it ended (`status` as in HTTP). `results` went out or came in."""

    empresa_id: str
    actor: str
    action: str
    status: int
    target: str | None = None
    results: int | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry of a company's trail. `at` is ISO 8601 in UTC."""

    audit_id: int
    at: str
    actor: str
    action: str
    target: str | None
    status: int
    results: int | None
    request_id: str | None


async def append(db: Database, entries: Sequence[AuditEntry]) -> None:
    """Adds the entries, each company's in a transaction of its own."""
    companies: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        companies[entry.empresa_id].append(entry)
    for empresa_id, own in companies.items():
        async with db.tenant(empresa_id) as connection:
            await connection.executemany(_INSERT, [_row(one) for one in own])


async def note_erasure(db: Database, entry: AuditEntry) -> None:
    """The first line of an erased company's new trail, by the owner: nobody else writes for it any more."""
    async with db.transaction() as connection:
        await connection.execute(_INSERT, *_row(entry))


async def page(db: Database, empresa_id: str, *, limit: int = 100, before: int | None = None) -> list[StoredEntry]:
    """The company's last entries, newest first; `before` is the last audit_id of the page before."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT audit_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at, actor,"
            " action, target, status, results, request_id FROM ateneo.audit"
            " WHERE empresa_id = $1 AND ($2::bigint IS NULL OR audit_id < $2) ORDER BY audit_id DESC LIMIT $3",
            empresa_id,
            before,
            limit,
        )
    return [StoredEntry(**row) for row in rows]


def _row(one: AuditEntry) -> tuple[object, ...]:
    target = one.target if one.target is None else _storable(one.target)
    return one.empresa_id, _storable(one.actor), one.action, target, one.status, one.results, one.request_id


def _storable(text: str) -> str:
    """What came in an address may hold what PostgreSQL cannot: NUL, lone surrogates."""
    return text[:_MOST_CHARS].encode("utf-8", "replace").decode().replace("\x00", "?")
