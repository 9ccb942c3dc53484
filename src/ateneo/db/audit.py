"""The audit log (table `ateneo.audit`): append-only, ids and counts, never texts."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import asyncpg

from ateneo.db.pool import Database
from ateneo.errors import DatabaseUnavailable
from ateneo.i18n import tr

_MOST_CHARS = 500
_APPEND = "SELECT ateneo.own_audit_append($1, $2::text::jsonb)"


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
    """An entry of a company's audit log. `at` is ISO 8601 in UTC."""

    audit_id: int
    at: str
    actor: str
    action: str
    target: str | None
    status: int
    results: int | None
    request_id: str | None


@dataclass(slots=True)
class Batch:
    """Entries of one company that are stored together, and once. `transaction` is the one that was to store them, while
    it is not known whether it did."""

    empresa_id: str
    entries: deque[AuditEntry] = field(default_factory=deque)
    transaction: str | None = None


async def store(db: Database, batch: Batch) -> None:
    """Stores the batch, unless an earlier call did whose answer was lost. Raises DatabaseError, after which it can be
    called again."""
    if batch.transaction is not None and await _committed(db, batch.transaction):
        return
    batch.transaction = None
    async with db.tenant(batch.empresa_id) as connection:
        await connection.execute(_APPEND, batch.empresa_id, _rows(batch.entries))
        batch.transaction = await connection.fetchval("SELECT pg_current_xact_id()::text")


async def _committed(db: Database, transaction: str) -> bool:
    """Whether it did what it was to do. Raises DatabaseUnavailable while it is still running."""
    async with db.acquire() as connection:
        try:
            status = await connection.fetchval("SELECT pg_xact_status($1::text::xid8)", transaction)
        except asyncpg.InvalidParameterValueError:  # an id above the current one: restored on another server
            return False
    if status == "in progress":
        raise DatabaseUnavailable(where=db.where, detail=tr("una escritura sigue en curso.", "a write is under way."))
    return bool(status == "committed")


async def append(db: Database, entries: Sequence[AuditEntry]) -> None:
    """Adds the entries, each company's in a transaction of its own."""
    companies: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        companies[entry.empresa_id].append(entry)
    for empresa_id, own in companies.items():
        async with db.tenant(empresa_id) as connection:
            await connection.execute(_APPEND, empresa_id, _rows(own))


async def note_erasure(db: Database, entry: AuditEntry) -> None:
    """The first line of an erased company's new audit log, by the owner: nobody else writes for it any more."""
    async with db.transaction() as connection:
        await connection.execute(
            "INSERT INTO ateneo.audit (empresa_id, actor, action, target, status, results, request_id)"
            " SELECT $1, actor, action, target, status, results, request_id"
            " FROM jsonb_populate_recordset(NULL::ateneo.audit, $2::text::jsonb)",
            entry.empresa_id,
            _rows([entry]),
        )


async def page(db: Database, empresa_id: str, *, limit: int = 100, before: int | None = None) -> list[StoredEntry]:
    """The company's last entries, newest first; `before` is the last audit_id of the page before."""
    async with db.tenant(empresa_id) as connection:
        rows = await connection.fetch(
            "SELECT audit_id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at, actor,"
            " action, target, status, results, request_id FROM ateneo.own_audit($1, $2, $3) ORDER BY audit_id DESC",
            empresa_id,
            before,
            limit,
        )
    return [StoredEntry(**row) for row in rows]


def _rows(entries: Iterable[AuditEntry]) -> str:
    """The entries as JSON."""
    texts = ("actor", "target", "request_id")
    return json.dumps([asdict(one) | {name: _storable(getattr(one, name)) for name in texts} for one in entries])


def _storable(text: str | None) -> str | None:
    """What came in an address may hold what PostgreSQL cannot: NUL, lone surrogates."""
    return None if text is None else text[:_MOST_CHARS].encode("utf-8", "replace").decode().replace("\x00", "?")
