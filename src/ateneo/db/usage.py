"""What embedding costs each company (`ateneo.embedding_usage`), and may cost a month (`ateneo.embedding_budget`)."""

from collections.abc import Mapping
from dataclasses import dataclass

from ateneo.db.pool import Connection, Database

_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"


@dataclass(frozen=True, slots=True)
class Share:
    """A company's part of what was billed. `usd` 0.0 where the price is not known."""

    texts: int
    tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class Bill:
    """What one company's texts cost with one model."""

    provider: str
    model: str
    share: Share


@dataclass(frozen=True, slots=True)
class Usage:
    """What a company's texts cost with one model on one day (ISO, UTC)."""

    empresa_id: str
    provider: str
    model: str
    day: str
    texts: int
    tokens: int
    usd: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What a company may spend in a month, None: any, and what it has spent in this one."""

    empresa_id: str
    tokens: int | None
    usd: float | None
    spent_tokens: int
    spent_usd: float
    spent: bool


async def charge_now(db: Database, provider: str, model: str, shares: Mapping[str, Share]) -> None:
    """As `charge`, in a transaction of its own."""
    async with db.transaction() as connection:
        await charge(connection, provider, model, shares)


async def charge(connection: Connection, provider: str, model: str, shares: Mapping[str, Share]) -> None:
    """Adds to today's usage, in the caller's transaction; in the companies' order, so that no two can deadlock."""
    companies = sorted(shares)
    await connection.execute(
        "INSERT INTO ateneo.embedding_usage AS u (empresa_id, provider, model, day, texts, tokens, usd)"
        " SELECT t.e, $1, $2, (now() AT TIME ZONE 'UTC')::date, t.n, t.tokens, t.usd"
        " FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::float8[]) AS t(e, n, tokens, usd)"
        " ON CONFLICT (empresa_id, day, provider, model) DO UPDATE SET texts = u.texts + excluded.texts,"
        " tokens = u.tokens + excluded.tokens, usd = u.usd + excluded.usd",
        provider,
        model,
        companies,
        [shares[one].texts for one in companies],
        [shares[one].tokens for one in companies],
        [shares[one].usd for one in companies],
    )


async def charge_own(connection: Connection, empresa_id: str, bill: Bill) -> None:
    """Adds to the company's usage of today, as its own application, in the caller's transaction."""
    await connection.execute(
        "SELECT ateneo.own_charge($1, $2, $3, $4, $5, $6)",
        empresa_id,
        bill.provider,
        bill.model,
        bill.share.texts,
        bill.share.tokens,
        bill.share.usd,
    )


async def charge_own_now(db: Database, empresa_id: str, bill: Bill) -> None:
    """As `charge_own`, in a transaction of its own."""
    async with db.tenant(empresa_id) as connection:
        await charge_own(connection, empresa_id, bill)


async def month(db: Database, empresa_id: str | None = None) -> list[Usage]:
    """The usage of this month, by company, day and model."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT empresa_id, provider, model, day::text AS day, texts, tokens, usd FROM ateneo.embedding_usage"  # noqa: S608
            f" WHERE ($1::text IS NULL OR empresa_id = $1) AND day >= {_MONTH} ORDER BY 1, 4, 2, 3",
            empresa_id,
        )
    return [Usage(**row) for row in rows]


async def budgets(db: Database, empresa_id: str | None = None) -> list[Budget]:
    """The budgets that are set, of one company or of all."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            "SELECT b.empresa_id, b.tokens, b.usd, s.tokens AS spent_tokens, s.usd AS spent_usd,"  # noqa: S608
            " ateneo.over_budget(b.empresa_id) AS spent FROM ateneo.embedding_budget b,"
            " LATERAL (SELECT coalesce(sum(u.tokens), 0)::bigint AS tokens, coalesce(sum(u.usd), 0) AS usd"
            f"  FROM ateneo.embedding_usage u WHERE u.empresa_id = b.empresa_id AND u.day >= {_MONTH}) s"
            " WHERE ($1::text IS NULL OR b.empresa_id = $1) ORDER BY b.empresa_id",
            empresa_id,
        )
    return [Budget(**row) for row in rows]


async def over_budget(db: Database, empresa_id: str) -> bool:
    """Whether the company has spent what it may this month."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval("SELECT ateneo.over_budget($1)", empresa_id))


async def own_over_budget(db: Database, empresa_id: str) -> bool:
    """The same, asked by the company's own application."""
    async with db.tenant(empresa_id) as connection:
        return bool(await connection.fetchval("SELECT ateneo.own_over_budget()"))


async def set_budget(db: Database, empresa_id: str, tokens: int | None, usd: float | None) -> None:
    """Sets what the company may spend in a month; without any limit the budget goes."""
    async with db.transaction() as connection:
        await connection.execute("DELETE FROM ateneo.embedding_budget WHERE empresa_id = $1", empresa_id)
        if tokens is not None or usd is not None:
            await connection.execute(
                "INSERT INTO ateneo.embedding_budget (empresa_id, tokens, usd) VALUES ($1, $2, $3)",
                empresa_id,
                tokens,
                usd,
            )
